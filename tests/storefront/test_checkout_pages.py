"""From the cart to Stripe's page and back, and everything that may have changed meanwhile."""

import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from tests.factories.sales import StripeDesk, make_shipping
from tests.storefront.conftest import Shelves, Stocked
from webapp.catalog.models import SkuInventory, SkuPrice
from webapp.orders.models import Checkout, Order
from webapp.payments import gateway
from webapp.payments.errors import StripeUnavailable


def fill_cart(client: FlaskClient, shelves: Shelves, on_hand: int = 5) -> int:
    make_shipping()
    shelves.add("bowl", (Stocked(amount=2500, on_hand=on_hand),), title="Bowl")
    sku_id = shelves.skus["bowl"][0]
    client.post("/cart/add", data={"sku_id": sku_id})
    return sku_id


def press_pay(client: FlaskClient, html: str | None = None) -> TestResponse:
    """Send the form as the cart page (or an older copy of it) has it."""
    shown = html or client.get("/cart").text
    form = dict(re.findall(r'name="(seen_\w+)" value="([^"]*)"', shown))
    assert set(form) == {"seen_total", "seen_currency"}
    return client.post("/checkout", data=form)


def told(client: FlaskClient, answer: TestResponse) -> str:
    """Return the cart page that the answer leads to."""
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/cart"
    return client.get("/cart").text


def test_the_buyer_is_sent_to_stripe_and_comes_back_to_the_order(
    client: FlaskClient, shelves: Shelves, stripe_desk: StripeDesk, session: Session
) -> None:
    fill_cart(client, shelves)
    answer = press_pay(client)
    assert answer.status_code == 303
    checkout = session.scalars(select(Checkout)).one()
    assert answer.headers["Location"] == checkout.url
    back = f"/checkout/success?session_id={checkout.stripe_session_id}"
    session.commit()

    waiting = client.get(back)
    assert waiting.status_code == 200
    assert "Confirming your payment" in waiting.text
    assert re.search(
        r'http-equiv="refresh" content="3;url=/checkout/success\?session_id=cs_', waiting.text
    )

    stripe_desk.pay(checkout)
    session.commit()
    for _ in range(2):
        done = client.get(back)
        assert done.status_code == 200
        assert "Your order is in" in done.text
        assert "alice@example.com" in done.text
        assert "no-store" in done.headers["Cache-Control"]
        assert done.headers["Referrer-Policy"] == "no-referrer"
    assert len(session.scalars(select(Order)).all()) == 1
    assert "Your cart is empty" in client.get("/cart").text
    link = re.search(r'href="(?:http://localhost)?(/orders/status/[^"]+)"', done.text)
    assert link
    assert client.get(link[1]).status_code == 200


def test_a_total_that_changed_is_told_before_anything_is_paid(
    client: FlaskClient, shelves: Shelves, stripe_desk: StripeDesk, session: Session
) -> None:
    sku_id = fill_cart(client, shelves)
    old = client.get("/cart").text
    session.add(SkuPrice(sku_id=sku_id, unit_amount=2600, currency="usd"))
    session.commit()
    page = told(client, press_pay(client, old))
    assert "The total has changed" in page
    assert "$31.90" in page
    assert session.scalars(select(Checkout)).all() == []


def test_what_was_sold_meanwhile_is_told(
    client: FlaskClient, shelves: Shelves, stripe_desk: StripeDesk, session: Session
) -> None:
    sku_id = fill_cart(client, shelves, on_hand=1)
    old = client.get("/cart").text
    session.get_one(SkuInventory, sku_id).on_hand = 0
    session.commit()
    page = told(client, press_pay(client, old))
    assert "sold out" in page
    assert "Remove" in page


def test_stripe_being_away_costs_the_buyer_nothing(
    client: FlaskClient, shelves: Shelves, stripe_desk: StripeDesk, session: Session
) -> None:
    fill_cart(client, shelves)

    def away(*_: object) -> None:
        raise StripeUnavailable("No answer.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gateway, "create_session", away)
        page = told(client, press_pay(client))
    assert "Nothing was charged; please try again." in page
    assert press_pay(client).headers["Location"].startswith(stripe_desk.url)


def test_a_payment_that_failed_leads_back_to_the_cart(
    client: FlaskClient, shelves: Shelves, stripe_desk: StripeDesk, session: Session
) -> None:
    fill_cart(client, shelves)
    press_pay(client)
    checkout = session.scalars(select(Checkout)).one()
    session_id = checkout.stripe_session_id
    stripe_desk.expire(checkout)
    session.commit()
    page = told(client, client.get(f"/checkout/success?session_id={session_id}"))
    assert "nothing was charged" in page
    assert "Bowl" in page


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"seen_total": "100"},
        {"seen_total": "abc", "seen_currency": "usd"},
        {"seen_total": "-1", "seen_currency": "usd"},
        {"seen_total": "9" * 40, "seen_currency": "usd"},
        {"seen_total": "100", "seen_currency": "usd; drop"},
    ],
)
def test_a_form_that_is_not_ours_is_a_bad_request(
    client: FlaskClient, shelves: Shelves, form: dict[str, str]
) -> None:
    fill_cart(client, shelves)
    assert client.post("/checkout", data=form).status_code == 400


def test_nothing_in_the_cart_is_nothing_to_pay(client: FlaskClient) -> None:
    form = {"seen_total": "100", "seen_currency": "usd"}
    assert "Your cart is empty" in told(client, client.post("/checkout", data=form))


@pytest.mark.parametrize(
    "session_id", ["", "x", "cs_", "cs_test_%00", "cs_test_" + "a" * 999, "../../v1/balance"]
)
def test_a_session_that_cannot_be_is_not_asked_about(client: FlaskClient, session_id: str) -> None:
    assert client.get(f"/checkout/success?session_id={session_id}").status_code == 404


def test_a_session_that_stripe_does_not_know_is_not_found(
    client: FlaskClient, stripe_desk: StripeDesk
) -> None:
    answer = client.get("/checkout/success?session_id=cs_test_" + "a1" * 20)
    assert answer.status_code == 404
