"""Making a product, pricing it, counting it, showing it and taking it away."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from tests.admin.conftest import DOOR, act, counting, make_product, said
from webapp.catalog.models import (
    Product,
    ProductSku,
    ProductStatus,
    SkuInventory,
    SkuKind,
    SkuPrice,
    SlugRedirect,
)
from webapp.catalog.services import products
from webapp.core.state import current_fork


def titles(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a[^>]*>([^<]+)<', page)


def typed(page: str) -> dict[str, str]:
    """Return the fields of the page's form as a browser would send them untouched."""
    form = page.split("<main")[1]
    fields: dict[str, str] = {}
    for tag in re.findall(r"<input[^>]+>", form):
        name = re.search(r' name="([^"]+)"', tag)
        value = re.search(r' value="([^"]*)"', tag)
        kind = re.search(r' type="([^"]+)"', tag)
        if not name or (kind and kind.group(1) in ("file", "submit")):
            continue
        if kind and kind.group(1) == "checkbox" and " checked" not in tag:
            continue
        fields[name.group(1)] = value.group(1) if value else ""
    for name, body in re.findall(r'<textarea[^>]* name="([^"]+)"[^>]*>\s*([^<]*)<', form):
        fields[name] = body
    for name, body in re.findall(r'<select[^>]* name="([^"]+)"[^>]*>(.*?)</select>', form, re.S):
        options = re.findall(r'<option([^>]*)value="([^"]*)"([^>]*)>', body)
        chosen = [value for one, value, two in options if "selected" in one + two]
        fields[name] = chosen[0] if chosen else options[0][1]
    return fields


def save(browser: FlaskClient, url: str, **changes: Any) -> str:
    """Open a form, change some of it, send it; returns the page that follows."""
    page = browser.get(url)
    assert page.status_code == 200
    fields: dict[str, Any] = typed(page.text) | changes
    fields = {name: value for name, value in fields.items() if value is not None}
    return browser.post(url, data=fields, follow_redirects=True).text


def test_a_product_is_made_with_its_first_variant(owner: FlaskClient, session: Session) -> None:
    page = save(
        owner,
        "/admin/products/new/",
        title="Crème brûlée dish",
        price="12.50",
        code="CB-1",
        on_hand="7",
        tags="kitchen, gifts, kitchen",
        body_html="<p>Fine <b>clay</b></p>",
    )
    assert said(page) == "Crème brûlée dish is added."
    product = session.scalars(select(Product)).one()
    assert (product.slug, product.status) == ("creme-brulee-dish", ProductStatus.DRAFT)
    assert product.tags == ["kitchen", "gifts"]
    sku = product.variants[0].sku
    assert (sku.code, sku.inventory.on_hand) == ("CB-1", 7)
    assert [(price.unit_amount, price.currency) for price in sku.prices] == [(1250, "usd")]
    assert "$12.50" in page
    assert "Add a variant" not in page


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"title": ""}, "A product needs a title."),
        ({"price": "12,50"}, "is not an amount"),
        ({"price": ""}, "Type the price."),
        ({"price": "1.234"}, "more decimals"),
        ({"slug": "a b"}, "No blanks"),
        ({"slug": "wool-hat"}, "already has the address"),
        ({"code": "TAKEN"}, "already in use"),
        ({"options": "A, B, C, D"}, "options at most"),
        ({"on_hand": "-1"}, "Number must be"),
    ],
)
def test_a_product_that_can_not_be_is_refused_and_the_form_kept(
    owner: FlaskClient, session: Session, changes: dict[str, str], why: str
) -> None:
    make_product().variants[0].sku.code = "TAKEN"
    session.commit()
    values = {"title": "New thing", "price": "1", "code": "", "on_hand": "0", "vendor": "Kept"}
    answer = owner.post("/admin/products/new/", data=values | changes)
    assert answer.status_code == 422
    assert why in answer.text.replace("&#39;", "'").replace("“", '"')
    assert 'value="Kept"' in answer.text
    assert len(session.scalars(select(Product)).all()) == 1


def test_a_new_address_keeps_the_old_one_working(owner: FlaskClient, session: Session) -> None:
    product = make_product()
    url = f"/admin/products/edit/?id={product.id}"
    save(owner, url, slug="warm-hat", title="Warm hat")
    session.expire_all()
    assert (product.slug, product.title) == ("warm-hat", "Warm hat")
    assert session.scalars(select(SlugRedirect.slug)).all() == ["wool-hat"]
    assert "wool-hat" in owner.get(f"/admin/products/details/?id={product.id}").text


def test_saving_an_untouched_form_changes_nothing(owner: FlaskClient, session: Session) -> None:
    product = make_product()
    product.body_html = "<p>Kept & safe</p>"
    product.tags = ["a", "b"]
    session.commit()
    before = _state(session, product)
    save(owner, f"/admin/products/edit/?id={product.id}")
    save(owner, f"/admin/products/variant/?id={product.variants[0].id}")
    assert _state(session, product) == before


def _state(session: Session, product: Product) -> list[Any]:
    session.expire_all()
    variant = product.variants[0]
    sku, stock = variant.sku, variant.sku.inventory
    return [
        *(product.title, product.slug, product.tags, product.position, product.status),
        *(variant.option1, sku.code, sku.kind, sku.weight_grams, sku.taxable),
        *(stock.on_hand, stock.tracked, stock.backorder, stock.tracker),
        [(price.id, price.unit_amount) for price in sku.prices],
        [option.name for option in product.options],
    ]


def test_a_new_price_is_a_new_row_and_the_old_one_stays_visible(
    owner: FlaskClient, session: Session
) -> None:
    variant = make_product().variants[0]
    url = f"/admin/products/variant/?id={variant.id}"
    save(owner, url, price="29.00", compare_at="35")
    save(owner, url)
    rows = session.scalars(select(SkuPrice).order_by(SkuPrice.id)).all()
    assert [(row.unit_amount, row.compare_at_amount) for row in rows] == [
        (2500, None),
        (2900, 3500),
    ]
    history = owner.get(url).text.split("Prices through time")[1]
    assert history.index("$29.00") < history.index("$25.00")


def test_stock_moves_by_what_was_changed_on_the_form(owner: FlaskClient, session: Session) -> None:
    variant = make_product(on_hand=10).variants[0]
    url = f"/admin/products/variant/?id={variant.id}"
    fields = typed(owner.get(url).text)
    stock = session.get_one(SkuInventory, variant.sku_id)
    stock.on_hand = 8  # two left the house while the form was open
    session.commit()
    owner.post(url, data=fields | {"on_hand": "15"})
    session.expire_all()
    assert stock.on_hand == 13


def test_stock_that_is_promised_can_not_be_counted_away(
    owner: FlaskClient, session: Session
) -> None:
    variant = make_product(on_hand=10).variants[0]
    stock = session.get_one(SkuInventory, variant.sku_id)
    stock.reserved = 4
    session.commit()
    page = save(owner, f"/admin/products/variant/?id={variant.id}", on_hand="3", code="X")
    assert "4 pieces are promised" in page
    session.expire_all()
    assert (stock.on_hand, variant.sku.code) == (10, "")


def test_a_sku_of_another_variant_is_refused(owner: FlaskClient, session: Session) -> None:
    make_product("One").variants[0].sku.code = "SAME"
    variant = make_product("Two").variants[0]
    session.commit()
    page = save(owner, f"/admin/products/variant/?id={variant.id}", code="SAME")
    assert "Another variant has that SKU." in page


def test_a_product_gets_options_and_more_variants(owner: FlaskClient, session: Session) -> None:
    product = make_product()
    first = product.variants[0]
    save(owner, f"/admin/products/edit/?id={product.id}", options="Size, Colour")
    save(owner, f"/admin/products/variant/?id={first.id}", option1="S", option2="Sand", price="25")
    url = f"/admin/products/add-variant/?id={product.id}"
    more = {"option1": "M", "option2": "Sand", "price": "26", "on_hand": "3", "code": "H-M"}
    assert "The variant is added." in save(owner, url, **more)
    assert "already a variant with these options" in save(owner, url, **(more | {"code": ""}))
    session.expire_all()
    variants = session.scalars(select(ProductSku).order_by(ProductSku.position)).all()
    assert [(each.option1, each.option2) for each in variants] == [("S", "Sand"), ("M", "Sand")]
    assert variants[1].sku.inventory.on_hand == 3
    page = save(owner, f"/admin/products/edit/?id={product.id}", options="Size")
    assert "can't go while variants have a value" in page.replace("&#39;", "'")
    assert (
        "Several variants" in save(owner, f"/admin/products/edit/?id={product.id}", options="")
        or "can&#39;t go" in page
    )


def test_a_file_for_buyers_is_kept_out_of_reach(owner: FlaskClient, session: Session) -> None:
    variant = make_product().variants[0]
    url = f"/admin/products/variant/?id={variant.id}"
    upload = (io.BytesIO(b"%PDF-1.7 pattern"), "../../etc/Pattern 1.pdf")
    save(owner, url, kind="digital", download=upload)
    session.expire_all()
    name = variant.sku.download_file
    assert variant.sku.kind is SkuKind.DIGITAL
    assert name is not None
    assert re.fullmatch(r"[0-9a-f]{16}-etc_Pattern_1\.pdf", name)
    stored = Path(current_fork().upload_folder) / "downloads" / name
    assert stored.read_bytes() == b"%PDF-1.7 pattern"
    save(owner, url)
    session.expire_all()
    assert variant.sku.download_file == name


def test_products_go_into_the_shop_and_out_of_it(owner: FlaskClient, session: Session) -> None:
    one, two = make_product("One"), make_product("Two")
    notice = act(owner, "/admin/products/retire/", id=[one.id, two.id], back="/admin/products/")
    assert notice == "Retire: 2 done."
    session.expire_all()
    assert {one.status, two.status} == {ProductStatus.RETIRED}
    assert act(owner, "/admin/products/publish/", id=one.id) == "One is in the shop."
    session.expire_all()
    assert one.status is ProductStatus.PUBLISHED


def test_a_product_without_a_price_is_not_published_but_its_neighbours_are(
    owner: FlaskClient, session: Session
) -> None:
    priced, free = make_product("Priced"), make_product("Priceless")
    session.execute(delete(SkuPrice).where(SkuPrice.sku_id == free.variants[0].sku_id))
    for product in (priced, free):
        products.unpublish(product)
    session.commit()
    notice = act(owner, "/admin/products/publish/", id=[free.id, priced.id])
    assert "Priced is in the shop." in notice
    assert "has no price yet" in notice
    session.expire_all()
    assert (priced.status, free.status) == (ProductStatus.PUBLISHED, ProductStatus.DRAFT)


def test_a_product_is_found_by_words_address_and_sku(owner: FlaskClient, session: Session) -> None:
    make_product("Wool hat").variants[0].sku.code = "H-1"
    make_product("100% linen scarf")
    session.commit()
    for text, found in {
        "WOOL": ["Wool hat"],
        "H-1": ["Wool hat"],
        "wool-hat": ["Wool hat"],
        "100%": ["100% linen scarf"],
        "%": ["100% linen scarf"],
        "nothing": [],
    }.items():
        page = owner.get("/admin/products/", query_string={"search": text}).text
        assert (text, titles(page)) == (text, found)


def test_a_list_of_many_products_takes_few_statements(owner: FlaskClient, session: Session) -> None:
    for number in range(60):
        make_product(f"Thing {number:02}")
    session.expire_all()
    with counting() as counted:
        page = owner.get("/admin/products/").text
    assert len(titles(page)) == 50
    assert page.count("$25.00") == 50
    assert len(counted) <= DOOR + 7, "\n".join(counted.statements)


def test_a_product_of_many_variants_takes_few_statements(
    owner: FlaskClient, session: Session
) -> None:
    variants = tuple(products.NewVariant(100 + n, options=(str(n),)) for n in range(80))
    new = products.NewProduct("Many", variants, option_names=("Size",))
    product = products.create_product(new, "usd")
    session.commit()
    session.expire_all()
    with counting() as counted:
        page = owner.get(f"/admin/products/details/?id={product.id}").text
    assert "$1.79" in page
    assert len(counted) <= DOOR + 11, "\n".join(counted.statements)
