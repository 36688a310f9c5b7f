"""Cards that die: retries on schedule, what follows them, and every way back."""

from typing import Any

import pytest
import stripe

from sandbox.stripe.billing import settings
from sandbox.stripe.resources import payment_intents
from tests.sandbox.billing.desk import CARD, DAY, HOUR, Desk, at

FIRST_TRY = at("2027-02-28 11:00")


def spoiled(desk: Desk, code: str, times: int | None = None) -> tuple[str, stripe.Subscription]:
    """A customer whose card dies before the first renewal, which has just been tried."""
    customer = desk.customer(None)
    method = desk.give_card(customer)
    subscription = desk.subscribe(customer, desk.price())
    desk.spoil(method, code, times)
    desk.go_to(FIRST_TRY)
    return customer, subscription


def charges(desk: Desk) -> list[int]:
    """When cards were charged since the first try, in days after it."""
    found = desk.api.charges.list({"limit": 100}).data[::-1]
    return [(one.created - FIRST_TRY) // DAY for one in found if one.created >= FIRST_TRY]


def set_billing(desk: Desk, **wanted: Any) -> None:
    settings.change(desk.machine.store, wanted)


def test_a_failed_renewal_is_past_due_and_told_in_order(desk: Desk) -> None:
    _, subscription = spoiled(desk, "insufficient_funds")
    assert desk.status(subscription) == "past_due"
    invoice = desk.latest(subscription)
    assert (invoice.status, invoice.attempt_count, invoice.attempted) == ("open", 1, True)
    assert invoice.next_payment_attempt == FIRST_TRY + DAY
    assert desk.told(since=FIRST_TRY) == [
        "invoice.finalized",
        "payment_intent.created",
        "charge.failed",
        "payment_intent.payment_failed",
        "invoice.updated",
        "invoice.payment_failed",
        "customer.updated",
        "customer.subscription.updated",
    ]
    expand = ["payments.data.payment.payment_intent"]
    assert invoice.id
    seen = desk.api.invoices.retrieve(invoice.id, {"expand": expand})
    assert seen.payments
    intent = seen.payments.data[0].payment.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert intent.last_payment_error
    assert intent.last_payment_error.decline_code == "insufficient_funds"
    assert intent.status == "requires_payment_method"


def test_retries_come_on_their_days_and_end(desk: Desk) -> None:
    _, subscription = spoiled(desk, "do_not_honor")
    desk.pass_(days=20)
    assert charges(desk) == [0, 1, 3, 5, 7]
    invoice = desk.invoices(subscription)[1]
    assert (invoice.status, invoice.attempt_count) == ("open", 5)
    assert invoice.next_payment_attempt is None
    assert desk.status(subscription) == "past_due"
    desk.pass_(days=12)
    assert len(desk.invoices(subscription)) == 3


def test_a_card_that_has_money_again_is_charged_at_the_next_retry(desk: Desk) -> None:
    _, subscription = spoiled(desk, "insufficient_funds", times=3)
    desk.pass_(days=10)
    assert charges(desk) == [0, 1, 3, 5]
    invoice = desk.latest(subscription)
    assert (invoice.status, invoice.attempt_count) == ("paid", 4)
    assert desk.status(subscription) == "active"
    assert desk.told()[-6:] == [
        "invoice_payment.paid",
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.updated",
        "customer.updated",
        "charge.updated",
    ]


@pytest.mark.parametrize(("end", "status"), [("cancel", "canceled"), ("unpaid", "unpaid")])
def test_the_account_says_what_follows_the_last_retry(desk: Desk, end: str, status: str) -> None:
    set_billing(desk, retry_days=[1, 2], when_exhausted=end)
    customer, subscription = spoiled(desk, "insufficient_funds")
    desk.pass_(days=1.5)
    assert desk.status(subscription) == "past_due"
    desk.pass_(days=1)
    assert desk.status(subscription) == status
    assert desk.latest(subscription).status == "open"
    if status == "canceled":
        details = desk.again(subscription).cancellation_details
        assert details
        assert details.reason == "payment_failed"
        return
    desk.go_to(at("2027-04-02 10:00"))
    draft = desk.latest(subscription)
    assert (draft.status, draft.auto_advance) == ("draft", False)
    owed = desk.invoices(subscription)[1].id
    assert owed
    desk.give_card(customer)
    desk.api.invoices.pay(owed)
    assert desk.status(subscription) == "active"


@pytest.mark.parametrize("code", ["lost_card", "stolen_card", "pickup_card"])
def test_a_lost_card_is_not_charged_again_but_a_new_one_is(desk: Desk, code: str) -> None:
    customer, subscription = spoiled(desk, code)
    desk.pass_(days=4)
    assert charges(desk) == [0]
    invoice = desk.latest(subscription)
    assert (invoice.attempt_count, invoice.next_payment_attempt) == (1, FIRST_TRY + 5 * DAY)
    desk.give_card(customer)
    assert desk.status(subscription) == "past_due"
    desk.pass_(days=2)
    assert charges(desk) == [0, 5]
    assert desk.status(subscription) == "active"


def test_a_lost_card_exhausts_the_schedule_too(desk: Desk) -> None:
    set_billing(desk, retry_days=[1, 2], when_exhausted="unpaid")
    _, subscription = spoiled(desk, "lost_card")
    desk.pass_(days=3)
    assert charges(desk) == [0]
    assert desk.status(subscription) == "unpaid"


def test_the_subscriptions_own_card_goes_before_the_customers(desk: Desk) -> None:
    customer = desk.customer(None)
    dead = desk.give_card(customer)
    subscription = desk.subscribe(customer, desk.price(), default_payment_method=dead)
    desk.spoil(dead, "insufficient_funds")
    desk.give_card(customer)
    desk.go_to(FIRST_TRY + 2 * DAY)
    assert desk.status(subscription) == "past_due"
    alive = desk.give_card(customer)
    desk.api.subscriptions.update(subscription.id, {"default_payment_method": alive})
    desk.pass_(days=1)
    assert desk.status(subscription) == "active"


def test_paying_by_hand_recovers_at_once(desk: Desk) -> None:
    customer, subscription = spoiled(desk, "insufficient_funds")
    invoice = desk.latest(subscription).id
    assert invoice
    with pytest.raises(stripe.CardError) as caught:
        desk.api.invoices.pay(invoice)
    assert caught.value.error
    assert caught.value.error.decline_code == "insufficient_funds"
    kept = desk.latest(subscription)
    assert (kept.attempt_count, kept.next_payment_attempt) == (1, FIRST_TRY + DAY)
    assert charges(desk) == [0, 0]
    method = desk.give_card(customer)
    paid = desk.api.invoices.pay(invoice, {"payment_method": method})
    assert (paid.status, desk.status(subscription)) == ("paid", "active")
    desk.pass_(days=9)
    assert charges(desk) == [0, 0, 0]
    with pytest.raises(stripe.InvalidRequestError, match="already paid"):
        desk.api.invoices.pay(invoice)


def test_writing_the_invoice_off_restores_good_standing(desk: Desk) -> None:
    _, subscription = spoiled(desk, "insufficient_funds")
    invoice = desk.latest(subscription).id
    assert invoice
    assert desk.api.invoices.mark_uncollectible(invoice).status == "uncollectible"
    assert desk.status(subscription) == "active"
    assert "invoice.marked_uncollectible" in desk.told()


def test_only_the_latest_invoice_decides(desk: Desk) -> None:
    customer, subscription = spoiled(desk, "insufficient_funds")
    desk.go_to(at("2027-04-01 10:00"))
    owed = [invoice for invoice in desk.invoices(subscription) if invoice.status == "open"]
    assert len(owed) == 2
    desk.give_card(customer)
    assert owed[0].id
    assert owed[1].id
    desk.api.invoices.pay(owed[0].id)
    assert desk.status(subscription) == "past_due"
    desk.api.invoices.pay(owed[1].id)
    assert desk.status(subscription) == "active"


@pytest.mark.parametrize("number", ["4000002500003155", "4000002760003184"])
def test_a_renewal_that_the_bank_asks_about_waits_for_the_customer(desk: Desk, number: str) -> None:
    customer = desk.customer(CARD)
    subscription = desk.subscribe(customer, desk.price())
    desk.give_card(customer, number)
    desk.go_to(FIRST_TRY)
    assert desk.status(subscription) == "past_due"
    told = desk.told(since=FIRST_TRY)
    assert told.index("payment_intent.requires_action") < told.index(
        "invoice.payment_action_required"
    )
    assert "charge.failed" not in told
    desk.pass_(days=10)
    assert charges(desk) == []
    with desk.machine.world(desk.account) as world:
        invoice = world.get("invoice", str(desk.latest(subscription).id))
        intent = world.get("payment_intent", invoice.private["intent"])
        assert intent.body["status"] == "requires_action"
        assert payment_intents.answer_bank(world, intent, agreed=True) is None
    assert (desk.latest(subscription).status, desk.status(subscription)) == ("paid", "active")


def test_a_card_past_its_date_is_refused(desk: Desk) -> None:
    customer = desk.customer(None)
    desk.give_card(customer, year=2027)
    subscription = desk.subscribe(customer, desk.price(interval="year"))
    desk.pass_(days=365, hours=2)
    assert desk.status(subscription) == "past_due"
    failed = desk.api.charges.list({"limit": 1}).data[0]
    assert failed.failure_code == "expired_card"


def test_a_card_that_is_taken_off_is_nobodys_default(desk: Desk) -> None:
    customer = desk.customer(None)
    method = desk.give_card(customer)
    subscription = desk.subscribe(customer, desk.price(), default_payment_method=method)
    desk.api.payment_methods.detach(method)
    assert desk.again(subscription).default_payment_method is None
    desk.go_to(FIRST_TRY)
    assert (desk.status(subscription), desk.latest(subscription).attempt_count) == ("past_due", 1)
    assert charges(desk) == []


def test_who_owes_is_marked_until_they_have_paid(desk: Desk) -> None:
    customer, subscription = spoiled(desk, "insufficient_funds")
    assert desk.api.customers.retrieve(customer).delinquent is True
    desk.give_card(customer)
    desk.go_to(FIRST_TRY + DAY + HOUR)
    assert desk.status(subscription) == "active"
    assert desk.api.customers.retrieve(customer).delinquent is False
