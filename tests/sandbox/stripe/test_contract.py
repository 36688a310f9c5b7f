"""The sandbox against the types in the stripe wheel, and those checks against planted mistakes."""

import copy
from typing import Any

import pytest

from sandbox.stripe import contract, routing, wheel
from sandbox.stripe.machine import Exchange
from tests.sandbox.billing.visits import visit_billing
from tests.sandbox.stripe.desk import Ear, Shop, broken, line
from tests.sandbox.stripe.visits import visit_setups, visit_subscribing

EVERYTHING = ["line_items", "payment_intent.latest_charge.balance_transaction", "customer"]


def visit_catalogue(shop: Shop) -> None:
    api = shop.api
    product = api.products.create(
        {"name": "Mug", "default_price_data": {"currency": "usd", "unit_amount": 900}}
    )
    api.products.update(product.id, {"description": "Holds tea", "metadata": {"a": "1"}})
    api.products.retrieve(product.id, {"expand": ["default_price"]})
    api.products.list({"active": True, "ids": [product.id]})
    api.products.delete(api.products.create({"name": "Passing"}).id)
    price = api.prices.create(
        {"product": product.id, "currency": "eur", "unit_amount": 800, "lookup_key": "mug"}
    )
    api.prices.update(price.id, {"nickname": "Euro"})
    api.prices.retrieve(price.id, {"expand": ["product", "currency_options", "tiers"]})
    api.prices.list({"product": product.id, "lookup_keys": ["mug"]})
    rate = api.tax_rates.create({"display_name": "VAT", "percentage": 19, "inclusive": False})
    api.tax_rates.update(rate.id, {"country": "DE", "tax_type": "vat"})
    api.tax_rates.retrieve(rate.id)
    api.tax_rates.list({"active": True})
    shipping = api.shipping_rates.create(
        {
            "display_name": "Post",
            "fixed_amount": {"amount": 500, "currency": "usd"},
            "delivery_estimate": {"minimum": {"unit": "business_day", "value": 2}},
        }
    )
    api.shipping_rates.update(shipping.id, {"metadata": {"carrier": "post"}})
    api.shipping_rates.retrieve(shipping.id)
    api.shipping_rates.list({"active": True, "currency": "usd"})


def visit_discounts(shop: Shop) -> None:
    api = shop.api
    coupon = api.coupons.create({"percent_off": 12.5, "name": "Spring"})
    api.coupons.create({"amount_off": 300, "currency": "usd", "duration": "forever"})
    api.coupons.update(coupon.id, {"name": "Summer"})
    api.coupons.retrieve(coupon.id, {"expand": ["applies_to", "currency_options"]})
    api.coupons.list()
    code = api.promotion_codes.create(
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "SUN"}
    )
    api.promotion_codes.update(code.id, {"metadata": {"a": "b"}})
    api.promotion_codes.retrieve(code.id, {"expand": ["promotion.coupon"]})
    api.promotion_codes.list({"code": "sun", "active": True})
    api.coupons.delete(api.coupons.create({"percent_off": 5}).id)


def visit_customers(shop: Shop) -> str:
    api = shop.api
    customer = api.customers.create(
        {
            "email": "bob@example.com",
            "address": {"line1": "2 High Street", "country": "GB"},
            "shipping": {"name": "Bob", "address": {"line1": "2 High Street"}},
        }
    )
    api.customers.update(customer.id, {"name": "Bob Example", "metadata": {"tier": "gold"}})
    method = api.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})
    api.payment_methods.attach(method.id, {"customer": customer.id})
    api.payment_methods.update(method.id, {"billing_details": {"name": "Bob"}})
    api.payment_methods.retrieve(method.id, {"expand": ["customer"]})
    api.payment_methods.list({"customer": customer.id, "type": "card"})
    api.payment_methods.create(
        {"type": "sepa_debit", "sepa_debit": {"iban": "DE89370400440532013000"}}
    )
    api.customers.payment_methods.list(customer.id)
    api.customers.payment_methods.retrieve(customer.id, method.id)
    api.customers.update(customer.id, {"invoice_settings": {"default_payment_method": method.id}})
    expand = ["invoice_settings.default_payment_method", "sources", "subscriptions", "tax_ids"]
    api.customers.retrieve(customer.id, {"expand": expand})
    api.customers.list({"email": "bob@example.com"})
    api.payment_methods.detach(method.id)
    api.customers.delete(api.customers.create({}).id)
    return customer.id


def visit_sessions(shop: Shop, customer: str) -> str:
    api = shop.api
    rate = api.tax_rates.create({"display_name": "VAT", "percentage": 7, "inclusive": True})
    coupon = api.coupons.create({"percent_off": 10})
    shipping: Any = {
        "display_name": "Courier",
        "fixed_amount": {"amount": 700, "currency": "usd"},
    }
    session = shop.session(
        line_items=[line(1999, 2, tax_rates=[rate.id]), line(500)],
        customer=customer,
        discounts=[{"coupon": coupon.id}],
        shipping_options=[{"shipping_rate_data": shipping}],
        shipping_address_collection={"allowed_countries": ["US", "GB"]},
        phone_number_collection={"enabled": True},
        payment_intent_data={"metadata": {"order": "7"}, "setup_future_usage": "off_session"},
        after_expiration={"recovery": {"enabled": True}},
        metadata={"cart": "7"},
        client_reference_id="cart-7",
    )
    api.checkout.sessions.update(session.id, {"metadata": {"cart": "8"}})
    shop.pay(session, card_number="4000000000000002")
    shop.pay(session)
    everything = [*EVERYTHING, "total_details.breakdown", "shipping_cost.shipping_rate"]
    shop.again(session, *everything)
    shop.again(session, "line_items.data.taxes", "line_items.data.discounts", "discounts.coupon")
    api.checkout.sessions.line_items.list(session.id, {"expand": ["data.price.product"]})
    api.checkout.sessions.list({"limit": 3, "status": "complete"})
    api.checkout.sessions.expire(shop.session().id)
    paid = shop.again(session)
    assert isinstance(paid.payment_intent, str)
    return paid.payment_intent


def visit_payments(shop: Shop, intent: str) -> None:
    api = shop.api
    api.payment_intents.retrieve(intent, {"expand": ["latest_charge", "payment_method"]})
    api.payment_intents.update(intent, {"description": "An order"})
    api.payment_intents.list({"limit": 2})
    charge = api.charges.list({"payment_intent": intent}).data[0]
    api.charges.update(charge.id, {"metadata": {"a": "b"}})
    api.charges.retrieve(charge.id, {"expand": ["refunds", "balance_transaction"]})
    assert isinstance(charge.balance_transaction, str)
    api.balance_transactions.retrieve(charge.balance_transaction, {"expand": ["source"]})
    api.balance_transactions.list({"type": "charge"})
    refund = api.refunds.create({"payment_intent": intent, "amount": 100, "reason": "duplicate"})
    api.refunds.update(refund.id, {"metadata": {"why": "broken"}})
    api.refunds.retrieve(refund.id, {"expand": ["charge", "balance_transaction"]})
    api.refunds.list({"payment_intent": intent})
    assert shop.raw("POST", f"/v1/refunds/{refund.id}/cancel").status_code == 400
    held = api.payment_intents.create(
        {
            "amount": 1500,
            "currency": "usd",
            "capture_method": "manual",
            "confirm": True,
            "payment_method": "pm_card_visa",
            "return_url": "https://shop.test/",
        }
    )
    api.payment_intents.capture(held.id, {"amount_to_capture": 1000})
    waiting = api.payment_intents.create({"amount": 900, "currency": "eur"})
    api.payment_intents.confirm(waiting.id, {"payment_method": "pm_card_authenticationRequired"})
    api.payment_intents.cancel(waiting.id, {"cancellation_reason": "abandoned"})


def visit_events(shop: Shop) -> None:
    api = shop.api
    endpoint = api.webhook_endpoints.create(
        {"url": "http://127.0.0.1:9/", "enabled_events": ["checkout.session.completed"]}
    )
    api.webhook_endpoints.update(endpoint.id, {"disabled": True})
    api.webhook_endpoints.retrieve(endpoint.id)
    api.webhook_endpoints.list()
    api.webhook_endpoints.delete(endpoint.id)
    event = api.events.list({"types": ["charge.succeeded"], "created": {"gt": 1}}).data[0]
    api.events.retrieve(event.id)
    assert len(list(api.events.list({"limit": 30}).auto_paging_iter())) > 30


def test_every_route_of_the_sandbox_keeps_to_the_wheels_types(shop: Shop) -> None:
    visit_catalogue(shop)
    visit_discounts(shop)
    intent = visit_sessions(shop, visit_customers(shop))
    visit_payments(shop, intent)
    visit_setups(shop)
    visit_subscribing(shop)
    visit_billing(shop)
    visit_events(shop)
    visited = {routing.match(call.method, call.path) is not None for call in shop.seen}
    assert visited == {True}
    reached = {
        (found[0].method, found[0].path)
        for call in shop.seen
        if (found := routing.match(call.method, call.path))
    }
    assert {(route.method, route.path) for route in routing.ROUTES} - reached == set()
    assert broken(shop.seen) == []


def test_every_event_is_delivered_in_the_wheels_types(shop: Shop, ear: Ear) -> None:
    shop.listen(ear)
    intent = visit_sessions(shop, visit_customers(shop))
    visit_discounts(shop)
    shop.api.refunds.create({"payment_intent": intent})
    assert shop.sandbox.wait_idle()
    # The ear checks each of them when the test ends.
    assert {"checkout.session.expired", "charge.refunded", "charge.failed"} <= set(ear.types)


def test_every_route_of_the_sandbox_is_one_of_stripes() -> None:
    strange = [route for route in routing.ROUTES if route.spec is None]
    assert strange == []


def test_the_wheel_is_read_as_a_whole() -> None:
    assert len(wheel.routes()) > 500
    session = wheel.find_resource("checkout.session")
    assert session
    assert session.fields["mode"].shape == wheel.Choice(("payment", "setup", "subscription"))


@pytest.fixture
def session_call(shop: Shop) -> Exchange:
    shop.session(expand=["line_items"])
    return next(call for call in shop.seen if call.path == "/v1/checkout/sessions")


def planted(call: Exchange, side: str, path: list[Any], value: Any) -> list[str]:
    """Violations after one value of a good call was replaced (or removed, for ...)."""
    params, response = copy.deepcopy(call.params), copy.deepcopy(call.response)
    here: Any = params if side == "request" else response
    for step in path[:-1]:
        here = here[step]
    if value is ...:
        del here[path[-1]]
    else:
        here[path[-1]] = value
    return contract.violations(Exchange(call.method, call.path, params, call.status, response))


def test_an_untouched_call_breaks_nothing(session_call: Exchange) -> None:
    assert contract.violations(session_call) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["line_item"], "price_1"),
        (["mode"], "pay"),
        (["expires_at"], "tomorrow"),
        (["line_items"], "price_1"),
        (["line_items", 0, "quantity"], "two"),
        (["line_items", 0, "colour"], "blue"),
        (["line_items", 0, "price_data", "currency"], ...),
        (["line_items", 0, "price_data", "tax_behavior"], "maybe"),
        (["allow_promotion_codes"], "yes"),
        (["payment_method_types"], ["card"]),
        (["customer_email"], ""),
        (["shipping_address_collection"], {"allowed_countries": ["Atlantis"]}),
    ],
)
def test_a_planted_wrong_parameter_turns_the_check_red(
    session_call: Exchange, path: list[Any], value: Any
) -> None:
    found = planted(session_call, "request", path, value)
    assert len(found) == 1
    assert found[0].startswith("request ")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["shipping_details"], {}),
        (["id"], ...),
        (["id"], None),
        (["status"], "done"),
        (["payment_status"], True),
        (["amount_total"], "2000"),
        (["expires_at"], 1.5),
        (["livemode"], 0),
        (["metadata", "cart"], 7),
        (["automatic_tax", "enabled"], ...),
        (["total_details", "amount_fee"], 1),
        (["line_items", "data", 0, "amount_total"], None),
        (["line_items", "data", 0, "price", "unit_amount_decimal"], 2000),
        (["line_items", "has_more"], ...),
        (["payment_intent"], {"object": "charge"}),
    ],
)
def test_a_planted_wrong_field_turns_the_check_red(
    session_call: Exchange, path: list[Any], value: Any
) -> None:
    found = planted(session_call, "response", path, value)
    assert found
    assert all(text.startswith("response ") for text in found)


def test_a_planted_wrong_field_in_an_event_turns_the_check_red(shop: Shop) -> None:
    shop.paid()
    event = shop.raw("GET", "/v1/events?limit=1").json()["data"][0]
    assert contract.object_violations(event) == []
    event["data"]["object"]["colour"] = "blue"
    event["type"] = "charge.exploded"
    assert len(contract.object_violations(event)) == 2


def test_unknown_routes_and_error_bodies_are_checked_too(shop: Shop) -> None:
    nothing = Exchange("GET", "/v1/unicorns", {}, 200, {})
    assert contract.violations(nothing) == ["GET /v1/unicorns is no route that the wheel knows."]
    error = {"error": {"message": "No.", "type": "invalid_request_error", "mood": "bad"}}
    call = Exchange("GET", "/v1/refunds/re_1", {}, 404, error)
    assert contract.violations(call) == ["response error[mood]: ErrorObject has no such field"]


def test_a_call_that_was_never_made_can_be_checked() -> None:
    wrong = contract.request_violations("POST", "/v1/refunds", {"amount": "all", "reason": "sad"})
    assert len(wrong) == 2
    assert contract.request_violations("POST", "/v1/refunds", {"amount": 5}) == []


def test_a_recorder_collects_calls_and_names_the_broken_ones() -> None:
    recorder = contract.record()
    recorder(Exchange("POST", "/v1/refunds", {"amounts": "5"}, 200, {}))
    found = recorder.violations()
    assert "POST /v1/refunds: request amounts: RefundCreateParams has no such field" in found
    assert any("id: required, and missing" in text for text in found)
