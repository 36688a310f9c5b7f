"""Failed payments and the clock: cases are taken on, and people told of cards that end."""

import logging
import time
from datetime import timedelta

from jobs.billing.sync import sweep_events
from webapp.billing.services import dunning
from webapp.billing.services.dunning import expiring, ticking
from webapp.core.db import db
from webapp.core.queue import Queue, ring
from webapp.payments.errors import StripeUnavailable

logger = logging.getLogger(__name__)

TICK = "jobs.billing.tick_cases"
SECONDS = 30
OVERLAP = timedelta(minutes=10)


def tick_cases() -> None:
    """Take due cases on until none is left, or hand over after half a minute.

    Whoever is due may have paid while nobody here listened, so Stripe's list of events is read
    first. While Stripe doesn't answer, nobody is chased; the doctor tells after half an hour.
    """
    if not ticking.is_anybody_due():
        db.session.rollback()
        return
    try:
        sweep_events(OVERLAP)
    except StripeUnavailable as error:
        db.session.rollback()
        logger.warning("cases wait for stripe", extra={"why": error.sentence})
        return
    _take_on()


def _take_on() -> None:
    until = time.monotonic() + SECONDS
    taken = 0
    while handled := dunning.tick(ticking.BATCH):
        db.session.commit()
        taken += handled
        if time.monotonic() > until:
            ring(TICK, Queue.CRITICAL)
            break
    db.session.commit()
    if taken:
        logger.info("cases taken on", extra={"count": taken})


def remind_of_cards() -> None:
    """Write to people whose card ends soon, batch by batch."""
    after: int | None = 0
    while after is not None:
        after = expiring.remind(after)
        db.session.commit()
