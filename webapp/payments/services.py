"""The inbox of Stripe's events: recorded once, claimed in batches, finished or parked."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from sqlalchemy import ARRAY, Text, cast, func, select, update
from sqlalchemy.dialects.postgresql import insert

from webapp.core import clock
from webapp.core import logging as log
from webapp.core.db import db
from webapp.core.errors import DomainError, Unprocessable
from webapp.core.queue import backoff
from webapp.core.state import current_config
from webapp.payments.errors import NoSuchEvent, StripeUnavailable
from webapp.payments.gateway import Event
from webapp.payments.models import EventState, StripeEvent

# What is paid once: orders, and what is given back of them.
PAID = frozenset(
    {
        "checkout.session.completed",
        "checkout.session.expired",
        "checkout.session.async_payment_succeeded",
        "checkout.session.async_payment_failed",
        "charge.refunded",
        "refund.created",
        "refund.updated",
        "refund.failed",
    }
)
# What is paid again and again: subscriptions, their invoices, and whose card they go to.
BILLED = frozenset(
    {
        "customer.created",
        "customer.updated",
        "customer.deleted",
        "customer.discount.created",
        "customer.discount.updated",
        "customer.discount.deleted",
        "customer.subscription.created",
        "customer.subscription.updated",
        "customer.subscription.deleted",
        "customer.subscription.paused",
        "customer.subscription.resumed",
        "customer.subscription.trial_will_end",
        "customer.subscription.pending_update_applied",
        "customer.subscription.pending_update_expired",
        "invoice.created",
        "invoice.finalized",
        "invoice.finalization_failed",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
        "invoice.payment_failed",
        "invoice.payment_action_required",
        "invoice.voided",
        "invoice.marked_uncollectible",
        "payment_method.attached",
        "payment_method.detached",
        "payment_method.updated",
        "payment_method.automatically_updated",
    }
)
HANDLED = PAID | BILLED
MAX_ATTEMPTS = 10
# An hour apart in the end: three days, for which Stripe itself would go on sending.
MAX_ATTEMPTS_WITHOUT_STRIPE = 80


def record_event(event: Event, *, ours: bool) -> bool:
    """Keep a verified event, once; returns whether it is new and waits to be handled."""
    wanted = ours and event.type in HANDLED
    now = clock.now()
    statement = (
        insert(StripeEvent)
        .values(
            id=event.id,
            type=event.type,
            object_id=event.object_id,
            livemode=event.livemode,
            created=event.created,
            payload=event.payload,
            state=EventState.PENDING if wanted else EventState.IGNORED,
            next_attempt_at=now,
            request_id=log.request_id.get(),
        )
        .on_conflict_do_nothing()
        .returning(StripeEvent.id)
    )
    return db.session.scalar(statement) is not None and wanted


def claim_events(types: frozenset[str], limit: int) -> Sequence[StripeEvent]:
    """Take up to ``limit`` due events of these types.

    A worker that dies gives its back with a job's lease.
    """
    now = clock.now()
    due = (
        select(StripeEvent.id)
        .where(
            StripeEvent.state == EventState.PENDING,
            StripeEvent.next_attempt_at <= now,
            StripeEvent.type.in_(types),
        )
        .order_by(StripeEvent.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    claimed = db.session.scalars(
        update(StripeEvent)
        .where(StripeEvent.id.in_(due))
        .values(
            attempts=StripeEvent.attempts + 1,
            next_attempt_at=now + timedelta(seconds=current_config().job_lease_seconds),
        )
        .returning(StripeEvent)
    ).all()
    return sorted(claimed, key=lambda event: (event.created, event.id))


def finish_event(event_id: str, state: EventState, subject: str | None) -> None:
    """Close an event in the transaction of its effect."""
    finish_events({event_id: subject}, state)


def finish_events(subjects: Mapping[str, str | None], state: EventState) -> None:
    """Close events, by id with what each touched, in the transaction of their effects."""
    if not subjects:
        return
    closed = (
        func.unnest(cast(list(subjects), ARRAY(Text)), cast(list(subjects.values()), ARRAY(Text)))
        .table_valued("id", "subject")
        .render_derived("closed")
    )
    db.session.execute(
        update(StripeEvent)
        .where(StripeEvent.id == closed.c.id)
        .values(state=state, subject=closed.c.subject, done_at=clock.now(), error=None)
        .execution_options(synchronize_session=False)
    )


def postpone_event(event_id: str, attempts: int, error: Exception) -> None:
    """Try again after a back-off; after the last try, or without hope, park it for a person."""
    sentence = error.sentence if isinstance(error, DomainError) else str(error)
    away = isinstance(error, StripeUnavailable)
    most = MAX_ATTEMPTS_WITHOUT_STRIPE if away else MAX_ATTEMPTS
    hopeless = attempts >= most or isinstance(error, Unprocessable)
    now = clock.now()
    db.session.execute(
        update(StripeEvent)
        .where(StripeEvent.id == event_id, StripeEvent.state == EventState.PENDING)
        .values(
            state=EventState.PARKED if hopeless else EventState.PENDING,
            error=f"{type(error).__name__}: {sentence}"[:2000],
            next_attempt_at=now + backoff(attempts),
        )
    )


def replay_event(event_id: str) -> StripeEvent:
    """Give a parked event a fresh set of tries. Raises NoSuchEvent, or DomainError if not parked.

    The caller rings ``jobs.payments.drain_events`` after its commit.
    """
    event = db.session.get(StripeEvent, event_id, with_for_update=True, populate_existing=True)
    if event is None:
        raise NoSuchEvent(f"There is no event {event_id}.")
    if event.state is not EventState.PARKED:
        raise DomainError(
            f"Event {event_id} is {event.state.value}; only a parked one is replayed."
        )
    event.state = EventState.PENDING
    event.attempts = 0
    event.next_attempt_at = clock.now()
    db.session.flush()
    return event
