"""What dead workers left: settled from their journals, or marked unknown when there is none."""

import logging
from datetime import datetime

from sqlalchemy import BigInteger, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from webapp.campaigns.models import EmailRecipient, RecipientState, SendLease
from webapp.campaigns.services.sending.journal import Entry, LeaseJournal, Step, orphans
from webapp.campaigns.services.sending.leases import Fate, close, fate_of, untouched
from webapp.core import clock
from webapp.core.db import db
from webapp.messaging.gateway import Handover, Outcome

logger = logging.getLogger(__name__)

# A claim's commit may still be under way in Postgres when its worker is dead.
COMMIT_SECONDS = 60
IN_DOUBT = "The worker was lost before it heard the mail server's answer."
NO_JOURNAL = "The worker was lost, and with it the note of what it had sent."
ACCEPTED = "Accepted; the worker was lost with the mail server's words."
WORKER_LOST = "Not accepted; the worker was lost with the mail server's words."


def recover() -> int:
    """End the leases whose worker died on this machine, by their journals; returns how many.

    Commits each by itself. A journal that can't be settled stays for the next time, and keeps
    nobody from sending.
    """
    ended = 0
    for journal in orphans():
        try:
            begun_at = _lock_open(journal.lease_id)
            if begun_at is not None:
                close(journal.lease_id, journal.email_id, _fates_in(journal, begun_at))
            over = begun_at is not None or _never_began(journal)
            db.session.commit()
        except Exception as error:
            db.session.rollback()
            journal.close()
            logger.error("lease not settled", exc_info=error, extra={"lease": journal.lease_id})
            continue
        except BaseException:
            db.session.rollback()
            journal.close()
            raise
        if over:
            journal.remove()
        else:
            journal.close()
        ended += begun_at is not None
    return ended


def _never_began(journal: LeaseJournal) -> bool:
    """Whether the lease is over, or was never committed: then nothing was sent."""
    if journal.age_seconds > COMMIT_SECONDS:
        return True
    lease = select(SendLease.id).where(SendLease.id == journal.lease_id)
    return db.session.scalar(lease) is not None


def _lock_open(lease_id: int) -> datetime | None:
    """Return when a lease began, locked; None if there is none, or it is over."""
    lease = select(SendLease.created_at)
    open_lease = lease.where(SendLease.id == lease_id, SendLease.ended_at.is_(None))
    return db.session.scalar(open_lease.with_for_update())


def _fates_in(journal: LeaseJournal, begun_at: datetime) -> list[Fate]:
    """Return what the journal says. It keeps no times: sent is sent since ``begun_at``."""
    entries = journal.entries()
    ids = bindparam("ids", [entry.recipient_id for entry in entries], ARRAY(BigInteger))
    tries = select(EmailRecipient.id, EmailRecipient.attempts).where(
        EmailRecipient.email_id == journal.email_id, EmailRecipient.id == func.any(ids)
    )
    attempts = {row.id: row.attempts for row in db.session.execute(tries)}
    sure = journal.is_of_this_boot
    fates = [
        _fate_of(entry, attempts.get(entry.recipient_id, 1), sure, begun_at) for entry in entries
    ]
    # Whom it doesn't name, as a part of it never reached the disk, is in doubt with the others.
    named = attempts.keys()
    left = [] if sure else _claimed(journal.lease_id, journal.email_id)
    return [*fates, *(_lost(each) for each in left if each not in named)]


def _fate_of(entry: Entry, attempts: int, sure: bool, begun_at: datetime) -> Fate:
    """Return what a mark says; one that may never have reached the disk says little."""
    match entry.step:
        case Step.ACCEPTED:
            handover = Handover(Outcome.ACCEPTED, f"{entry.status} {ACCEPTED}")
        case Step.REFUSED:
            handover = Handover(Outcome.REFUSED, f"{entry.status} {WORKER_LOST}")
        case Step.DEFERRED:
            handover = Handover(Outcome.DEFERRED, f"{entry.status or ''} {WORKER_LOST}".strip())
        case Step.UNTOUCHED if sure:
            return untouched(entry.recipient_id)
        case _:
            handover = Handover(Outcome.IN_DOUBT, IN_DOUBT if sure else NO_JOURNAL)
    return fate_of(entry.recipient_id, attempts, handover, begun_at)


def expire() -> int:
    """Mark as unknown what is left of leases that are long over; returns how many mails. Commits.

    Their journals are on a disk that nobody reads any more.
    """
    over = select(SendLease.id, SendLease.email_id).where(
        SendLease.ended_at.is_(None), SendLease.expires_at < clock.now()
    )
    lost = 0
    for lease_id, email_id in db.session.execute(over.limit(100)).all():
        if _lock_open(lease_id) is None:
            db.session.rollback()
            continue
        lost += _expire(lease_id, email_id)
        db.session.commit()
    return lost


def _expire(lease_id: int, email_id: int) -> int:
    left = _claimed(lease_id, email_id)
    close(lease_id, email_id, [_lost(each) for each in left])
    return len(left)


def _claimed(lease_id: int, email_id: int) -> list[int]:
    """Return the lease's recipients without a fate, read from all of the mail's: a rare thing."""
    mine = EmailRecipient.email_id == email_id, EmailRecipient.lease_id == lease_id
    claimed = select(EmailRecipient.id).where(*mine, EmailRecipient.state == RecipientState.CLAIMED)
    return list(db.session.scalars(claimed))


def _lost(recipient_id: int) -> Fate:
    return Fate(recipient_id, RecipientState.UNKNOWN, NO_JOURNAL)
