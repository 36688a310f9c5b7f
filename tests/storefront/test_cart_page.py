"""The cart from the visitor's side: forms without JavaScript, cookies of all kinds, sentences."""

import re
import uuid
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from itsdangerous import URLSafeTimedSerializer
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from tests.storefront.conftest import Shelves, Stocked
from webapp.catalog.models import SkuPrice
from webapp.core.signing import sign
from webapp.core.state import current_fork
from webapp.orders.models import Cart, CartSku, DiscountCode, DiscountKind, ShippingMethod

COOKIE = "cart"


def name() -> str:
    return current_fork().cookie_name(COOKIE, secure=False)


def sku(shelves: Shelves, slug: str, **stock: Any) -> int:
    shelves.add(slug, variants=(Stocked(**stock),), title=slug.title())
    return shelves.skus[slug][0]


def add(client: FlaskClient, sku_id: object, quantity: object = 1) -> TestResponse:
    return client.post(
        "/cart/add",
        data={"sku_id": sku_id, "quantity": quantity},
        headers={"Accept": "text/html"},
        follow_redirects=True,
    )


def lines(session: Session) -> dict[int, int]:
    rows = session.execute(select(CartSku.sku_id, CartSku.quantity))
    return {row.sku_id: row.quantity for row in rows}


def test_a_visitor_puts_things_in_changes_and_removes_them(
    client: FlaskClient, shelves: Shelves, session: Session
) -> None:
    bowl, cup = sku(shelves, "bowl", amount=2500), sku(shelves, "cup", amount=900)
    shown = add(client, bowl, 2)
    assert shown.request.path == "/cart"
    assert "Bowl is in your cart." in shown.text
    assert "$50.00" in add(client, cup).text
    assert lines(session) == {bowl: 2, cup: 1}

    changed = client.post(
        "/cart/update",
        data={f"quantity-{bowl}": "3", f"quantity-{cup}": "4", "update": "1"},
        follow_redirects=True,
    )
    assert "$75.00" in changed.text
    assert lines(session) == {bowl: 3, cup: 4}

    removed = client.post(
        "/cart/update",
        data={f"quantity-{bowl}": "3", f"quantity-{cup}": "9", "remove": str(bowl)},
        follow_redirects=True,
    )
    assert lines(session) == {cup: 4}
    assert "Bowl" not in removed.text
    gone = client.post("/cart/update", data={f"quantity-{cup}": "0"}, follow_redirects=True)
    assert lines(session) == {}
    assert "Your cart is empty" in gone.text


def test_adding_twice_adds_up_and_the_count_is_on_every_page(
    client: FlaskClient, shelves: Shelves, session: Session
) -> None:
    bowl = sku(shelves, "bowl", on_hand=None)
    add(client, bowl, 2)
    add(client, bowl, 3)
    assert lines(session) == {bowl: 5}
    for path in ("/", "/products", "/products/bowl", "/cart"):
        assert re.search(r'class="count">5<', client.get(path).text), path


def test_the_cookie_is_kept_from_scripts_and_lasts_30_days(
    client: FlaskClient, shelves: Shelves
) -> None:
    answer = client.post("/cart/add", data={"sku_id": sku(shelves, "bowl")})
    assert answer.status_code == 303
    cookie = client.get_cookie(name())
    assert cookie is not None
    assert cookie.http_only
    assert cookie.same_site == "Lax"
    assert cookie.max_age == 30 * 24 * 3600
    assert not cookie.secure


def test_no_cookie_means_no_cart_is_asked_for(
    client: FlaskClient, session: Session, shelves: Shelves
) -> None:
    shelves.add()
    for path in ("/", "/products", "/cart"):
        client.get(path)
    assert session.scalar(select(func.count()).select_from(Cart)) == 0


@pytest.mark.parametrize("forged", ["", "x", "a.b.c", "é", "0" * 5000, "purpose", "value", "cut"])
def test_a_cookie_that_is_not_ours_is_an_empty_cart(
    client: FlaskClient, shelves: Shelves, session: Session, forged: str
) -> None:
    add(client, sku(shelves, "bowl"))
    cart_id = str(session.scalars(select(Cart.id)).one())
    ours = client.get_cookie(name())
    assert ours is not None
    tokens = {
        "purpose": sign("order-status", cart_id),
        "value": sign("cart", ["not", "a", "uuid"]),
        "cut": ours.value[:-2],
    }
    client.set_cookie(name(), tokens.get(forged, forged))
    for path in ("/cart", "/", "/products"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "Bowl is" not in answer.text
    assert "Your cart is empty" in client.get("/cart").text


def test_a_cart_of_another_fork_is_not_opened(
    app: Flask, client: FlaskClient, shelves: Shelves, session: Session
) -> None:
    add(client, sku(shelves, "bowl"))
    cart_id = str(session.scalars(select(Cart.id)).one())
    foreign = URLSafeTimedSerializer([app.config["SECRET_KEY"]], salt="other_fork/cart")
    client.set_cookie(name(), foreign.dumps(cart_id))
    assert "Your cart is empty" in client.get("/cart").text


def test_a_cookie_of_a_cart_that_is_gone_starts_a_new_one(
    client: FlaskClient, shelves: Shelves, session: Session
) -> None:
    client.set_cookie(name(), sign("cart", str(uuid.uuid4())))
    assert "Your cart is empty" in client.get("/cart").text
    bowl = sku(shelves, "bowl")
    assert "Bowl is in your cart." in add(client, bowl).text
    assert lines(session) == {bowl: 1}


@pytest.mark.parametrize("quantity", ["0", "-1", "100", "1e3", "abc", "", "2.5", "9" * 400])
def test_a_quantity_that_is_none_is_refused_with_a_sentence(
    client: FlaskClient, shelves: Shelves, session: Session, quantity: str
) -> None:
    answer = add(client, sku(shelves, "bowl", on_hand=None), quantity)
    assert answer.status_code == 200
    assert answer.request.path == "/products/bowl"
    assert "quantity" in answer.text.lower()
    assert lines(session) == {}
    assert session.scalar(select(func.count()).select_from(Cart)) == 0


@pytest.mark.parametrize("sku_id", ["", "abc", "0", "-5", "9" * 400, "1;DROP", "\0"])
def test_a_rubbish_item_is_a_bad_request(client: FlaskClient, sku_id: str) -> None:
    assert add(client, sku_id).status_code == 400


def test_an_item_that_is_not_sold_is_refused(
    client: FlaskClient, shelves: Shelves, session: Session
) -> None:
    assert add(client, 987654321).status_code == 404
    gone = sku(shelves, "gone", on_hand=0)
    answer = add(client, gone)
    assert "Gone is sold out." in answer.text
    few = sku(shelves, "few", on_hand=2)
    assert "Only 2 of Few left." in add(client, few, 3).text
    assert lines(session) == {}


@pytest.mark.parametrize(
    "data", [{}, {"remove": "x"}, {"remove": "9" * 40}, {"quantity-": "1"}, {"quantity-x": "1"}]
)
def test_a_rubbish_change_is_a_bad_request(
    client: FlaskClient, shelves: Shelves, data: dict[str, str]
) -> None:
    add(client, sku(shelves, "bowl"))
    assert client.post("/cart/update", data=data).status_code == 400


def test_a_change_that_cannot_be_is_told_and_the_others_are_made(
    client: FlaskClient, shelves: Shelves, session: Session
) -> None:
    bowl, cup = sku(shelves, "bowl", on_hand=3), sku(shelves, "cup", on_hand=None)
    add(client, bowl)
    add(client, cup)
    answer = client.post(
        "/cart/update",
        data={f"quantity-{bowl}": "7", f"quantity-{cup}": "2", "quantity-123456": "1"},
        follow_redirects=True,
    )
    assert "Only 3 of Bowl left." in answer.text
    assert lines(session) == {bowl: 1, cup: 2}
    answer = client.post("/cart/update", data={f"quantity-{cup}": "-4"}, follow_redirects=True)
    assert "Choose a quantity" in answer.text
    assert lines(session)[cup] == 2


def test_a_price_change_is_told_once(
    client: FlaskClient, shelves: Shelves, session: Session
) -> None:
    bowl = sku(shelves, "bowl", amount=1000)
    add(client, bowl)
    session.add(SkuPrice(sku_id=bowl, unit_amount=1200, currency="usd"))
    session.commit()
    assert "the price went up" in client.get("/cart").text
    again = client.get("/cart").text
    assert "the price went" not in again
    assert "$12.00" in again


def test_shipping_is_chosen_by_country(
    client: FlaskClient, shelves: Shelves, session: Session
) -> None:
    for code, amount, countries in (("us", 500, ["US"]), ("de", 900, ["DE"]), ("dx", 1900, ["DE"])):
        session.add(
            ShippingMethod(code=code, name=code.upper(), unit_amount=amount, countries=countries)
        )
    session.commit()
    add(client, sku(shelves, "bowl", amount=1000))
    assert "$15.00" in client.get("/cart").text

    def choose(**data: str) -> str:
        return client.post("/cart/shipping", data=data, follow_redirects=True).text

    assert "$19.00" in choose(country="DE")
    assert "$29.00" in choose(country="DE", method="dx")
    assert "deliver these items" in choose(country="FR")
    assert "Choose a country." in choose(country="")
    assert "Choose a country." in choose(country="Germany\0")
    assert "$29.00" in client.get("/cart").text


def test_a_code_is_applied_refused_and_removed(
    client: FlaskClient, shelves: Shelves, session: Session
) -> None:
    session.add(DiscountCode(code="TEN", kind=DiscountKind.PERCENT, value=1000))
    session.commit()
    add(client, sku(shelves, "bowl", amount=1000))

    def apply(path: str, code: str) -> str:
        return client.post(path, data={"code": code}, follow_redirects=True).text

    assert "We don&#39;t know this code." in apply("/cart/discount", "NOPE")
    assert "know this code" in apply("/cart/discount", "x" * 500)
    assert "know this code" in apply("/cart/discount", "T\0E")
    assert "Enter a code." in apply("/cart/discount", "  ")
    assert "$9.00" in apply("/cart/discount", " ten ")
    assert "$9.00" not in apply("/cart/discount/remove", "TEN")


def test_a_code_for_one_per_customer_asks_for_the_address(
    client: FlaskClient, shelves: Shelves, session: Session
) -> None:
    session.add(DiscountCode(code="ONCE", kind=DiscountKind.AMOUNT, value=100, customer_limit=1))
    session.commit()
    add(client, sku(shelves, "bowl", amount=1000))
    asked = client.post("/cart/discount", data={"code": "once"}, follow_redirects=True)
    assert re.search(r'<input[^>]*name="email"', asked.text)
    assert re.search(r'<input[^>]*value="ONCE"', asked.text)
    given = client.post(
        "/cart/discount",
        data={"code": "ONCE", "email": "alice@example.com"},
        follow_redirects=True,
    )
    assert "$9.00" in given.text


@pytest.mark.parametrize(
    "path",
    [
        "/cart/add",
        "/cart/update",
        "/cart/shipping",
        "/cart/discount",
        "/cart/discount/remove",
        "/checkout",
    ],
)
def test_every_change_needs_the_token_of_a_form_of_ours(app: Flask, path: str) -> None:
    answer = app.test_client().post(path, data={"sku_id": "1"}, headers={"Accept": "text/html"})
    assert answer.status_code == 400
    assert "Reload it and try again" in answer.text


def test_the_token_on_the_page_opens_its_form(app: Flask, shelves: Shelves) -> None:
    bowl = sku(shelves, "bowl")
    visitor = app.test_client()
    html = visitor.get("/products/bowl").text
    token = re.search(r'name="csrf_token" value="([^"]+)"', html)
    assert token
    answer = visitor.post("/cart/add", data={"sku_id": bowl, "quantity": 1, "csrf_token": token[1]})
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/cart"


@pytest.mark.parametrize("path", ["/cart/add", "/checkout"])
def test_reading_never_changes(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 405
