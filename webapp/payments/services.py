"""The inbox of Stripe's events: recorded once, claimed in batches, finished or parked."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from webapp.core import clock
from webapp.core import logging as log
from webapp.core.db import db
from webapp.core.errors import DomainError, Unprocessable
from webapp.core.queue import backoff
from webapp.core.state import current_config
from webapp.payments.errors import NoSuchEvent
from webapp.payments.gateway import Event
from webapp.payments.models import EventState, StripeEvent

HANDLED = frozenset(
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
MAX_ATTEMPTS = 10


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


def claim_events(limit: int) -> Sequence[StripeEvent]:
    """Take up to ``limit`` due events; a worker that dies gives its back with a job's lease."""
    now = clock.now()
    due = (
        select(StripeEvent.id)
        .where(StripeEvent.state == EventState.PENDING, StripeEvent.next_attempt_at <= now)
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
    db.session.execute(
        update(StripeEvent)
        .where(StripeEvent.id == event_id)
        .values(state=state, subject=subject, done_at=clock.now(), error=None)
    )


def postpone_event(event_id: str, attempts: int, error: Exception) -> None:
    """Try again after a back-off; after the last try, or without hope, park it for a person."""
    sentence = error.sentence if isinstance(error, DomainError) else str(error)
    hopeless = attempts >= MAX_ATTEMPTS or isinstance(error, Unprocessable)
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
