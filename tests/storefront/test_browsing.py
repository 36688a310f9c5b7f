"""Home, shelves and product pages: what is shown, where addresses lead, what a page costs."""

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from tests.storefront.conftest import Shelves, Stocked
from webapp.catalog.models import PictureState, ProductStatus, SkuPrice, SlugRedirect
from webapp.core import clock

Statements = Callable[[], AbstractContextManager[list[str]]]

HOSTILE = """<p onclick="x()">Fine <b>words</b><script>alert(1)</script><img src=x onerror=alert(2)>
<a href="javascript:alert(3)">here</a><style>*{display:none}</style></p>"""


def page(client: FlaskClient, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status, answer.text[:500]
    return answer.text


def text(html: str) -> str:
    html = re.sub(r"<(script|style).*?</\1>", "", html, flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_the_front_page_shows_products_and_collections(
    client: FlaskClient, shelves: Shelves
) -> None:
    shelves.collect("rings", "Rings", shelves.add("gold-ring", title="Gold ring"))
    html = page(client, "/")
    assert "Gold ring" in html
    assert 'href="/products/gold-ring"' in html
    assert 'href="/collections/rings"' in html
    assert "$10.00" in html


def test_an_empty_shop_still_has_its_pages(client: FlaskClient) -> None:
    page(client, "/")
    page(client, "/products")
    assert "empty" in page(client, "/cart").lower()


def test_a_shelf_has_24_products_and_the_next_page_the_rest(
    client: FlaskClient, shelves: Shelves
) -> None:
    for number in range(26):
        shelves.add(f"thing-no-{number}")
    first, second = page(client, "/products"), page(client, "/products?page=2")
    assert len(set(re.findall(r"/products/thing-no-\d+", first))) == 24
    assert len(set(re.findall(r"/products/thing-no-\d+", second))) == 2
    assert "/products?page=2" in first
    assert 'rel="prev"' in second


@pytest.mark.parametrize("number", ["0", "-1", "abc", "1.5", "٣", "9" * 30, ""])
def test_a_page_number_that_is_none_leads_to_the_first_page(
    client: FlaskClient, shelves: Shelves, number: str
) -> None:
    shelves.add()
    answer = client.get("/products", query_string={"page": number})
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/products"


def test_a_page_past_the_end_leads_to_the_last(client: FlaskClient, shelves: Shelves) -> None:
    for _ in range(25):
        shelves.add(tags=["blue"])
    answer = client.get("/products?tag=blue&page=99999")
    assert answer.headers["Location"] == "/products?tag=blue&page=2"
    assert client.get("/products?page=99999").headers["Location"] == "/products?page=2"


def test_a_tag_and_a_collection_narrow_the_shelf(client: FlaskClient, shelves: Shelves) -> None:
    blue = shelves.add("blue-one", tags=["blue", "R&B 50%"])
    shelves.add("red-one", tags=["red"])
    shelves.collect("blues", "Blues", blue)
    for path in ("/products?tag=blue", "/products?tag=R%26B+50%25", "/collections/blues"):
        html = page(client, path)
        assert "/products/blue-one" in html
        assert "/products/red-one" not in html
    assert "/products/blue-one" not in page(client, "/products?tag=nothing")
    page(client, "/collections/unknown", 404)


def test_a_collection_keeps_its_own_order(client: FlaskClient, shelves: Shelves) -> None:
    first, second = shelves.add("first-made"), shelves.add("then-made")
    shelves.collect("all", "All", second, first)
    html = page(client, "/collections/all")
    assert html.index("/products/then-made") < html.index("/products/first-made")


@pytest.mark.parametrize("status", [ProductStatus.DRAFT, ProductStatus.RETIRED])
def test_what_is_not_published_is_nowhere(
    client: FlaskClient, shelves: Shelves, status: ProductStatus
) -> None:
    hidden = shelves.add("hidden", status=status)
    shelves.collect("secret", "Secret", hidden)
    page(client, "/products/hidden", 404)
    for path in ("/", "/products", "/collections/secret", "/sitemap-products-1.xml"):
        assert "/products/hidden" not in client.get(path).text


def test_an_old_address_leads_to_the_new_one(
    client: FlaskClient, shelves: Shelves, session: Session
) -> None:
    renamed = shelves.add("new-name")
    draft = shelves.add("draft", status=ProductStatus.DRAFT)
    session.add(SlugRedirect(slug="old-name", product_id=renamed.id))
    session.add(SlugRedirect(slug="old-draft", product_id=draft.id))
    session.commit()
    answer = client.get("/products/old-name")
    assert answer.status_code == 301
    assert answer.headers["Location"] == "/products/new-name"
    page(client, "/products/old-draft", 404)


@pytest.mark.parametrize(
    "path",
    [
        "/products/%00",
        "/products/a%00b",
        f"/products/{'x' * 3000}",
        "/products?tag=%00",
        "/collections/%00",
        "/products/%ff",
        "/products/..%2f..",
        "/products/'--",
    ],
)
def test_nonsense_in_an_address_is_not_found(client: FlaskClient, path: str) -> None:
    page(client, path, 404)


def test_a_card_shows_the_lowest_price_and_says_from(client: FlaskClient, shelves: Shelves) -> None:
    shelves.add(variants=(Stocked("L", 2500), Stocked("S", 1999, compare_at=2999)))
    words = text(page(client, "/products"))
    assert "from" in words
    assert "$19.99" in words
    assert "$29.99" in words
    assert "$25.00" not in words


def test_one_price_for_all_variants_is_not_a_from_price(
    client: FlaskClient, shelves: Shelves
) -> None:
    shelves.add(variants=(Stocked("L", 2500), Stocked("S", 2500)))
    words = text(page(client, "/products"))
    assert "$25.00" in words
    assert "from $" not in words


def test_the_newest_price_in_force_is_the_price(
    client: FlaskClient, shelves: Shelves, session: Session
) -> None:
    shelves.add("dear", variants=(Stocked(amount=1000),))
    sku_id = shelves.skus["dear"][0]
    for amount, days in ((2000, 1), (3000, -1), (500, 30)):
        at = clock.now() - timedelta(days=days)
        price = SkuPrice(sku_id=sku_id, unit_amount=amount, currency="usd", in_force_at=at)
        session.add(price)
    session.commit()
    for path in ("/products", "/products/dear"):
        assert "$10.00" in page(client, path)
    with clock.frozen(clock.now() + timedelta(days=2)):
        for path in ("/products", "/products/dear"):
            assert "$30.00" in page(client, path)


@pytest.mark.parametrize(
    ("variants", "sold_out"),
    [
        ((Stocked(on_hand=0),), True),
        ((Stocked(on_hand=3, reserved=3),), True),
        ((Stocked(on_hand=None),), False),
        ((Stocked("S", on_hand=0), Stocked("L", on_hand=1)), False),
        ((Stocked(amount=None),), True),
    ],
)
def test_sold_out_is_said_on_the_shelf(
    client: FlaskClient, shelves: Shelves, variants: tuple[Stocked, ...], sold_out: bool
) -> None:
    shelves.add(variants=variants)
    assert ("Sold out" in page(client, "/products")) is sold_out


def test_a_product_page_offers_each_variant_with_its_stock(
    client: FlaskClient, shelves: Shelves
) -> None:
    shelves.add(
        "tee",
        variants=(
            Stocked("S", 1500, on_hand=0),
            Stocked("M", 1500, on_hand=2),
            Stocked("L", 1700, on_hand=None),
        ),
    )
    html = page(client, "/products/tee")
    small, medium, large = shelves.skus["tee"]
    assert re.search(rf'value="{small}"[^>]* disabled', html)
    assert re.search(rf'value="{medium}"[^>]* checked', html)
    assert re.search(rf'value="{large}"', html)
    assert "Only 2 left" in html
    assert "$17.00" in html


def test_a_product_without_a_price_cannot_be_bought(client: FlaskClient, shelves: Shelves) -> None:
    shelves.add("priceless", variants=(Stocked(amount=None),))
    html = page(client, "/products/priceless")
    assert "/cart/add" not in html
    assert "Not for sale" in html


def test_a_default_variant_shows_no_options(client: FlaskClient, shelves: Shelves) -> None:
    shelves.add("plain", variants=(Stocked("Default Title"),))
    html = page(client, "/products/plain")
    assert "Default Title" not in html
    assert f'name="sku_id" value="{shelves.skus["plain"][0]}"' in html


def test_a_fetched_picture_is_shown_and_a_pending_one_is_drawn(
    client: FlaskClient, shelves: Shelves
) -> None:
    shelves.add("here", picture=PictureState.FETCHED)
    shelves.add("coming", picture=PictureState.PENDING)
    assert re.search(r'src="/media/pictures/\d+\.jpg"', page(client, "/products/here"))
    html = page(client, "/products/coming")
    assert "/media/" not in html
    assert "cdn.test" not in html
    assert "<svg" in html


def test_texts_of_a_product_cannot_carry_scripts(client: FlaskClient, shelves: Shelves) -> None:
    shelves.add(
        "evil",
        title="<script>alert(4)</script>",
        vendor='"><svg onload=alert(5)>',
        body_html=HOSTILE,
        tags=["<i>tag</i>"],
        seo_description='"><script>alert(6)</script>',
        variants=(Stocked('"><script>alert(7)</script>'), Stocked("</script>")),
    )
    for path in ("/", "/products", "/products/evil", "/products?tag=%3Ci%3Etag%3C%2Fi%3E"):
        html = page(client, path)
        for harm in ("<script>alert", "<svg onload", "javascript:", "<i>tag", "<style>"):
            assert harm not in html
    html = page(client, "/products/evil")
    assert "Fine <b>words</b>" in html
    assert "onerror" not in html
    assert "onclick" not in html


def test_search_engines_get_the_address_the_summary_and_the_offer(
    client: FlaskClient, shelves: Shelves
) -> None:
    shelves.add("seen", title="A & </script> B", body_html="<p>Warm and light.</p>")
    html = page(client, "/products/seen")
    assert '<link rel="canonical" href="http://localhost/products/seen">' in html
    assert re.search(r'<meta name="description" content="[^"]*Warm and light', html)
    found = re.search(r'<script type="application/ld\+json">(.*?)</script>', html, re.S)
    assert found
    described = json.loads(found[1])
    assert described["name"] == "A & </script> B"
    assert described["offers"][0]["price"] == "10"
    assert described["offers"][0]["availability"] == "https://schema.org/InStock"


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/", 1),
        ("/products", 1),
        ("/products?tag=blue", 1),
        ("/products?page=2", 1),
        ("/collections/all", 1),
        ("/products/thing-0", 1),
        ("/products/nowhere", 2),
        ("/brand.css", 1),
    ],
)
def test_a_page_costs_few_statements_however_much_it_shows(
    client: FlaskClient,
    shelves: Shelves,
    session: Session,
    statements: Statements,
    path: str,
    most: int,
) -> None:
    variants = tuple(Stocked(f"S{number}") for number in range(6))
    made = [
        shelves.add(f"thing-{number}", variants, tags=["blue"], picture=PictureState.FETCHED)
        for number in range(30)
    ]
    shelves.collect("all", "All", *made)
    add = {"sku_id": shelves.skus["thing-0"][0]}
    for visit in ("without a cart", "with a cart"):
        session.expunge_all()
        with statements() as seen:
            client.get(path)
        assert len(seen) <= most, (visit, seen)
        client.post("/cart/add", data=add)


def test_a_visitor_without_a_form_gets_no_cookie(client: FlaskClient, shelves: Shelves) -> None:
    shelves.add()
    for path in ("/", "/products", "/brand.css", "/robots.txt", "/sitemap.xml"):
        assert "Set-Cookie" not in client.get(path).headers
