"""What Stripe says of subscriptions becomes ours, however late, twice or backwards it is told."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from jobs.payments import drain_events
from sandbox.stripe.contract import Recorder
from tests.factories.billing import make_plan
from tests.factories.sales import StripeDesk, deliver
from tests.factories.subscribing import (
    EMPTY_CARD,
    Subscriber,
    all_events,
    carry_over,
    make_subscriber,
    put_at_stripe,
)
from webapp.billing.models import (
    BillingOperation,
    DunningCase,
    InvoiceStatus,
    OperationKind,
    PaymentAttempt,
    Plan,
    Subscription,
    SubscriptionPoint,
    SubscriptionStatus,
)
from webapp.billing.services.carrying_out import carry_out
from webapp.billing.services.sync import Ref, RefKind, sync_now
from webapp.billing.services.sync.fetching import FETCH, fetch
from webapp.billing.services.sync.running import _lock, _write_groups
from webapp.core.db import db
from webapp.payments import gateway
from webapp.payments.models import EventState, StripeEvent


@pytest.fixture
def plan(stripe_desk: StripeDesk) -> Plan:
    return put_at_stripe(stripe_desk, make_plan(features={"reports": "Reports"}))


@pytest.fixture
def alice(stripe_desk: StripeDesk, plan: Plan) -> Subscriber:
    return make_subscriber(stripe_desk, plan)


def hear(desk: StripeDesk, client: FlaskClient, known: set[str] | None = None) -> list[str]:
    told = carry_over(desk, client, known)
    drain_events()
    return told


def states_of(*types: str) -> set[EventState]:
    db.session.expire_all()
    return set(db.session.scalars(select(StripeEvent.state).where(StripeEvent.type.in_(types))))


def test_a_signup_becomes_subscription_invoice_attempt_and_entitlement(
    stripe_desk: StripeDesk, client: FlaskClient, alice: Subscriber
) -> None:
    alice.subscribe()
    hear(stripe_desk, client)
    assert alice.status() is SubscriptionStatus.ACTIVE
    assert alice.row.price is not None and alice.row.price.plan_id == alice.plan.id
    assert alice.row.annual_amount == 12 * alice.row.unit_amount
    assert [invoice.status for invoice in alice.invoices] == [InvoiceStatus.PAID]
    attempt = db.session.scalars(select(PaymentAttempt)).one()
    assert (attempt.succeeded, attempt.amount) == (True, alice.row.unit_amount)
    entitlement = alice.entitlement
    assert entitlement is not None
    assert (entitlement.plan_slug, entitlement.features) == (alice.plan.slug, ["reports"])
    assert alice.customer.card_last4 == "4242"


def test_events_that_come_twice_and_backwards_change_nothing_more(
    stripe_desk: StripeDesk, client: FlaskClient, alice: Subscriber
) -> None:
    alice.subscribe()
    for event in all_events(stripe_desk)[::-1] * 2:
        deliver(client, event)
    drain_events()
    assert alice.status() is SubscriptionStatus.ACTIVE
    assert len(alice.invoices) == 1
    points = db.session.scalar(select(func.count()).select_from(SubscriptionPoint))
    assert points == len(stripe_desk.events("customer.subscription.created")) + len(
        stripe_desk.events("customer.subscription.updated")
    )


def test_a_burst_of_events_about_one_object_fetches_it_once(
    stripe_desk: StripeDesk, client: FlaskClient, alice: Subscriber, stripe_calls: Recorder
) -> None:
    id_ = alice.subscribe()
    carry_over(stripe_desk, client)
    before = len(stripe_calls.exchanges)
    drain_events()
    asked = [call.path for call in list(stripe_calls.exchanges)[before:]]
    assert asked.count(f"/v1/subscriptions/{id_}") == 1


def test_what_was_fetched_before_never_overwrites_what_was_fetched_after(
    stripe_desk: StripeDesk, alice: Subscriber
) -> None:
    ref = Ref(RefKind.SUBSCRIPTION, alice.subscribe())
    sync_now(ref)
    db.session.commit()
    old = fetch([ref])
    changes: Any = {"cancel_at_period_end": True}
    stripe_desk.client.v1.subscriptions.update(ref.id, changes)
    ticket = alice.row.synced_ticket
    sync_now(ref)
    db.session.commit()
    _write_groups(_lock(old, ()), old, ticket)
    db.session.commit()
    assert alice.row.cancel_at_period_end


def test_what_has_ended_is_never_opened_again(stripe_desk: StripeDesk, alice: Subscriber) -> None:
    ref = Ref(RefKind.SUBSCRIPTION, alice.subscribe())
    old = fetch([ref])
    stripe_desk.client.v1.subscriptions.cancel(ref.id)
    sync_now(ref)
    db.session.commit()
    assert not alice.is_entitled()
    _write_groups(_lock(old, ()), old, alice.row.synced_ticket + 1000)
    db.session.commit()
    assert alice.status() is SubscriptionStatus.CANCELED
    assert not alice.is_entitled()


def test_what_fails_holds_back_only_its_own_customer(
    stripe_desk: StripeDesk,
    client: FlaskClient,
    alice: Subscriber,
    plan: Plan,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bob = make_subscriber(stripe_desk, plan, "bob@example.com")
    broken = bob.subscribe()
    alice.subscribe()
    real = gateway.get_subscription

    def get(id_: str) -> gateway.StripeSubscription:
        if id_ == broken:
            raise ValueError("not readable")
        return real(id_)

    monkeypatch.setitem(FETCH, RefKind.SUBSCRIPTION, get)
    hear(stripe_desk, client)
    assert alice.status() is SubscriptionStatus.ACTIVE
    assert EventState.PENDING in states_of("customer.subscription.created")
    assert db.session.scalar(select(func.count()).select_from(Subscription)) == 1


def test_a_second_subscription_is_ended_and_its_money_given_back(
    stripe_desk: StripeDesk, client: FlaskClient, alice: Subscriber
) -> None:
    first = alice.subscribe()
    stripe_desk.control("clock", advance=5)
    second = alice.subscribe()
    known: set[str] = set()
    hear(stripe_desk, client, known)
    rows = {row.stripe_id: row for row in db.session.scalars(select(Subscription))}
    assert (rows[first].duplicate, rows[second].duplicate) == (False, True)
    for operation in db.session.scalars(select(BillingOperation)).all():
        carry_out(operation.id)
    hear(stripe_desk, client, known)
    db.session.expire_all()
    assert rows[first].status is SubscriptionStatus.ACTIVE
    assert rows[second].status is SubscriptionStatus.CANCELED
    [refund] = stripe_desk.client.v1.refunds.list({}).data
    assert refund.amount == rows[second].unit_amount
    asked = sorted(op.kind for op in db.session.scalars(select(BillingOperation)))
    assert asked == [OperationKind.CANCEL, OperationKind.REFUND]


def test_a_failed_renewal_opens_one_case_and_paying_closes_it_in_one_step(
    stripe_desk: StripeDesk, client: FlaskClient, alice: Subscriber
) -> None:
    known: set[str] = set()
    alice.subscribe(trial_period_days=3)
    alice.give_card(EMPTY_CARD)
    hear(stripe_desk, client, known)
    assert alice.status() is SubscriptionStatus.TRIALING
    stripe_desk.control("clock", advance=4 * 86_400)
    hear(stripe_desk, client, known)
    assert alice.status() is SubscriptionStatus.PAST_DUE
    case = db.session.scalars(select(DunningCase)).one()
    assert case.amount == alice.row.unit_amount
    assert alice.is_owing()
    invoice = next(i for i in alice.invoices if i.status is InvoiceStatus.OPEN)
    alice.give_card()
    stripe_desk.client.v1.invoices.pay(invoice.stripe_id)
    paid = [e for e in all_events(stripe_desk) if e["type"] == "invoice.paid"][-1]
    deliver(client, paid)
    drain_events()
    db.session.expire_all()
    assert case.state == "recovered"
    assert alice.status() is SubscriptionStatus.ACTIVE
    assert alice.is_entitled() and not alice.is_owing()


def test_a_card_that_was_renewed_is_shown_renewed_wherever_stripe_keeps_it(
    stripe_desk: StripeDesk, client: FlaskClient, plan: Plan
) -> None:
    alice = make_subscriber(stripe_desk, plan, card=None)
    v1 = stripe_desk.client.v1
    card: Any = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2030, "cvc": "123"}
    method = v1.payment_methods.create({"type": "card", "card": card}).id
    v1.payment_methods.attach(method, {"customer": alice.stripe_id})
    alice.subscribe(default_payment_method=method)
    known: set[str] = set()
    hear(stripe_desk, client, known)
    assert alice.row.customer.card_exp_year == 2030
    renewed: Any = {"card": {"exp_month": 11, "exp_year": 2036}}
    v1.payment_methods.update(method, renewed)
    assert hear(stripe_desk, client, known) == ["payment_method.updated"]
    customer = alice.row.customer
    assert (customer.card_exp_month, customer.card_exp_year) == (11, 2036)


def test_events_in_the_words_of_an_older_version_are_understood(
    stripe_desk: StripeDesk, client: FlaskClient, alice: Subscriber
) -> None:
    id_ = alice.subscribe()
    told = {event["type"]: event for event in all_events(stripe_desk)}
    created, paid = told["customer.subscription.created"], told["invoice.paid"]
    [item] = created["data"]["object"]["items"]["data"]
    for bound in ("current_period_start", "current_period_end"):
        created["data"]["object"][bound] = item.pop(bound)
    del paid["data"]["object"]["parent"]
    paid["data"]["object"]["subscription"] = id_
    for event in (created, paid):
        assert deliver(client, event).status_code == 200
    drain_events()
    assert states_of(created["type"], paid["type"]) == {EventState.DONE}
    assert alice.status() is SubscriptionStatus.ACTIVE
    assert len(db.session.scalars(select(SubscriptionPoint)).all()) == 1


def test_a_customer_whose_id_we_had_no_time_to_write_down_is_recognised(
    stripe_desk: StripeDesk, client: FlaskClient, alice: Subscriber
) -> None:
    alice.subscribe()
    alice.customer.stripe_customer_id = None
    db.session.commit()
    hear(stripe_desk, client)
    assert alice.status() is SubscriptionStatus.ACTIVE


def test_somebody_elses_customer_is_none_of_ours(
    stripe_desk: StripeDesk, client: FlaskClient, alice: Subscriber
) -> None:
    stranger = stripe_desk.client.v1.customers.create({"email": "mallory@example.com"})
    stripe_desk.client.v1.customers.update(stranger.id, {"name": "Mallory"})
    hear(stripe_desk, client)
    theirs = select(StripeEvent.state).where(StripeEvent.object_id == stranger.id)
    assert set(db.session.scalars(theirs)) == {EventState.IGNORED}
