"""Brings opens and clicks to Postgres, judges them, credits orders, and forgets in time."""

import logging
import time
from datetime import timedelta

from redis import RedisError

from jobs.campaigns.batches import write_batch
from webapp.campaigns.services import worth
from webapp.campaigns.services.streams import Batch
from webapp.campaigns.services.tracking import Event, draining, judging
from webapp.campaigns.services.tracking.holding import DRAIN
from webapp.core import clock
from webapp.core.db import db
from webapp.core.queue import Queue, ring

logger = logging.getLogger(__name__)

# Events of a batch from the disk, and entries of one from the stream, each of many events.
BATCH, ENTRIES = 1000, 5
BUDGET_SECONDS = 30
PURGE_BATCH = 5000
# Thirteen months, as what visitors did.
KEEP = timedelta(days=396)


def drain_tracking() -> None:
    """Write the waiting events until none is left, or hand over after half a minute.

    A worker killed on the way leaves its batch where it was; writing it again adds nothing.
    """
    until = time.monotonic() + BUDGET_SECONDS
    try:
        if not (_drain_spool(until) and _drain_stream(until)):
            ring(DRAIN, Queue.TRACKING)
    except RedisError as error:
        db.session.rollback()
        logger.warning("drain put off", extra={"why": type(error).__name__})


def _drain_spool(until: float) -> bool:
    """Write what waits on this disk; False when the time was over before the end."""
    for path, batches in draining.take_spooled(BATCH):
        for batch in batches:
            if time.monotonic() > until:
                return False
            _keep(batch)
        path.unlink(missing_ok=True)
    return True


def _drain_stream(until: float) -> bool:
    while time.monotonic() <= until:
        batch = draining.take(ENTRIES)
        if not batch.entries or not draining.take_turn():
            db.session.rollback()
            return True
        _keep(batch)
        draining.forget(batch)
    return False


def _keep(batch: Batch[Event]) -> None:
    dropped = batch.unreadable + write_batch(draining.write, batch.items)
    if dropped:
        logger.warning("mail events dropped", extra={"count": dropped})


def judge_tracking() -> None:
    """Tell people from machines among what waited long enough."""
    until = time.monotonic() + BUDGET_SECONDS
    decided = judging.BATCH
    while decided == judging.BATCH and time.monotonic() < until:
        decided = judging.judge()
        db.session.commit()


def credit_order(order_id: int) -> None:
    """Find the mail that an order is owed to."""
    worth.credit_order(order_id)
    db.session.commit()


def purge_tracking() -> None:
    """Delete opens and clicks that are older than they may get."""
    until = time.monotonic() + BUDGET_SECONDS
    before = clock.now() - KEEP
    while draining.purge(before, PURGE_BATCH) == PURGE_BATCH and time.monotonic() < until:
        db.session.commit()
    db.session.commit()
