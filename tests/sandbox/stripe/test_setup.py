"""Cards kept without a payment: SetupIntents, and Checkout in setup mode."""

from typing import Any

import pytest
import requests
import stripe

from tests.sandbox.stripe.desk import Ear, Shop, plain, words


def setup_session(shop: Shop, **changes: Any) -> stripe.checkout.Session:
    return shop.session(**{"mode": "setup", "currency": "eur", "line_items": None, **changes})


def test_a_confirmed_card_belongs_to_its_customer_and_is_charged_later(shop: Shop) -> None:
    customer = shop.api.customers.create({"email": "alice@example.com"})
    setup = shop.api.setup_intents.create(
        {
            "customer": customer.id,
            "confirm": True,
            "payment_method": "pm_card_visa",
            "return_url": "https://shop.test/back",
        }
    )
    assert (setup.status, setup.usage) == ("succeeded", "off_session")
    kept = shop.api.customers.payment_methods.list(customer.id).data
    assert [method.id for method in kept] == [setup.payment_method]
    assert shop.event_types() == [
        "customer.created",
        "setup_intent.created",
        "payment_method.attached",
        "setup_intent.succeeded",
    ]
    charged = shop.api.payment_intents.create(
        {
            "amount": 900,
            "currency": "eur",
            "customer": customer.id,
            "payment_method": str(setup.payment_method),
            "off_session": True,
            "confirm": True,
        }
    )
    assert charged.status == "succeeded"


def test_a_refused_card_leaves_the_intent_open_with_the_reason(shop: Shop) -> None:
    setup = shop.api.setup_intents.create({})
    with pytest.raises(stripe.CardError) as caught:
        shop.api.setup_intents.confirm(setup.id, {"payment_method": "pm_card_chargeDeclined"})
    assert caught.value.code == "card_declined"
    again = shop.api.setup_intents.retrieve(setup.id, {"expand": ["latest_attempt"]})
    assert again.status == "requires_payment_method"
    assert again.last_setup_error
    assert again.last_setup_error.decline_code == "generic_decline"
    assert isinstance(again.latest_attempt, stripe.SetupAttempt)
    assert again.latest_attempt.status == "failed"
    assert shop.event_types() == ["setup_intent.created", "setup_intent.setup_failed"]
    # A card of this number is kept without a word, and fails when it is charged.
    kept = shop.api.setup_intents.confirm(
        setup.id, {"payment_method": "pm_card_chargeCustomerFail"}
    )
    assert kept.status == "succeeded"


@pytest.mark.parametrize(("outcome", "status"), [("complete", "succeeded"), ("fail", "open")])
def test_the_bank_is_asked_and_its_answer_decides(shop: Shop, outcome: str, status: str) -> None:
    setup = shop.api.setup_intents.create(
        {
            "confirm": True,
            "payment_method": "pm_card_authenticationRequired",
            "return_url": "https://shop.test/back?from=bank",
        }
    )
    assert setup.status == "requires_action"
    assert setup.next_action
    assert setup.next_action.redirect_to_url
    bank = str(setup.next_action.redirect_to_url.url)
    assert "Confirm this card" in words(requests.get(bank, timeout=60))
    answer = requests.post(bank, data={"outcome": outcome}, allow_redirects=False, timeout=60)
    back = f"https://shop.test/back?from=bank&setup_intent={setup.id}"
    assert answer.headers["Location"] == back
    again = shop.api.setup_intents.retrieve(setup.id)
    assert again.status == ("succeeded" if status == "succeeded" else "requires_payment_method")
    assert len(shop.api.setup_attempts.list({"setup_intent": setup.id}).data) == 1
    assert requests.get(bank, timeout=60).status_code == 410


def test_a_canceled_or_finished_intent_takes_no_card(shop: Shop) -> None:
    setup = shop.api.setup_intents.create({})
    shop.api.setup_intents.cancel(setup.id)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.api.setup_intents.confirm(setup.id, {"payment_method": "pm_card_visa"})
    assert caught.value.code == "setup_intent_unexpected_state"
    assert shop.event_types()[-1] == "setup_intent.canceled"


def test_checkout_keeps_a_card_for_a_customer(shop: Shop, ear: Ear) -> None:
    shop.listen(ear)
    customer = shop.api.customers.create({"email": "bob@example.com"})
    session = setup_session(
        shop,
        customer=customer.id,
        metadata={"for": "card"},
        setup_intent_data={"metadata": {"subscription": "sub_1"}},
    )
    assert (session.payment_status, session.amount_total) == ("no_payment_required", None)
    shown = requests.get(str(session.url), timeout=60)
    assert "Nothing is charged now." in words(shown)
    assert 'value="bob@example.com" readonly' in shown.text
    answer = shop.pay(session)
    assert answer.headers["Location"] == f"https://shop.test/thanks?session={session.id}"
    done = shop.again(session, "setup_intent.payment_method")
    assert (done.status, done.payment_status, done.url) == ("complete", "no_payment_required", None)
    setup = done.setup_intent
    assert isinstance(setup, stripe.SetupIntent)
    assert (setup.status, setup.customer) == ("succeeded", customer.id)
    assert plain(setup.metadata) == {"subscription": "sub_1"}
    assert isinstance(setup.payment_method, stripe.PaymentMethod)
    assert setup.payment_method.customer == customer.id
    assert shop.event_types() == [
        "customer.created",
        "setup_intent.created",
        "payment_method.attached",
        "setup_intent.succeeded",
        "checkout.session.completed",
    ]
    assert shop.sandbox.wait_idle()
    assert "checkout.session.completed" in ear.types
    twice = shop.pay(session)
    assert twice.status_code == 303
    assert len(shop.api.payment_methods.list({"customer": customer.id}).data) == 1


def test_checkout_says_why_a_card_cannot_be_kept(shop: Shop) -> None:
    session = setup_session(shop, customer_creation="always")
    refused = shop.pay(session, card_number="4000000000009995")
    assert refused.status_code == 402
    assert "Your card has insufficient funds." in words(refused)
    assert shop.pay(session, card_number="4242").status_code == 402
    bank = shop.pay(session, card_number="4000002760003184").headers["Location"]
    no = requests.post(bank, data={"outcome": "fail"}, timeout=60)
    assert no.status_code == 402
    assert "unable to authenticate" in words(no)
    bank = shop.pay(session, card_number="4000002760003184").headers["Location"]
    yes = requests.post(bank, data={"outcome": "complete"}, allow_redirects=False, timeout=60)
    assert yes.headers["Location"].startswith("https://shop.test/thanks")
    done = shop.again(session, "setup_intent")
    assert isinstance(done.setup_intent, stripe.SetupIntent)
    assert done.customer == done.setup_intent.customer
    kept = shop.api.payment_methods.list({"customer": str(done.customer)}).data
    assert [method.id for method in kept] == [done.setup_intent.payment_method]


def test_an_expired_setup_takes_its_intent_along(shop: Shop) -> None:
    session = setup_session(shop)
    with pytest.raises(stripe.InvalidRequestError, match="expire the Checkout Session"):
        shop.api.setup_intents.cancel(str(session.setup_intent))
    shop.api.checkout.sessions.expire(session.id)
    assert shop.event_types() == [
        "setup_intent.created",
        "setup_intent.canceled",
        "checkout.session.expired",
    ]
    late = requests.get(str(session.url), timeout=60)
    assert late.status_code == 410
    assert "no card was saved" in words(late)


@pytest.mark.parametrize(
    ("changes", "param", "sentence"),
    [
        ({"currency": None}, "currency", "Missing required param: currency."),
        (
            {"line_items": [{"price": "price_x", "quantity": 1}]},
            "line_items",
            "You can not pass `line_items` in `setup` mode.",
        ),
        (
            {"subscription_data": {"trial_period_days": 14}},
            "subscription_data",
            "You can not pass `subscription_data` in `setup` mode.",
        ),
    ],
)
def test_what_belongs_to_another_mode_is_refused(
    shop: Shop, changes: dict[str, Any], param: str, sentence: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        setup_session(shop, **changes)
    assert (caught.value.param, caught.value.user_message) == (param, sentence)
