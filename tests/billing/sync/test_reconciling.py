"""What no webhook told is found all the same: by sweeping events, and by comparing objects."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, select

from jobs.billing import reconcile, sweep_events
from jobs.payments import drain_events
from tests.factories.billing import make_plan
from tests.factories.sales import StripeDesk
from tests.factories.subscribing import Subscriber, make_subscriber, put_at_stripe
from webapp.billing.models import BillingDifference, InvoiceStatus, StripeList, SubscriptionStatus
from webapp.billing.services import readings
from webapp.billing.services.reconciling import PAGE, repair
from webapp.billing.services.sync import Ref, RefKind, sync_now
from webapp.core import clock
from webapp.core.db import db
from webapp.payments import gateway
from webapp.payments.errors import StripeUnavailable
from webapp.payments.models import StripeEvent
from webapp.payments.services import record_event


@pytest.fixture
def alice(stripe_desk: StripeDesk) -> Subscriber:
    return make_subscriber(stripe_desk, put_at_stripe(stripe_desk, make_plan()))


def open_differences() -> list[BillingDifference]:
    db.session.expire_all()
    still = select(BillingDifference).where(BillingDifference.repaired_at.is_(None))
    return list(db.session.scalars(still.order_by(BillingDifference.id)))


def test_events_whose_webhooks_were_lost_are_swept_up(alice: Subscriber) -> None:
    alice.subscribe()
    sweep_events()
    drain_events()
    assert alice.status() is SubscriptionStatus.ACTIVE
    assert alice.is_entitled()


def test_a_sweep_begins_where_the_last_one_ended_however_long_ago(
    alice: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = clock.now() - timedelta(minutes=1)
    with clock.frozen(last):
        sweep_events()
    alice.subscribe()
    listed, answers = gateway.list_events, iter([True, True, False])

    def list_for_a_while(*asked: Any) -> Any:
        if not next(answers):
            raise StripeUnavailable("Stripe did not answer.")
        return listed(*asked)

    with clock.frozen(last + timedelta(days=20)), monkeypatch.context() as away:
        away.setattr(gateway, "list_events", list_for_a_while)
        with pytest.raises(StripeUnavailable):
            sweep_events()
    # What was read is not read again by the next, but for what was listed late.
    assert readings.find(StripeList.EVENTS) == last + timedelta(hours=70)
    with clock.frozen(last + timedelta(days=20)):
        sweep_events()
        drain_events()
    assert alice.status() is SubscriptionStatus.ACTIVE
    assert readings.find(StripeList.EVENTS) == last + timedelta(days=20)


def test_a_list_of_more_events_than_a_statement_takes_is_swept_all_the_same(
    stripe_desk: StripeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = gateway.Event("evt_known", "plan.created", clock.now(), False, None, {})
    pages = iter([[told] * 3 * PAGE])
    monkeypatch.setattr(gateway, "list_events", lambda *_asked: next(pages, []))
    record_event(told, ours=False)
    db.session.commit()
    asked: list[int] = []

    def count(*executed: Any) -> None:
        asked.append(len(executed[3]))

    event.listen(Engine, "before_cursor_execute", count)
    try:
        sweep_events()
    finally:
        event.remove(Engine, "before_cursor_execute", count)
    assert PAGE <= max(asked) <= PAGE + 10
    assert db.session.scalars(select(StripeEvent.id)).all() == ["evt_known"]


def test_differences_are_reported_field_by_field_and_repaired_at_one_click(
    alice: Subscriber,
) -> None:
    id_ = alice.subscribe()
    sync_now(Ref(RefKind.SUBSCRIPTION, id_))
    db.session.commit()
    reconcile()
    assert open_differences() == []
    changes: Any = {"cancel_at_period_end": True}
    alice.desk.client.v1.subscriptions.update(id_, changes)
    reconcile()
    difference, day = open_differences()
    assert (difference.kind, difference.field) == ("subscription", "cancel_at_period_end")
    assert (difference.ours, difference.theirs) == ("False", "True")
    assert (day.field, day.ours) == ("cancel_at", None)
    repair(difference.id, "staff")
    db.session.commit()
    assert open_differences() == []
    assert alice.row.cancel_at_period_end


def test_a_subscription_we_never_heard_of_is_a_difference(alice: Subscriber) -> None:
    id_ = alice.subscribe()
    reconcile()
    missing = {(d.kind, d.ours) for d in open_differences()}
    assert missing == {("subscription", "missing"), ("invoice", "missing")}
    first = next(d for d in open_differences() if d.stripe_id == id_)
    repair(first.id, "staff")
    db.session.commit()
    assert alice.status() is SubscriptionStatus.ACTIVE


def test_what_agrees_again_is_closed_by_the_next_comparison(alice: Subscriber) -> None:
    id_ = alice.subscribe()
    reconcile()
    sync_now(Ref(RefKind.SUBSCRIPTION, id_))
    db.session.commit()
    reconcile()
    assert open_differences() == []


def test_what_is_settled_was_compared_when_it_was_new_and_what_is_not_is_asked_for(
    alice: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync_now(Ref(RefKind.SUBSCRIPTION, alice.subscribe()))
    db.session.commit()
    now, listed, read = clock.now(), gateway.list_invoices, []

    def note_what_is_read(*args: Any, **kwargs: Any) -> Iterator[gateway.StripeInvoice]:
        for each in listed(*args, **kwargs):
            read.append(each.id)
            yield each

    monkeypatch.setattr(gateway, "list_invoices", note_what_is_read)
    reconcile()
    paid = alice.invoices[0]
    assert read == [paid.stripe_id]
    for day in (10, 20):
        with clock.frozen(now + timedelta(days=day)):
            reconcile()
    # The second began where the first had ended, a little earlier; the third had nothing to read.
    assert read == [paid.stripe_id] * 2

    # That it was paid is news to us, and no list of what is new or owed names it.
    paid.status, paid.paid_at = InvoiceStatus.OPEN, None
    db.session.commit()
    with clock.frozen(now + timedelta(days=30)):
        reconcile()
    assert {each.field for each in open_differences()} == {"status", "paid_at"}
    assert read == [paid.stripe_id] * 2

    sync_now(Ref(RefKind.INVOICE, paid.stripe_id))
    db.session.commit()
    with clock.frozen(now + timedelta(days=40)):
        reconcile()
    assert open_differences() == []


def test_an_end_that_nobody_told_us_of_is_a_difference(alice: Subscriber) -> None:
    id_ = alice.subscribe()
    sync_now(Ref(RefKind.SUBSCRIPTION, id_))
    db.session.commit()
    alice.desk.client.v1.subscriptions.cancel(id_)
    reconcile()
    assert ("status", "active", "canceled") in {
        (each.field, each.ours, each.theirs) for each in open_differences()
    }
    # Stripe lists it no more; that it agrees again is seen all the same.
    sync_now(Ref(RefKind.SUBSCRIPTION, id_))
    db.session.commit()
    reconcile()
    assert open_differences() == []


def test_a_comparison_that_broke_off_is_made_up_for_by_the_next(
    alice: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    reconcile()
    alice.subscribe()
    for day in (1, 9):
        with clock.frozen(now + timedelta(days=day)), monkeypatch.context() as away:
            away.setattr(gateway, "list_invoices", _be_away)
            with pytest.raises(StripeUnavailable):
                reconcile()
    with clock.frozen(now + timedelta(days=20)):
        reconcile()
    assert {each.kind for each in open_differences()} == {"subscription", "invoice"}


def _be_away(*_args: object, **_kwargs: object) -> Any:
    raise StripeUnavailable("Stripe did not answer.")
