"""The life of a mail on its way out: who may send it now, and what became of it.

pending -> claimed -> sending -> sent | failed | unknown; or suppressed, where the address must not
be written to; or withdrawn, where its words are no longer true. Every step is a conditional UPDATE
that names the try (``attempts``) it belongs to: a worker that lost its claim can't take the step,
so never do two of them finish the same message.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parseaddr
from typing import Any

from sqlalchemy import ColumnElement, and_, case, exists, func, literal, or_, select, update

from webapp.core import clock
from webapp.core.db import db
from webapp.core.errors import DomainError, RetryLater
from webapp.core.models import Job, JobState
from webapp.core.state import current_config
from webapp.messaging.bounces import return_path
from webapp.messaging.errors import AddressSuppressed, BodyRemoved, NoSuchMail, NotOver
from webapp.messaging.gateway import Envelope, Handover, Outcome
from webapp.messaging.gateway.dkim import signed
from webapp.messaging.models import Mail, MailState
from webapp.messaging.services.composing import Headers, Words, compose
from webapp.messaging.services.posting import DELIVER, WITHHELD, promise
from webapp.messaging.services.secrets import REMOVED, remove_old_keys, without_key
from webapp.messaging.services.suppressing import is_suppressed

IN_DOUBT = "The worker was lost before it heard the mail server's answer."
GAVE_UP = "Not delivered after the last try: "
# What only a person's decision moves on from here.
STUCK = (MailState.FAILED, MailState.UNKNOWN, MailState.SUPPRESSED)


@dataclass(frozen=True, slots=True)
class Letter:
    """A claimed mail, apart from the session: the network is used with no transaction open."""

    mail_id: int
    attempt: int
    envelope: Envelope


def claim(mail_id: int) -> Letter | None:
    """Take the mail for this worker; None when there is nothing more to do for it.

    A mail whose worker died before the end of its message is taken over; one whose worker died
    after it becomes ``unknown``, and one to a suppressed address ``suppressed``. Raises RetryLater
    while another worker may still be at it, and NoSuchMail.
    """
    now = clock.now()
    free = or_(
        Mail.state == MailState.PENDING,
        and_(Mail.state == MailState.CLAIMED, Mail.claimed_at < _abandoned_before(now)),
    )
    mail = db.session.execute(
        update(Mail)
        .where(Mail.id == mail_id, free)
        .values(state=MailState.CLAIMED, attempts=Mail.attempts + 1, claimed_at=now)
        .returning(
            Mail.attempts,
            Mail.code,
            Mail.recipient,
            Mail.sender,
            Mail.reply_to,
            Mail.subject,
            Mail.text,
            Mail.html,
        )
    ).one_or_none()
    if mail is None:
        _look_why(mail_id, now)
        return None
    if is_suppressed(mail.recipient, marketing=False):
        _withhold(mail_id)
        return None
    name, sender = parseaddr(mail.sender)
    headers = Headers(name, sender, mail.recipient, mail.reply_to, mail.code, now)
    content = compose(headers, Words(mail.subject, mail.text, mail.html))
    path = return_path(current_config().bounce_address, mail.code) or sender
    envelope = Envelope(mail.code, path, mail.recipient, signed(content))
    return Letter(mail_id, mail.attempts, envelope)


def _withhold(mail_id: int) -> None:
    values = {"state": MailState.SUPPRESSED, "smtp_reply": WITHHELD}
    db.session.execute(update(Mail).where(Mail.id == mail_id).values(values))


def _abandoned_before(now: datetime) -> datetime:
    # Half the job's lease: when a dead worker's job runs again, its claim is surely old enough.
    # Were that worker only slow, begin() stops it.
    return now - timedelta(seconds=current_config().job_lease_seconds / 2)


def _look_why(mail_id: int, now: datetime) -> None:
    state = db.session.scalar(select(Mail.state).where(Mail.id == mail_id))
    if state is None:
        raise NoSuchMail(mail_id)
    if state not in (MailState.PENDING, MailState.CLAIMED, MailState.SENDING):
        return
    stale = Mail.state == MailState.SENDING, Mail.claimed_at < _abandoned_before(now)
    if not _doubt(Mail.id == mail_id, *stale):
        raise RetryLater(f"Another worker is sending mail {mail_id}.")


def _doubt(*where: ColumnElement[bool]) -> int:
    values = {"state": MailState.UNKNOWN, "smtp_reply": IN_DOUBT}
    return len(
        db.session.scalars(update(Mail).where(*where).values(values).returning(Mail.id)).all()
    )


def begin(letter: Letter) -> bool:
    """Note that the message's end is about to be sent; False if the claim was lost meanwhile.

    Once this is committed the mail may have been accepted, so no machine sends it again.
    """
    taken = db.session.scalar(
        update(Mail)
        .where(*_same_try(letter), Mail.state == MailState.CLAIMED)
        .values(state=MailState.SENDING, claimed_at=clock.now())
        .returning(Mail.id)
    )
    return taken is not None


def conclude(letter: Letter, handover: Handover) -> MailState | None:
    """Write down what became of this try and return the mail's state.

    None: the mail is another try's by now and was left alone. ``pending`` asks for another try.
    """
    if handover.outcome is Outcome.WITHDRAWN:
        return None
    values = _result(letter, handover)
    # The answer also corrects a sweep that already took this worker for dead.
    open_states = (MailState.CLAIMED, MailState.SENDING, MailState.UNKNOWN)
    state: MailState | None = db.session.scalar(
        update(Mail)
        .where(*_same_try(letter), Mail.state.in_(open_states))
        .values(values)
        .returning(Mail.state)
    )
    return state


def _same_try(letter: Letter) -> tuple[ColumnElement[bool], ...]:
    return Mail.id == letter.mail_id, Mail.attempts == letter.attempt


def _result(letter: Letter, handover: Handover) -> dict[str, Any]:
    reply = handover.reply
    match handover.outcome:
        case Outcome.ACCEPTED:
            sent = {"state": MailState.SENT, "smtp_reply": reply, "sent_at": clock.now()}
            return sent | without_key()
        case Outcome.REFUSED:
            return {"state": MailState.FAILED, "smtp_reply": reply}
        case Outcome.IN_DOUBT:
            return {"state": MailState.UNKNOWN, "smtp_reply": reply}
        case _ if _is_last_try(letter.mail_id):
            return {"state": MailState.FAILED, "smtp_reply": GAVE_UP + reply}
        case _:
            return {"state": _put_off(), "smtp_reply": reply, "claimed_at": None}


def _put_off() -> ColumnElement[MailState]:
    """Pending again; but withdrawn, if it was while its end was being sent: it never went."""
    again, never = (
        literal(state, Mail.state.type) for state in (MailState.PENDING, MailState.WITHDRAWN)
    )
    return case((Mail.withdrawn_at.is_(None), again), else_=never)


def _job_for(mail_id: Any) -> tuple[ColumnElement[bool], ...]:
    return Job.path == DELIVER, Job.args == func.jsonb_build_array(mail_id)


def _is_last_try(mail_id: int) -> bool:
    """Whether the job that runs now for this mail is not run again by itself."""
    last = and_(Job.state == JobState.RUNNING, Job.attempts >= Job.max_attempts)
    return bool(db.session.scalar(select(exists().where(*_job_for(mail_id), last))))


def send_again(mail_id: int) -> Mail:
    """Send a failed mail, or one whose fate is unknown, once more: a person's decision; flushes.

    Also one that was suppressed, if its address no longer is. Raises NoSuchMail, or NotOver for
    any other state and for the second of two clicks, AddressSuppressed, or BodyRemoved where
    there is nothing left to send.
    """
    recipient = db.session.scalar(select(Mail.recipient).where(Mail.id == mail_id))
    if recipient and is_suppressed(recipient, marketing=False):
        raise AddressSuppressed(mail_id)
    mail = db.session.scalar(
        update(Mail)
        .where(Mail.id == mail_id, Mail.state.in_(STUCK), Mail.text != REMOVED)
        .values(state=MailState.PENDING, claimed_at=None)
        .returning(Mail)
        .execution_options(populate_existing=True)
    )
    if mail is None:
        raise _why_not(mail_id)
    promise(mail.id, mail.subject_ref)
    return mail


def _why_not(mail_id: int) -> DomainError:
    row = db.session.execute(
        select(Mail.secret, Mail.text == REMOVED).where(Mail.id == mail_id)
    ).one_or_none()
    if row is None:
        return NoSuchMail(mail_id)
    return BodyRemoved(mail_id) if all(row) else NotOver(mail_id)


@dataclass(frozen=True, slots=True)
class Settled:
    """How many mails a sweep put back to be sent, gave up, and marked as in doubt."""

    promised: int = 0
    failed: int = 0
    unknown: int = 0


def settle_stale(limit: int = 1000) -> Settled:
    """Give a fate to mails that no job cares for any more; flushes.

    Never sent: promised again, or failed if their job used up its tries. In doubt: ``unknown``.
    Keys in mails that were never sent don't outlive their time.
    """
    remove_old_keys()
    lease = timedelta(seconds=current_config().job_lease_seconds)
    since = case((Mail.state == MailState.PENDING, Mail.created_at), else_=Mail.claimed_at)
    open_states = (MailState.PENDING, MailState.CLAIMED, MailState.SENDING)
    live = exists().where(*_job_for(Mail.id), Job.state.in_((JobState.QUEUED, JobState.RUNNING)))
    spent = exists().where(*_job_for(Mail.id), Job.state.in_((JobState.FAILED, JobState.CANCELLED)))
    rows = db.session.execute(
        select(Mail.id, Mail.state, Mail.subject_ref, spent.label("spent"))
        .where(Mail.state.in_(open_states), since < clock.now() - lease, ~live)
        .order_by(Mail.id)
        .limit(limit)
        .with_for_update(of=Mail, skip_locked=True)
    ).all()
    return _settle(rows)


def _settle(rows: Sequence[Any]) -> Settled:
    in_doubt = [row.id for row in rows if row.state is MailState.SENDING]
    unsent = [row for row in rows if row.state is not MailState.SENDING]
    spent = [row.id for row in unsent if row.spent]
    again = [row for row in unsent if not row.spent]
    if in_doubt:
        _doubt(Mail.id.in_(in_doubt))
    if spent:
        values = {"state": MailState.FAILED, "smtp_reply": GAVE_UP + "its job failed."}
        db.session.execute(update(Mail).where(Mail.id.in_(spent)).values(values))
    for row in again:
        promise(row.id, row.subject_ref)
    return Settled(promised=len(again), failed=len(spent), unknown=len(in_doubt))
