"""Checkout Sessions through the official client: amounts, limits, refusals, life and end."""

import time
from typing import Any

import pytest
import stripe

from tests.sandbox.stripe.desk import Shop, line, plain


def refused(shop: Shop, **changes: Any) -> stripe.InvalidRequestError:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.session(**changes)
    assert caught.value.http_status in (400, 404)
    return caught.value


def test_a_new_session_is_open_and_has_a_page(shop: Shop) -> None:
    session = shop.session(client_reference_id="cart-1", metadata={"cart": "1"})
    assert session.id.startswith("cs_test_")
    assert (session.status, session.payment_status) == ("open", "unpaid")
    assert session.url == f"{shop.sandbox.url}/c/pay/{session.id}"
    assert session.amount_total == 2000
    assert session.payment_intent is None
    assert abs(session.expires_at - session.created - 86_400) < 3
    assert plain(session.metadata) == {"cart": "1"}


def test_a_session_adds_up_discount_shipping_and_tax(shop: Shop) -> None:
    api = shop.api
    outside = api.tax_rates.create(
        {"display_name": "Sales", "percentage": 8.25, "inclusive": False}
    )
    coupon = api.coupons.create({"percent_off": 15})
    post: Any = {"display_name": "Post", "fixed_amount": {"amount": 599, "currency": "usd"}}
    session = shop.session(
        line_items=[line(1999, 3, tax_rates=[outside.id]), line(1050)],
        discounts=[{"coupon": coupon.id}],
        shipping_options=[{"shipping_rate_data": post}],
        expand=["line_items", "total_details.breakdown"],
    )
    assert session.amount_subtotal == 7047
    details = session.total_details
    assert details
    assert details.amount_discount == 1057
    assert details.amount_shipping == 599
    assert details.amount_tax == 421
    assert session.amount_total == 7047 - 1057 + 421 + 599
    assert session.line_items
    assert sum(item.amount_discount for item in session.line_items.data) == 1057
    assert sum(item.amount_total for item in session.line_items.data) + 599 == session.amount_total
    assert details.breakdown
    assert details.breakdown.discounts[0].amount == 1057
    assert details.breakdown.taxes[0].rate.id == outside.id


def test_inclusive_tax_is_inside_the_price(shop: Shop) -> None:
    vat = shop.api.tax_rates.create({"display_name": "VAT", "percentage": 19, "inclusive": True})
    session = shop.session(line_items=[line(11900, currency="eur", tax_rates=[vat.id])])
    assert session.amount_total == 11900
    assert session.total_details
    assert session.total_details.amount_tax == 1900


def test_a_coupon_may_apply_to_some_products_only(shop: Shop) -> None:
    mug = shop.api.products.create({"name": "Mug"})
    price = shop.api.prices.create({"product": mug.id, "currency": "usd", "unit_amount": 1000})
    coupon = shop.api.coupons.create({"percent_off": 50, "applies_to": {"products": [mug.id]}})
    session = shop.session(
        line_items=[{"price": price.id, "quantity": 2}, line(3000)],
        discounts=[{"coupon": coupon.id}],
    )
    assert session.amount_total == 1000 + 3000


def test_a_session_cheaper_than_its_coupon_is_free(shop: Shop) -> None:
    coupon = shop.api.coupons.create({"amount_off": 9900, "currency": "usd"})
    session = shop.paid(discounts=[{"coupon": coupon.id}])
    assert session.amount_total == 0
    assert session.payment_status == "no_payment_required"
    assert session.payment_intent is None
    assert shop.api.coupons.retrieve(coupon.id).times_redeemed == 1


def test_prices_in_a_session_come_with_their_product(shop: Shop) -> None:
    session = shop.session(line_items=[line(1234, 2, metadata={"sku": "A-1"})])
    items = shop.api.checkout.sessions.line_items.list(
        session.id, {"expand": ["data.price.product"]}
    )
    item = items.data[0]
    assert item.description == "Blue shirt"
    assert plain(item.metadata) == {"sku": "A-1"}
    assert item.price
    assert isinstance(item.price.product, stripe.Product)
    assert item.price.product.active is False


@pytest.mark.parametrize(
    ("seconds", "message"),
    [
        (29 * 60, "at least 30 minutes"),
        (24 * 3600 + 60, "less than 24 hours"),
    ],
)
def test_expires_at_lies_between_half_an_hour_and_a_day(
    shop: Shop, seconds: int, message: str
) -> None:
    error = refused(shop, expires_at=int(time.time()) + seconds)
    assert message in str(error.user_message)
    assert error.param == "expires_at"


def test_the_limits_of_expires_at_are_allowed(shop: Shop) -> None:
    now = int(time.time())
    assert shop.session(expires_at=now + 1800).expires_at == now + 1800
    assert shop.session(expires_at=now + 86_400).expires_at == now + 86_400


@pytest.mark.parametrize(
    ("changes", "param", "code", "words"),
    [
        ({"colour": "blue"}, "colour", "parameter_unknown", "Received unknown parameter: colour"),
        (
            {"line_items": [line(100, colour="blue")]},
            "line_items[0][colour]",
            "parameter_unknown",
            "Received unknown parameter: line_items[0][colour]",
        ),
        (
            {"mode": "gift"},
            "mode",
            None,
            "Invalid mode: must be one of payment, setup, or subscription",
        ),
        (
            {"line_items": [{"price": "price_x", "quantity": 1}]},
            "line_items[0][price]",
            "resource_missing",
            "No such price: 'price_x'",
        ),
        (
            {"customer": "cus_x"},
            "customer",
            "resource_missing",
            "No such customer: 'cus_x'",
        ),
        (
            {"line_items": [line(-5)]},
            "line_items[0][price_data][unit_amount]",
            None,
            "Invalid non-negative integer",
        ),
        ({"success_url": "thanks"}, "success_url", "url_invalid", "Not a valid URL"),
        (
            {"customer_email": "nobody"},
            "customer_email",
            "email_invalid",
            "Invalid email address: nobody",
        ),
        (
            {"line_items": [line(100, currency="zzz")]},
            "line_items[0][price_data][currency]",
            None,
            "Invalid currency: zzz",
        ),
        (
            {"line_items": [line(10)]},
            None,
            "amount_too_small",
            "The Checkout Session's total amount due must add up to at least $0.50 usd",
        ),
        (
            {"customer_email": ""},
            "customer_email",
            "parameter_invalid_empty",
            "You passed an empty string for 'customer_email'.",
        ),
        (
            {"line_items": [line(100) | {"quantity": "x"}]},
            "line_items[0][quantity]",
            "parameter_invalid_integer",
            "Invalid integer: x",
        ),
        (
            {"metadata": {"k": "v" * 501}},
            "metadata[k]",
            None,
            "Metadata values can have up to 500 characters",
        ),
        (
            {"allow_promotion_codes": True, "discounts": [{"coupon": "x"}]},
            "allow_promotion_codes",
            None,
            "You may only specify one of these parameters: allow_promotion_codes, discounts.",
        ),
        (
            {"mode": "subscription"},
            "line_items",
            None,
            "You must provide at least one recurring price in `subscription` mode when using",
        ),
    ],
)
def test_a_session_is_refused_in_stripes_words(
    shop: Shop, changes: dict[str, Any], param: str | None, code: str | None, words: str
) -> None:
    error = refused(shop, **changes)
    assert str(error.user_message).startswith(words)
    assert error.param == param
    assert error.code == code
    assert shop.api.checkout.sessions.list().data == []


def test_mixed_currencies_are_refused(shop: Shop) -> None:
    error = refused(shop, line_items=[line(500), line(500, currency="eur")])
    assert error.param == "line_items[1][price]"


def test_a_refused_session_leaves_nothing_behind(shop: Shop) -> None:
    refused(shop, line_items=[line(500), {"price": "price_x", "quantity": 1}])
    assert shop.api.products.list().data == []
    assert shop.api.prices.list().data == []


def test_an_unknown_session_is_missing(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.api.checkout.sessions.retrieve("cs_x")
    assert caught.value.http_status == 404
    assert caught.value.code == "resource_missing"
    assert caught.value.user_message == "No such checkout.session: 'cs_x'"


def test_an_open_session_can_be_expired_once(shop: Shop) -> None:
    session = shop.session()
    assert shop.api.checkout.sessions.expire(session.id).status == "expired"
    assert shop.again(session).url is None
    with pytest.raises(stripe.InvalidRequestError, match='status in \\["open"\\] can be expired'):
        shop.api.checkout.sessions.expire(session.id)
    assert shop.event_types() == ["checkout.session.expired"]


def test_a_session_expires_when_its_time_is_over(own: Shop) -> None:
    session = own.session(expires_at=int(time.time()) + 1800)
    own.control("clock", advance=1801)
    assert own.again(session).status == "expired"
    assert own.event_types() == ["checkout.session.expired"]


def test_a_failed_attempt_dies_with_its_session(own: Shop) -> None:
    session = own.session()
    own.pay(session, card_number="4000000000000002")
    own.control(f"sessions/{session.id}/expire")
    expired = own.again(session, "payment_intent")
    assert isinstance(expired.payment_intent, stripe.PaymentIntent)
    assert expired.payment_intent.status == "canceled"
    assert own.event_types()[-2:] == ["payment_intent.canceled", "checkout.session.expired"]


def test_a_recovered_session_names_the_one_before(own: Shop) -> None:
    session = own.session(after_expiration={"recovery": {"enabled": True}})
    own.api.checkout.sessions.expire(session.id)
    after = own.again(session).after_expiration
    assert after
    assert after.recovery
    assert after.recovery.url
    import requests

    answer = requests.get(after.recovery.url, allow_redirects=False, timeout=60)
    assert answer.status_code == 303
    fresh = own.api.checkout.sessions.list().data[0]
    assert fresh.recovered_from == session.id
    assert answer.headers["Location"] == fresh.url


def test_metadata_merges_and_empty_values_remove_keys(shop: Shop) -> None:
    session = shop.session(metadata={"a": "1", "b": "2"})
    changed = shop.api.checkout.sessions.update(session.id, {"metadata": {"b": "", "c": "3"}})
    assert plain(changed.metadata) == {"a": "1", "c": "3"}


def test_payment_intent_data_reaches_the_payment(shop: Shop) -> None:
    session = shop.paid(
        payment_intent_data={"metadata": {"order": "9"}, "description": "Order 9"},
    )
    intent = shop.again(session, "payment_intent").payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert plain(intent.metadata) == {"order": "9"}
    assert intent.description == "Order 9"
    assert intent.amount_received == 2000


def test_customers_are_made_only_when_asked(shop: Shop) -> None:
    assert shop.paid().customer is None
    session = shop.paid(customer_creation="always")
    assert isinstance(session.customer, str)
    customer = shop.api.customers.retrieve(session.customer)
    assert customer.email == "alice@example.com"
    intent = shop.again(session, "payment_intent").payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert intent.customer == session.customer


def test_a_given_customer_is_kept_and_charged(shop: Shop) -> None:
    customer = shop.api.customers.create({"email": "bob@example.com"})
    session = shop.paid(customer=customer.id)
    assert session.customer == customer.id
    assert session.customer_details
    assert session.customer_details.email == "bob@example.com"


def test_lists_filter_by_status_payment_customer_and_time(shop: Shop) -> None:
    open_, paid = shop.session(), shop.paid(customer_creation="always")
    sessions = shop.api.checkout.sessions

    def ids(**params: Any) -> list[str]:
        filters: Any = params
        return [session.id for session in sessions.list(filters).data]

    assert ids(status="open") == [open_.id]
    assert ids(status="complete") == [paid.id]
    assert ids(payment_intent=paid.payment_intent) == [paid.id]
    assert ids(customer=paid.customer) == [paid.id]
    assert ids(customer_details={"email": "ALICE@example.com"}) == [paid.id]
    assert ids(created={"gte": open_.created}) == [paid.id, open_.id]
    assert ids(created={"lt": open_.created}) == []


def test_what_the_sandbox_cannot_do_it_says(shop: Shop) -> None:
    field: Any = {"key": "size", "label": {"type": "custom", "custom": "Size"}, "type": "text"}
    error = refused(shop, custom_fields=[field])
    assert error.user_message == "The sandbox does not support `custom_fields` yet."
