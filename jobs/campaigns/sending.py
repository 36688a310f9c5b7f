"""Sends what is due in leases, and makes way for mails and payments between them."""

import logging
import time

from webapp.campaigns.services import sending
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.queue import Queue, has_waiting, ring

logger = logging.getLogger(__name__)

SEND = "jobs.campaigns.send_due"
BUDGET_SECONDS = 25.0
LOOK_SECONDS = 0.25
# Longer waits are left to the clock, which calls every few seconds.
WORTH_WAITING_SECONDS = 1.0
URGENT = (Queue.CRITICAL, Queue.MAIL)


def send_due() -> None:
    """Send for half a minute, or until nothing is due, or something more urgent waits.

    Each worker that finds work calls another: so as many send as are free.
    """
    sending.recover()
    until = time.monotonic() + BUDGET_SECONDS
    resting: dict[int, float] = {}
    called = False
    while time.monotonic() < until:
        email_id = sending.next_due(_still_resting(resting))
        if email_id is None:
            if _wait_for(resting):
                continue
            break
        turn = _send(email_id)
        if turn.wait:
            resting[email_id] = time.monotonic() + turn.wait
        if not turn.sent:
            # Nobody is called for a mail that has to wait: they would call each other for ever.
            continue
        if not called or has_waiting(*URGENT):
            ring(SEND, Queue.BULK)
            called = True
        if has_waiting(*URGENT):
            return
    else:
        ring(SEND, Queue.BULK)
    finish()


def _still_resting(resting: dict[int, float]) -> list[int]:
    now = time.monotonic()
    return [email_id for email_id, until in resting.items() if until > now]


def _wait_for(resting: dict[int, float]) -> bool:
    """Wait a moment for a mail that may go on soon; False when none does, or others wait."""
    now = time.monotonic()
    soon = min((until for until in resting.values() if until > now), default=None)
    if soon is None or soon - now > WORTH_WAITING_SECONDS or has_waiting(*URGENT):
        return False
    time.sleep(min(soon - now, LOOK_SECONDS))
    return True


def _send(email_id: int) -> sending.Turn:
    try:
        turn = sending.send_lease(email_id)
    except DomainError as error:
        # A sender that was switched off, say: the other mails go on.
        db.session.rollback()
        logger.warning("mail not sent on", extra={"email_id": email_id, "why": error.code})
        return sending.Turn(wait=BUDGET_SECONDS)
    except Exception as error:
        # Steps of sequences come first: one that can't be sent would keep all others waiting.
        db.session.rollback()
        logger.error("mail not sent on", exc_info=error, extra={"email_id": email_id})
        return sending.Turn(wait=BUDGET_SECONDS)
    if turn.sent:
        logger.info("lease sent", extra={"email_id": email_id, "sent": turn.sent})
    return turn


def finish() -> None:
    """Call mails sent whose last recipient has a fate."""
    for email_id in sending.finish():
        logger.info("email sent", extra={"email_id": email_id})
    db.session.commit()


def keep_sending() -> None:
    """The clock's look: settle what dead workers left, start what is scheduled, decide tests."""
    recovered, lost = sending.recover(), sending.expire()
    if recovered or lost:
        logger.warning("leases settled", extra={"recovered": recovered, "unknown": lost})
    finish()
    sending.start_due()
    sending.decide_due()
