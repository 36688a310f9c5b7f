"""Leases: some hundred recipients at a time that one worker may send to, and their end.

pending -> claimed -> sent | failed | unknown | suppressed, or back to pending. A lease and its
journal are there before the first byte leaves; both are gone when every recipient has a fate. What
a dead worker leaves is settled from its journal at once, or, where the journal can't be had,
marked unknown when the lease is over: nothing is ever sent twice to find out.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Text, bindparam, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from webapp.campaigns.models import Email, EmailRecipient, EmailState, RecipientState, SendLease
from webapp.campaigns.services.sending.journal import LeaseJournal
from webapp.core import clock
from webapp.core.db import db
from webapp.messaging.gateway import Handover, Outcome
from webapp.messaging.models import MailTopic
from webapp.messaging.services.addresses import folded

SIZE = 500
# Far longer than any lease takes: a worker begins nothing more after two seconds.
LASTS = timedelta(minutes=10)
MAX_ATTEMPTS = 12
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=5), timedelta(hours=6)

GAVE_UP = "Not delivered after the last try: "
SUPPRESSED = "Not sent: the address is on the suppression list."
NOT_WANTED = "Not sent: they no longer want mails of this kind."


@dataclass(frozen=True, slots=True)
class Claimed:
    """One recipient of a lease. ``tracked`` is their wish."""

    id: int
    secret: int
    address: str
    fields: dict[str, Any]
    variant: int
    attempts: int
    tracked: bool


@dataclass(frozen=True, slots=True)
class Lease:
    """A committed claim: who may be written to, and the journal that remembers how far it came."""

    id: int
    email_id: int
    recipients: list[Claimed]
    journal: LeaseJournal


@dataclass(frozen=True, slots=True)
class Fate:
    """What a recipient's row becomes; ``due_at`` only for one that goes back to pending.

    ``at`` is when the server took it: a lease may last for minutes, and who clicks meanwhile is
    no machine that was there before the mail.
    """

    recipient_id: int
    state: RecipientState
    reply: str | None = None
    due_at: datetime | None = None
    at: datetime | None = None


# Both join by columns and never by a constant: of a mail that is too new for the statistics the
# planner expects one row, and would look through all of them once for each of the lease.
_CLAIM = text("""
    WITH due AS MATERIALIZED (
        SELECT email_id, id FROM email_recipient
        WHERE email_id = :email_id AND state = 'pending' AND due_at <= :now
            AND EXISTS (
                SELECT FROM email WHERE id = :email_id AND state IN ('sending', 'automated')
            )
        ORDER BY due_at, id LIMIT :size FOR UPDATE SKIP LOCKED
    )
    UPDATE email_recipient AS r
    SET state = 'claimed', lease_id = :lease_id, attempts = attempts + 1
    FROM due WHERE r.email_id = due.email_id AND r.id = due.id
    RETURNING r.id, r.secret, r.address, r.fields, r.variant, r.attempts
""")

# One visit for each address: is it suppressed, is the topic still wanted, may it be tracked?
_WISHES = text("""
    SELECT a.address,
        EXISTS (SELECT FROM mail_suppression s WHERE s.email = a.folded) AS suppressed,
        coalesce((
            SELECT c.wanted FROM mail_consent c
            WHERE c.email = a.address AND c.topic = :topic ORDER BY c.id DESC LIMIT 1
        ), false) AS wanted,
        EXISTS (SELECT FROM tracking_opt_out o WHERE o.email = a.address) AS untracked
    FROM unnest(:addresses, :folded) AS a(address, folded)
""").bindparams(bindparam("addresses", type_=ARRAY(Text)), bindparam("folded", type_=ARRAY(Text)))

# Also rows that a sweep took for lost meanwhile: whoever holds the lease knows better.
_SETTLE = text("""
    WITH f AS MATERIALIZED (
        SELECT CAST(:email_id AS bigint) AS email_id, given.*
        FROM jsonb_to_recordset(:fates)
            AS given(id bigint, state text, reply text, due_at timestamptz, at timestamptz)
    )
    UPDATE email_recipient AS r
    SET state = f.state, smtp_reply = coalesce(f.reply, r.smtp_reply),
        due_at = coalesce(f.due_at, r.due_at),
        lease_id = CASE WHEN f.state = 'pending' THEN NULL ELSE r.lease_id END,
        attempts = CASE
            WHEN f.state = 'pending' AND f.reply IS NULL THEN r.attempts - 1 ELSE r.attempts END,
        sent_at = coalesce(f.at, r.sent_at)
    FROM f
    WHERE r.email_id = f.email_id AND r.id = f.id AND r.lease_id = :lease_id
        AND r.state IN ('claimed', 'unknown')
    RETURNING r.state
""").bindparams(bindparam("fates", type_=JSONB))


def claim(email_id: int, topic: MailTopic, size: int) -> Lease | None:
    """Take up to ``size`` due recipients for this worker; None when none is due. Commits.

    Who may no longer be written to is settled as suppressed and not part of it.
    """
    now = clock.now()
    lease = SendLease(email_id=email_id, size=size, expires_at=now + LASTS)
    db.session.add(lease)
    db.session.flush()
    lease_id = lease.id
    bound = {"email_id": email_id, "now": now, "size": size, "lease_id": lease_id}
    rows = db.session.execute(_CLAIM, bound).all()
    if not rows:
        db.session.rollback()
        return None
    recipients = _sift(email_id, lease_id, topic, sorted(rows))
    # Before the commit: a claim that others can see always has its journal.
    journal = LeaseJournal.create(lease_id, email_id, [each.id for each in recipients])
    try:
        db.session.commit()
    except BaseException:
        journal.close()
        raise
    return Lease(lease_id, email_id, recipients, journal)


def _sift(email_id: int, lease_id: int, topic: MailTopic, rows: Sequence[Any]) -> list[Claimed]:
    """Settle those who may not be written to any more, and return the others."""
    addresses = [row.address for row in rows]
    bound = {
        "addresses": addresses,
        "folded": [folded(address) for address in addresses],
        "topic": topic.value,
    }
    wishes = {wish.address: wish for wish in db.session.execute(_WISHES, bound)}
    withheld = []
    kept = []
    for row in rows:
        wish = wishes[row.address]
        if wish.suppressed or not wish.wanted:
            why = SUPPRESSED if wish.suppressed else NOT_WANTED
            withheld.append(Fate(row.id, RecipientState.SUPPRESSED, why))
            continue
        kept.append(
            Claimed(
                id=row.id,
                secret=row.secret,
                address=row.address,
                fields=row.fields,
                variant=row.variant,
                attempts=row.attempts,
                tracked=not wish.untracked,
            )
        )
    if withheld:
        _write(email_id, lease_id, withheld)
        values = {"size": len(rows), "suppressed": len(withheld)}
    else:
        values = {"size": len(rows)}
    db.session.execute(update(SendLease).where(SendLease.id == lease_id).values(values))
    return kept


def end(lease: Lease, fates: Iterable[Fate]) -> None:
    """Write down the fate of every recipient of the lease, and forget its journal. Commits.

    When this fails the journal stays, and whoever finds it ends the lease.
    """
    try:
        close(lease.id, lease.email_id, list(fates))
        db.session.commit()
    except BaseException:
        lease.journal.close()
        raise
    lease.journal.remove()


def fate_of(
    recipient_id: int, attempts: int, handover: Handover, at: datetime | None = None
) -> Fate:
    """Return what a try makes of a recipient; without ``at`` it was just now."""
    reply = handover.reply
    match handover.outcome:
        case Outcome.ACCEPTED:
            return Fate(recipient_id, RecipientState.SENT, reply, at=at or clock.now())
        case Outcome.REFUSED:
            return Fate(recipient_id, RecipientState.FAILED, reply)
        case Outcome.IN_DOUBT:
            return Fate(recipient_id, RecipientState.UNKNOWN, reply)
        case Outcome.WITHDRAWN:
            return Fate(recipient_id, RecipientState.PENDING)
    if attempts >= MAX_ATTEMPTS:
        return Fate(recipient_id, RecipientState.FAILED, GAVE_UP + reply)
    wait = min(FIRST_WAIT * 2 ** (attempts - 1), LONGEST_WAIT)
    return Fate(recipient_id, RecipientState.PENDING, reply, clock.now() + wait)


def untouched(recipient_id: int, due_at: datetime | None = None) -> Fate:
    """Return the fate of one that was never handed over: the try doesn't count."""
    return Fate(recipient_id, RecipientState.PENDING, due_at=due_at)


def close(lease_id: int, email_id: int, fates: Sequence[Fate]) -> None:
    """Write down fates and count them with the lease, which is over; flushes."""
    states = _write(email_id, lease_id, fates)
    lease = db.session.get(SendLease, lease_id, with_for_update=True, populate_existing=True)
    if lease is None:
        return
    lease.sent = states[RecipientState.SENT]
    lease.failed = states[RecipientState.FAILED]
    lease.unknown = states[RecipientState.UNKNOWN]
    lease.ended_at = clock.now()
    db.session.flush()
    if states[RecipientState.PENDING]:
        _reopen(email_id)


def _reopen(email_id: int) -> None:
    """A sweep may have taken the lease for lost, and the mail for sent: then it goes on."""
    done = update(Email).where(Email.id == email_id, Email.state == EmailState.SENT)
    db.session.execute(
        done.values(state=EmailState.SENDING, finished_at=None),
        execution_options={"synchronize_session": False},
    )


def _write(email_id: int, lease_id: int, fates: Sequence[Fate]) -> Counter[str]:
    rows = [
        {
            "id": fate.recipient_id,
            "state": fate.state.value,
            "reply": fate.reply,
            "due_at": fate.due_at.isoformat() if fate.due_at else None,
            "at": fate.at.isoformat() if fate.at else None,
        }
        for fate in fates
    ]
    bound = {"fates": rows, "email_id": email_id, "lease_id": lease_id}
    return Counter(db.session.scalars(_SETTLE, bound))


def finish() -> list[int]:
    """Call mails sent that have no pending recipient and no open lease; returns which. Flushes.

    A mail that somebody holds may just be getting recipients that can't be seen yet: it is looked
    at the next time.
    """
    sending = select(Email.id).where(Email.state == EmailState.SENDING)
    free = db.session.scalars(sending.with_for_update(skip_locked=True)).all()
    waiting = select(EmailRecipient.id).where(
        EmailRecipient.email_id == Email.id, EmailRecipient.state == RecipientState.PENDING
    )
    leased = select(SendLease.id).where(
        SendLease.email_id == Email.id, SendLease.ended_at.is_(None)
    )
    done = (
        update(Email)
        .where(Email.id.in_(free), ~waiting.exists(), ~leased.exists())
        .values(state=EmailState.SENT, finished_at=clock.now())
        .returning(Email.id)
    )
    return list(db.session.scalars(done, execution_options={"synchronize_session": False}))
