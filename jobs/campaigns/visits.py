"""Brings what visitors did from Redis to Postgres, and forgets it when its time is over."""

import logging
import time
from datetime import timedelta

from redis import RedisError

from jobs.campaigns.batches import write_batch
from webapp.campaigns.services import events
from webapp.campaigns.services.events import DRAIN
from webapp.core import clock
from webapp.core.db import db
from webapp.core.queue import Queue, ring

logger = logging.getLogger(__name__)

BATCH = 500
BUDGET_SECONDS = 30
PURGE_BATCH = 5000
# Thirteen months, the longest that data protection authorities let such an id live.
KEEP = timedelta(days=396)


def drain_client_events() -> None:
    """Write the waiting events in batches until none is left, or hand over after half a minute.

    A worker killed after the commit leaves the batch in the stream; writing it again adds nothing.
    """
    until = time.monotonic() + BUDGET_SECONDS
    try:
        while _drain_one():
            if time.monotonic() > until:
                ring(DRAIN, Queue.TRACKING)
                return
    except RedisError as error:
        db.session.rollback()
        logger.warning("drain put off", extra={"why": type(error).__name__})


def _drain_one() -> bool:
    """Write one batch; False when there is none, or another worker is at it."""
    batch = events.take(BATCH)
    if not batch.entries or not events.take_turn():
        db.session.rollback()
        return False
    dropped = batch.unreadable + write_batch(events.write, batch.items)
    events.forget(batch)
    if dropped:
        logger.warning("client events dropped", extra={"count": dropped})
    return True


def purge_client_events() -> None:
    """Delete events that are older than they may get."""
    until = time.monotonic() + BUDGET_SECONDS
    before = clock.now() - KEEP
    while events.purge(before, PURGE_BATCH) == PURGE_BATCH:
        db.session.commit()
        if time.monotonic() > until:
            return
    db.session.commit()
