"""What seldom happens and must cost nobody money: bank debits, lost answers, odd subscriptions."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from jobs.billing import sweep_events, tick_cases
from jobs.payments import drain_events
from tests.factories.billing import (
    make_attempt,
    make_customer,
    make_invoice,
    make_plan,
    make_subscription,
)
from tests.factories.sales import StripeDesk, deliver
from tests.factories.subscribing import (
    EMPTY_CARD,
    Subscriber,
    carry_over,
    make_subscriber,
    put_at_stripe,
)
from webapp.billing.models import (
    BillingOperation,
    CaseState,
    DunningCase,
    DunningStep,
    InvoiceStatus,
    OperationKind,
    OperationState,
    PaymentAttempt,
    Plan,
    Subscription,
    SubscriptionStatus,
)
from webapp.billing.services import checkout, dunning, privacy
from webapp.billing.services.carrying_out import carry_out
from webapp.billing.services.operations import ask
from webapp.billing.services.sync import Ref, RefKind, sync_now
from webapp.billing.services.sync.attempts import write_attempts
from webapp.billing.services.sync.fetching import FETCH
from webapp.core import clock
from webapp.core.audit import SYSTEM
from webapp.core.db import db
from webapp.payments import gateway
from webapp.payments.errors import StripeUnavailable
from webapp.payments.models import EventState, StripeEvent
from webapp.payments.scrubbing import strip

DAY = 86_400


@pytest.fixture
def plan(stripe_desk: StripeDesk) -> Plan:
    return put_at_stripe(stripe_desk, make_plan(features={"reports": "Reports"}))


@pytest.fixture
def alice(stripe_desk: StripeDesk, plan: Plan) -> Subscriber:
    return make_subscriber(stripe_desk, plan)


def now_at(desk: StripeDesk) -> datetime:
    found = requests.get(f"{desk.url}/_sandbox/health", timeout=60).json()
    return datetime.fromtimestamp(int(found["now"]), UTC)


def know(*refs: Ref) -> None:
    sync_now(*refs)
    db.session.commit()


def subscription(id_: str) -> Ref:
    return Ref(RefKind.SUBSCRIPTION, id_)


def invoices_of(alice: Subscriber) -> list[Ref]:
    found = alice.desk.client.v1.invoices.list({"customer": alice.stripe_id}).data
    return [Ref(RefKind.INVOICE, each.id) for each in found]


def fail_renewal(alice: Subscriber) -> str:
    id_ = alice.subscribe(trial_period_days=3)
    alice.give_card(EMPTY_CARD)
    alice.desk.control("clock", advance=4 * DAY)
    return id_


def asked(alice: Subscriber, kind: OperationKind, target: str, **params: Any) -> int:
    operation = ask(kind, alice.customer, target, params, actor=SYSTEM)
    db.session.commit()
    return operation.id


def cases() -> list[DunningCase]:
    db.session.expire_all()
    return list(db.session.scalars(select(DunningCase).order_by(DunningCase.id)))


def test_a_bank_debit_that_is_under_way_has_not_failed(app: Flask) -> None:
    customer = make_customer()
    invoice = make_invoice(customer, make_subscription(customer), status=InvoiceStatus.OPEN)
    body = {"id": "py_1", "created": 1_900_000_000, "amount": 1900, "status": "pending"}
    found: Any = SimpleNamespace(
        id=invoice.stripe_id,
        status="open",
        attempt_count=1,
        needs_action=False,
        finalized_at=None,
        created=clock.now(),
        amount_remaining=1900,
    )
    write_attempts([(invoice, found, [gateway.charge_of(body)])])
    assert db.session.scalar(select(func.count()).select_from(PaymentAttempt)) == 0
    paid = gateway.charge_of(body | {"status": "succeeded"})
    write_attempts([(invoice, found, [paid])])
    assert db.session.scalars(select(PaymentAttempt.succeeded)).all() == [True]


def test_what_could_not_be_read_is_not_taken_for_a_missing_card(
    stripe_desk: StripeDesk, client: FlaskClient, alice: Subscriber, monkeypatch: Any
) -> None:
    fail_renewal(alice)
    real = gateway.list_charges

    def away(_intent: str) -> list[gateway.Charge]:
        raise StripeUnavailable("Stripe did not answer.")

    monkeypatch.setattr(gateway, "list_charges", away)
    carry_over(stripe_desk, client)
    drain_events()
    assert cases() == []
    monkeypatch.setattr(gateway, "list_charges", real)
    with clock.frozen(clock.now() + timedelta(hours=1)):
        drain_events()
    assert [case.decline_code for case in cases()] == ["generic_decline"]


def test_what_is_paid_in_part_has_a_card_and_all_its_tries(alice: Subscriber) -> None:
    id_ = fail_renewal(alice)
    know(subscription(id_), *invoices_of(alice))
    [case] = cases()
    make_attempt(case.invoice, amount=100)
    know(*invoices_of(alice))
    codes = db.session.scalars(select(PaymentAttempt.decline_code)).all()
    assert sorted(map(str, codes)) == ["None", "generic_decline"]

    stripe_id = case.invoice.stripe_id
    found = alice.desk.client.v1.invoices.retrieve(stripe_id, {"expand": ["payments"]})
    body = found.to_dict(for_json=True)
    part: Any = {"status": "paid", "payment": {"payment_intent": "pi_part"}}
    body["payments"]["data"].insert(0, part)
    told = gateway.invoice_of(body)
    assert told.payment_intents == (case.invoice.payment_intent, "pi_part")
    assert told.payment_intent == case.invoice.payment_intent


def test_an_event_waits_for_a_customer_that_could_not_be_read(
    stripe_desk: StripeDesk, client: FlaskClient, alice: Subscriber, monkeypatch: Any
) -> None:
    alice.subscribe()
    alice.customer.stripe_customer_id = None
    db.session.commit()
    real = gateway.get_customer

    def away(_id: str) -> gateway.Customer:
        raise StripeUnavailable("Stripe did not answer.")

    monkeypatch.setitem(FETCH, RefKind.CUSTOMER, away)
    carry_over(stripe_desk, client)
    drain_events()
    about = StripeEvent.type == "customer.subscription.created"
    assert db.session.scalars(select(StripeEvent.state).where(about)).all() == [EventState.PENDING]
    monkeypatch.setitem(FETCH, RefKind.CUSTOMER, real)
    with clock.frozen(clock.now() + timedelta(hours=1)):
        drain_events()
    assert alice.status() is SubscriptionStatus.ACTIVE


def test_whoever_paid_unheard_is_not_ended_by_the_last_step(
    stripe_desk: StripeDesk, alice: Subscriber
) -> None:
    id_ = fail_renewal(alice)
    know(subscription(id_), *invoices_of(alice))
    [case] = cases()
    alice.give_card()
    stripe_desk.client.v1.invoices.pay(case.invoice.stripe_id)
    with clock.frozen(case.opened_at + timedelta(days=14)):
        dunning.tick()
        db.session.commit()
        [end] = db.session.scalars(select(BillingOperation)).all()
        carry_out(end.id)
    assert stripe_desk.client.v1.subscriptions.retrieve(id_).status == "active"
    assert [case.state for case in cases()] == [CaseState.RECOVERED]
    assert not alice.is_owing() and alice.is_entitled()


def test_whoever_paid_while_nobody_listened_is_not_shut_out_first(
    stripe_desk: StripeDesk, alice: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = fail_renewal(alice)
    know(subscription(id_), *invoices_of(alice))
    [case] = cases()
    invoice, opened_at = case.invoice.stripe_id, case.opened_at
    with clock.frozen(opened_at):
        sweep_events()
    drain_events()
    alice.give_card()
    stripe_desk.client.v1.invoices.pay(invoice)
    with clock.frozen(opened_at + timedelta(days=7)):
        with monkeypatch.context() as away:
            away.setattr(gateway, "list_events", refuse)
            tick_cases()
        tick_cases()
        assert alice.entitlement is not None and alice.entitlement.walled_at is None
        assert db.session.scalars(select(DunningStep)).all() == []
        drain_events()
        tick_cases()
    assert [case.state for case in cases()] == [CaseState.RECOVERED]
    assert db.session.scalars(select(DunningStep)).all() == []


def refuse(*_asked: object) -> None:
    raise StripeUnavailable("Stripe did not answer.")


def test_a_double_that_turns_out_one_later_is_given_back_too(
    stripe_desk: StripeDesk, alice: Subscriber
) -> None:
    first = alice.subscribe()
    stripe_desk.control("clock", advance=5)
    second = alice.subscribe()
    newest = stripe_desk.client.v1.subscriptions.retrieve(second).latest_invoice
    know(subscription(second), Ref(RefKind.INVOICE, str(newest)))
    know(subscription(first))
    rows = {row.stripe_id: row.duplicate for row in db.session.scalars(select(Subscription))}
    assert rows == {first: False, second: True}
    for operation in db.session.scalars(select(BillingOperation)).all():
        carry_out(operation.id)
    assert [each.amount for each in stripe_desk.client.v1.refunds.list({}).data] == [1900]


def test_a_subscription_by_the_week_made_in_the_dashboard_is_one_to_our_plan(
    stripe_desk: StripeDesk, client: FlaskClient, alice: Subscriber
) -> None:
    weekly: Any = {
        "product": alice.plan.stripe_product_id,
        "unit_amount": 500,
        "currency": "usd",
        "recurring": {"interval": "week"},
    }
    price = stripe_desk.client.v1.prices.create(weekly)
    items: Any = {"customer": alice.stripe_id, "items": [{"price": price.id}]}
    stripe_desk.client.v1.subscriptions.create(items)
    carry_over(stripe_desk, client)
    drain_events()
    assert (alice.row.interval.value, alice.row.annual_amount) == ("week", 52 * 500)
    entitlement = alice.entitlement
    assert entitlement is not None and entitlement.features == ["reports"]


def test_a_change_of_what_is_gone_is_refused_and_does_not_wait_for_ever(alice: Subscriber) -> None:
    operation = asked(alice, OperationKind.CANCEL, "sub_nothing")
    assert carry_out(operation) is OperationState.REFUSED


def test_an_event_of_somebody_forgotten_still_tells_of_the_end(
    stripe_desk: StripeDesk, alice: Subscriber
) -> None:
    stripe_desk.client.v1.subscriptions.cancel(alice.subscribe())
    [event] = stripe_desk.events("customer.subscription.deleted")
    told = gateway.subscription_of(strip(event)["data"]["object"])
    assert told == gateway.subscription_of(event["data"]["object"])


def test_a_member_whose_customer_was_deleted_at_stripe_can_subscribe_again(
    stripe_desk: StripeDesk, client: FlaskClient, alice: Subscriber
) -> None:
    alice.subscribe()
    before = alice.stripe_id
    stripe_desk.client.v1.customers.delete(before)
    carry_over(stripe_desk, client)
    drain_events()
    assert alice.status() is SubscriptionStatus.CANCELED
    who = checkout.Subscriber(alice.user.id, alice.user.email, "Alice")
    with clock.frozen(now_at(stripe_desk)):
        assert checkout.open_checkout(who, alice.plan.prices[0].id).startswith("http")
    db.session.refresh(alice.customer)
    assert alice.stripe_id != before
    assert alice.customer.deleted_at is None


def test_a_card_left_before_never_takes_the_place_of_one_left_after(alice: Subscriber) -> None:
    old, new = alice.give_card(), alice.give_card()
    first, second = (
        asked(alice, OperationKind.SET_DEFAULT_CARD, alice.stripe_id, payment_method=each)
        for each in (old, new)
    )
    assert carry_out(second) is OperationState.DONE
    assert carry_out(first) is OperationState.DONE
    db.session.expire_all()
    assert alice.customer.payment_method_id == new


def test_a_pause_that_is_over_is_not_paid_for_twice(alice: Subscriber) -> None:
    id_ = alice.subscribe()
    know(subscription(id_))
    carry_out(asked(alice, OperationKind.PAUSE, id_))
    alice.desk.control("clock", advance=32 * DAY)
    for _ in range(2):
        carry_out(asked(alice, OperationKind.UNPAUSE, id_, from_now=True))
        alice.desk.control("clock", advance=DAY)
    found = alice.desk.client.v1.invoices.list({"customer": alice.stripe_id}).data
    assert sorted(str(each.status) for each in found) == ["paid", "paid", "void"]


def test_who_was_never_at_this_stripe_can_be_forgotten(alice: Subscriber) -> None:
    row = make_subscription(alice.customer, alice.plan)
    alice.customer.stripe_customer_id = "cus_nothing"
    db.session.commit()
    privacy.end_at_stripe(alice.user.id)
    assert alice.customer.deleted_at is not None
    assert row.stripe_id


def test_a_sign_that_postgres_cannot_keep_loses_no_event(
    stripe_desk: StripeDesk, client: FlaskClient, alice: Subscriber
) -> None:
    alice.subscribe()
    [event] = stripe_desk.events("customer.subscription.created")
    event["data"]["object"]["description"] = "nothing\0at all"
    assert deliver(client, event).status_code == 200
    drain_events()
    assert alice.status() is SubscriptionStatus.ACTIVE
