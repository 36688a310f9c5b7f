"""Checkout in subscription mode: what is shown, what is started, in which order it is told."""

from typing import Any

import pytest
import requests
import stripe
from selectolax.lexbor import LexborHTMLParser as HTMLParser

from tests.sandbox.stripe.desk import Ear, Shop, plain, words

DAY = 86_400


def monthly(shop: Shop, amount: int = 900, **changes: Any) -> stripe.Price:
    product = {"name": "Pro"}
    recurring = {"interval": "month"}
    params: Any = {
        "currency": "eur",
        "unit_amount": amount,
        "recurring": recurring,
        "product_data": product,
        **changes,
    }
    return shop.api.prices.create(params)


def subscribing(shop: Shop, **changes: Any) -> stripe.checkout.Session:
    items = changes.pop("line_items", None) or [{"price": monthly(shop).id, "quantity": 1}]
    return shop.session(mode="subscription", line_items=items, **changes)


def shown(session: stripe.checkout.Session) -> str:
    return words(requests.get(str(session.url), timeout=60))


def test_a_paid_session_starts_the_subscription_with_the_typed_card(shop: Shop, ear: Ear) -> None:
    shop.listen(ear)
    customer = shop.api.customers.create({"email": "bob@example.com"})
    session = subscribing(
        shop,
        customer=customer.id,
        client_reference_id="user-7",
        metadata={"plan": "pro"},
        subscription_data={"metadata": {"user": "7"}, "description": "Pro, monthly"},
    )
    assert (session.amount_total, session.payment_status) == (900, "unpaid")
    assert session.payment_method_collection == "always"
    assert "€9.00 a month" in shown(session)
    answer = shop.pay(session)
    assert answer.headers["Location"] == f"https://shop.test/thanks?session={session.id}"
    done = shop.again(session, "subscription.latest_invoice.payments", "invoice", "line_items")
    assert (done.status, done.payment_status, done.payment_intent) == ("complete", "paid", None)
    subscription = done.subscription
    assert isinstance(subscription, stripe.Subscription)
    assert (subscription.status, subscription.customer) == ("active", customer.id)
    assert (plain(subscription.metadata), subscription.description) == (
        {"user": "7"},
        "Pro, monthly",
    )
    invoice = done.invoice
    assert isinstance(invoice, stripe.Invoice)
    assert (invoice.status, invoice.amount_paid, invoice.billing_reason) == (
        "paid",
        900,
        "subscription_create",
    )
    kept = shop.api.payment_methods.list({"customer": customer.id}).data
    assert [method.id for method in kept] == [subscription.default_payment_method]
    payments = shop.api.invoice_payments.list({"invoice": str(invoice.id)}).data
    assert [payment.status for payment in payments] == ["paid"]
    assert len(shop.api.charges.list({"customer": customer.id}).data) == 1
    assert shop.event_types()[3:] == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "payment_method.attached",
        "customer.subscription.created",
        "invoice.created",
        "invoice.finalized",
        "invoice.updated",
        "invoice_payment.paid",
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.updated",
        "checkout.session.completed",
        "charge.updated",
    ]
    assert shop.sandbox.wait_idle()
    assert "checkout.session.completed" in ear.types


def test_a_trial_is_said_in_words_and_asks_the_bank_at_the_start(shop: Shop) -> None:
    session = subscribing(
        shop,
        subscription_data={
            "trial_period_days": 14,
            "trial_settings": {"end_behavior": {"missing_payment_method": "cancel"}},
        },
    )
    assert (session.amount_total, session.amount_subtotal) == (0, 0)
    page = shown(session)
    assert "14 days free" in page
    assert "Then €9.00 a month, from " in page
    assert "Start trial" in page
    refused = shop.pay(session, card_number="4000000000000002")
    assert refused.status_code == 402
    bank = shop.pay(session, card_number="4000002500003155").headers["Location"]
    assert "Confirm this card" in words(requests.get(bank, timeout=60))
    answer = requests.post(bank, data={"outcome": "complete"}, allow_redirects=False, timeout=60)
    assert answer.headers["Location"].startswith("https://shop.test/thanks")
    done = shop.again(session, "subscription", "invoice")
    assert (done.payment_status, done.setup_intent) == ("no_payment_required", None)
    subscription = done.subscription
    assert isinstance(subscription, stripe.Subscription)
    assert subscription.status == "trialing"
    assert subscription.trial_end
    assert subscription.trial_start
    assert subscription.trial_end - subscription.trial_start == 14 * DAY
    assert subscription.default_payment_method
    assert isinstance(done.invoice, stripe.Invoice)
    assert (done.invoice.status, done.invoice.total) == ("paid", 0)
    assert isinstance(done.customer, str)
    assert shop.api.customers.retrieve(done.customer).email == "alice@example.com"
    types = shop.event_types()
    assert types[-1] == "checkout.session.completed"
    assert "setup_intent.succeeded" in types
    assert "charge.succeeded" not in types


def test_a_trial_without_a_card_is_possible_where_the_shop_allows_it(shop: Shop) -> None:
    session = subscribing(
        shop,
        payment_method_collection="if_required",
        subscription_data={"trial_period_days": 7},
    )
    tree = HTMLParser(requests.get(str(session.url), timeout=60).text)
    assert tree.css_first("input[name=card_number]") is None
    assert shop.pay(session, card_number="").status_code == 303
    subscription = shop.again(session, "subscription").subscription
    assert isinstance(subscription, stripe.Subscription)
    assert (subscription.status, subscription.default_payment_method) == ("trialing", None)


def test_a_refused_card_starts_nothing_and_a_good_one_follows(shop: Shop) -> None:
    session = subscribing(shop)
    refused = shop.pay(session, card_number="4000000000009995")
    assert refused.status_code == 402
    assert "Your card has insufficient funds." in words(refused)
    assert shop.api.subscriptions.list({"status": "all"}).data == []
    bank = shop.pay(session, card_number="4000002760003184").headers["Location"]
    no = requests.post(bank, data={"outcome": "fail"}, timeout=60)
    assert no.status_code == 402
    assert shop.api.subscriptions.list({"status": "all"}).data == []
    bank = shop.pay(session, card_number="4000002760003184").headers["Location"]
    yes = requests.post(bank, data={"outcome": "complete"}, allow_redirects=False, timeout=60)
    assert yes.status_code == 303
    done = shop.again(session, "subscription")
    assert isinstance(done.subscription, stripe.Subscription)
    assert done.subscription.status == "active"
    # One intent from the first try to the last.
    assert len(shop.api.payment_intents.list({"customer": str(done.customer)}).data) == 1


def test_an_expired_session_leaves_no_subscription(shop: Shop) -> None:
    session = subscribing(shop)
    shop.pay(session, card_number="4000000000000002")
    shop.api.checkout.sessions.expire(session.id)
    assert shop.event_types()[-2:] == ["payment_intent.canceled", "checkout.session.expired"]
    assert shop.api.subscriptions.list({"status": "all"}).data == []


def test_a_code_is_redeemed_once_and_its_duration_told(shop: Shop) -> None:
    coupon = shop.api.coupons.create(
        {"percent_off": 50, "duration": "repeating", "duration_in_months": 3}
    )
    shop.api.promotion_codes.create(
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "HALF"}
    )
    session = subscribing(shop, allow_promotion_codes=True)
    page = words(shop.pay(session, action="apply_promotion", promotion_code="half"))
    assert "€4.50 a month" in page
    assert "For 3 months, then €9.00 a month" in page
    assert shop.pay(session, promotion_code="HALF").status_code == 303
    done = shop.again(session, "subscription.discounts", "invoice")
    assert isinstance(done.subscription, stripe.Subscription)
    assert len(done.subscription.discounts) == 1
    assert isinstance(done.invoice, stripe.Invoice)
    assert done.invoice.amount_paid == done.amount_total == 450
    assert shop.api.coupons.retrieve(coupon.id).times_redeemed == 1


def test_a_coupon_that_another_buyer_used_up_meanwhile_charges_nothing(shop: Shop) -> None:
    coupon = shop.api.coupons.create({"percent_off": 50, "max_redemptions": 1})
    first, second = (subscribing(shop, discounts=[{"coupon": coupon.id}]) for _ in range(2))
    shop.pay(first)
    late = shop.pay(second)
    assert late.status_code == 400
    assert "is used up" in words(late)
    assert shop.again(second).status == "open"
    assert len(shop.api.charges.list().data) == 1


def test_lines_once_and_again_with_tax_come_to_what_the_invoice_says(shop: Shop) -> None:
    vat = shop.api.tax_rates.create({"display_name": "VAT", "percentage": 19, "inclusive": False})
    once: Any = {
        "price_data": {
            "currency": "eur",
            "unit_amount": 2500,
            "product_data": {"name": "Setting up"},
        },
        "quantity": 1,
        "tax_rates": [vat.id],
    }
    again: Any = {
        "price_data": {
            "currency": "eur",
            "unit_amount": 1000,
            "recurring": {"interval": "year"},
            "product_data": {"name": "Team"},
        },
        "quantity": 3,
        "tax_rates": [vat.id],
    }
    session = subscribing(shop, line_items=[again, once])
    assert session.amount_total == 6545
    assert "€35.70 a year" in shown(session)
    assert shop.control(f"sessions/{session.id}/pay")["outcome"] == "completed"
    invoice = shop.again(session, "invoice").invoice
    assert isinstance(invoice, stripe.Invoice)
    assert invoice.amount_paid == 6545


@pytest.mark.parametrize(
    ("changes", "param", "sentence"),
    [
        (
            {"payment_intent_data": {"description": "x"}},
            "payment_intent_data",
            "You can not pass `payment_intent_data` in `subscription` mode.",
        ),
        (
            {"customer_creation": "always"},
            "customer_creation",
            "You can not pass `customer_creation` in `subscription` mode.",
        ),
        (
            {"subscription_data": {"trial_period_days": 0}},
            "subscription_data[trial_period_days]",
            "Invalid trial_period_days: must be between 1 and 730.",
        ),
        (
            {"subscription_data": {"trial_end": 1_700_000_000}},
            "subscription_data[trial_end]",
            "The `trial_end` date has to be at least 2 days in the future.",
        ),
        (
            {"subscription_data": {"metadata": {"k" * 41: "v"}}},
            "subscription_data[metadata]",
            "Metadata keys can have up to 40 characters",
        ),
    ],
)
def test_what_stripe_would_refuse_is_refused(
    shop: Shop, changes: dict[str, Any], param: str, sentence: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        subscribing(shop, **changes)
    assert caught.value.param == param
    assert str(caught.value.user_message).startswith(sentence)


def test_two_rhythms_in_one_session_are_refused(shop: Shop) -> None:
    yearly = monthly(shop, recurring={"interval": "year"})
    items = [{"price": price.id, "quantity": 1} for price in (monthly(shop), yearly)]
    with pytest.raises(stripe.InvalidRequestError, match="different billing intervals"):
        subscribing(shop, line_items=items)


def test_a_customer_of_a_test_clock_subscribes_in_its_time(own: Shop) -> None:
    frozen = 1_893_456_000
    clock = own.api.test_helpers.test_clocks.create({"frozen_time": frozen})
    customer = own.api.customers.create({"email": "bob@example.com", "test_clock": clock.id})
    session = subscribing(own, customer=customer.id, subscription_data={"trial_period_days": 10})
    assert "Then €9.00 a month, from 11 January 2030" in shown(session)
    own.pay(session, expiry="12/40")
    subscription = own.again(session, "subscription").subscription
    assert isinstance(subscription, stripe.Subscription)
    assert subscription.trial_end == frozen + 10 * DAY
