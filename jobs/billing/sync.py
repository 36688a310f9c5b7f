"""Keeps subscriptions and invoices as Stripe says: by events, by sweeping, by comparing."""

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta

from webapp.billing.services import reconciling, sweeping
from webapp.billing.services.privacy import strip_late_events
from webapp.billing.services.sync import Fact, Result, sync_facts
from webapp.core.db import db
from webapp.core.queue import Queue, ring
from webapp.payments.errors import NoSuchStripeObject
from webapp.payments.models import EventState
from webapp.payments.services import finish_events, postpone_event

logger = logging.getLogger(__name__)

# How long before the last sweep each begins: what Stripe listed late is found all the same.
OVERLAP = timedelta(hours=2)
DEEP_OVERLAP = timedelta(hours=80)


def handle_facts(facts: Sequence[Fact], attempts: Mapping[str, int]) -> None:
    """Sync a batch of events and close each in the transaction of its effect."""
    try:
        _close(facts, sync_facts(facts), attempts)
        strip_late_events(facts)
        db.session.commit()
    except Exception as error:
        db.session.rollback()
        if len(facts) > 1:
            # One that can't even be read must not hold back the others.
            for fact in facts:
                handle_facts([fact], attempts)
            return
        _postpone(facts[0], error, attempts[facts[0].id])
        db.session.commit()


def _close(
    facts: Sequence[Fact], results: Mapping[str, Result], attempts: Mapping[str, int]
) -> None:
    done: dict[str, str | None] = {}
    ignored: dict[str, str | None] = {}
    for fact in facts:
        result = results[fact.id]
        if isinstance(result.error, NoSuchStripeObject):
            # Test data that was deleted, or another account's: nothing can come of it.
            logger.warning("event about nothing", extra={"event": fact.id})
            ignored[fact.id] = None
        elif result.error is not None:
            _postpone(fact, result.error, attempts[fact.id])
        else:
            (done if result.subject else ignored)[fact.id] = result.subject
    finish_events(done, EventState.DONE)
    finish_events(ignored, EventState.IGNORED)


def _postpone(fact: Fact, error: Exception, attempts: int) -> None:
    logger.warning("event postponed", exc_info=error, extra={"event": fact.id})
    postpone_event(fact.id, attempts, error)


def sweep_events(overlap: timedelta = OVERLAP) -> None:
    """Fetch Stripe's own list of events: one whose webhook never came is handled all the same."""
    found = sweeping.sweep_events(overlap)
    db.session.commit()
    if found:
        logger.warning("sweep found events without a webhook", extra={"count": found})
        ring("jobs.payments.drain_events", Queue.CRITICAL)


def sweep_events_deep() -> None:
    """The same over the three days for which Stripe retries a webhook."""
    sweep_events(DEEP_OVERLAP)


def reconcile() -> None:
    """Compare every living object with Stripe's and write down what differs."""
    count = reconciling.reconcile()
    if count:
        logger.error("billing differs from Stripe", extra={"count": count})
