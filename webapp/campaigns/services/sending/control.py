"""The buttons of a mail's life: schedule, send, pause, resume, cancel, and once more to one person.

Each is one conditional UPDATE: of two who press at once one does it and the other reads a sentence.
"""

import logging
from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, exists, select, update

from webapp.campaigns.errors import NoSuchEmail, NotSendable, WrongEmailState
from webapp.campaigns.models import (
    Email,
    EmailRecipient,
    EmailState,
    EmailVariant,
    RecipientState,
    SendLease,
)
from webapp.campaigns.services.local_time import set_due_times
from webapp.campaigns.services.readying import may_send
from webapp.campaigns.services.tracking.links import publish_links
from webapp.core import clock
from webapp.core.audit import SYSTEM, Actor, record
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.queue import Queue, enqueue
from webapp.messaging.services.senders import sender_for

logger = logging.getLogger(__name__)

SEND = "jobs.campaigns.send_due"
# Somebody's clock is up to 14 hours ahead of UTC, and ours up to 12 behind.
EARLIEST_ZONE = timedelta(hours=26)
LIVE = (EmailState.SENDING, EmailState.PAUSED, EmailState.SCHEDULED)


def schedule(email_id: int, at: datetime, by: Actor) -> Email:
    """Have a ready mail sent at ``at``; flushes.

    Raises NoSuchEmail, NotApproved, WrongEmailState, NotSendable when ``at`` is over.
    """
    may_send(email_id)
    if at <= clock.now():
        raise NotSendable("That moment is over. Choose one to come, or send it now.")
    states = (EmailState.READY, EmailState.SCHEDULED)
    email = _move(email_id, states, EmailState.SCHEDULED, scheduled_at=at)
    record(by, "email.scheduled", f"email:{email_id}", at=at.isoformat())
    db.session.flush()
    return email


def start(email_id: int, by: Actor) -> Email:
    """Send a ready mail now, also one that was scheduled for later; flushes.

    Raises NoSuchEmail, NotApproved, WrongEmailState, NoSuchSender, SenderOff, or NotSendable while
    its recipients are being counted, or when there are none.
    """
    may_send(email_id)
    return _start(email_id, by, (EmailState.READY, EmailState.SCHEDULED), None)


def _start(
    email_id: int, by: Actor, states: Collection[EmailState], scheduled_at: datetime | None
) -> Email:
    email = _get(email_id)
    now = clock.now()
    if email.state in states:
        _refuse_unpopulated(email)
        sender_for(email.sender_id)
        if email.in_recipients_zone:
            set_due_times(email_id, scheduled_at or now)
    decide_at = now + timedelta(minutes=email.ab_minutes) if _is_tested(email) else None
    times = {"started_at": now, "scheduled_at": scheduled_at, "ab_decide_at": decide_at}
    email = _move(email_id, states, EmailState.SENDING, **times)
    publish_links(email_id)
    _call_workers(email_id)
    record(by, "email.started", f"email:{email_id}", recipients=email.population)
    db.session.flush()
    return email


def _refuse_unpopulated(email: Email) -> None:
    if email.populated_at is None:
        raise NotSendable("Its recipients are still being counted. Try again in a moment.")
    if not email.population:
        raise NotSendable("Nobody would get this mail: its audience is empty.")


def _is_tested(email: Email) -> bool:
    tested = email.ab_share is not None and email.ab_share < 100
    variants = select(EmailVariant.number).where(EmailVariant.email_id == email.id)
    return tested and len(db.session.scalars(variants).all()) > 1


def pause(email_id: int, by: Actor) -> Email:
    """Stop sending: workers look several times a second; flushes. Raises as ``resume`` does."""
    email = _move(email_id, (EmailState.SENDING,), EmailState.PAUSED)
    record(by, "email.paused", f"email:{email_id}")
    db.session.flush()
    return email


def resume(email_id: int, by: Actor) -> Email:
    """Send what is missing; flushes. Raises NoSuchEmail or WrongEmailState."""
    email = _move(email_id, (EmailState.PAUSED,), EmailState.SENDING)
    _call_workers(email_id)
    record(by, "email.resumed", f"email:{email_id}")
    db.session.flush()
    return email


def cancel(email_id: int, by: Actor) -> Email:
    """End it for good: whoever has not got it never will; flushes.

    Raises NoSuchEmail or WrongEmailState.
    """
    email = _move(email_id, LIVE, EmailState.CANCELLED, finished_at=clock.now())
    record(by, "email.cancelled", f"email:{email_id}")
    db.session.flush()
    return email


def send_again(email_id: int, recipient_id: int, by: Actor) -> None:
    """Send once more to one whose mail failed or is in doubt: a person's decision; flushes.

    Raises WrongEmailState when there is nothing to repeat: also for the second of two presses.
    """
    again = (RecipientState.FAILED, RecipientState.UNKNOWN)
    # Held first: a mail that is about to be called sent is waited for, or waits for this.
    _get(email_id, lock=True)
    before = db.session.scalar(
        select(EmailRecipient.state)
        .where(EmailRecipient.email_id == email_id, EmailRecipient.id == recipient_id)
        .with_for_update()
    )
    if before not in again:
        raise WrongEmailState("Only a mail that failed, or whose fate is unknown, can be repeated.")
    values = {"state": RecipientState.PENDING, "lease_id": None, "due_at": clock.now()}
    db.session.execute(
        update(EmailRecipient)
        .where(EmailRecipient.email_id == email_id, EmailRecipient.id == recipient_id)
        .values(attempts=0, **values),
        execution_options={"synchronize_session": False},
    )
    _take_back(email_id, before)
    repeatable = (EmailState.SENT, EmailState.SENDING, EmailState.AUTOMATED)
    _reopen(email_id, repeatable)
    _call_workers(email_id)
    record(by, "email.sent_again", f"email:{email_id}", recipient=recipient_id)
    db.session.flush()


def _reopen(email_id: int, states: Collection[EmailState]) -> None:
    email = _get(email_id)
    if email.state not in states:
        raise WrongEmailState("This email is not being sent, and was not: resume it first.")
    if email.state is EmailState.SENT:
        _move(email_id, (EmailState.SENT,), EmailState.SENDING, finished_at=None)


def _take_back(email_id: int, state: RecipientState) -> None:
    """Progress is a sum over leases: one of size 0 takes back what an earlier one counted."""
    now = clock.now()
    db.session.add(
        SendLease(
            email_id=email_id,
            size=0,
            failed=-int(state is RecipientState.FAILED),
            unknown=-int(state is RecipientState.UNKNOWN),
            expires_at=now,
            ended_at=now,
        )
    )


def start_due() -> list[int]:
    """Start the scheduled mails whose time has come; returns which. Commits each by itself."""
    now = clock.now()
    ahead = Email.in_recipients_zone & (Email.scheduled_at <= now + EARLIEST_ZONE)
    due = select(Email.id).where(
        Email.state == EmailState.SCHEDULED, (Email.scheduled_at <= now) | ahead
    )
    started = []
    for email_id in db.session.scalars(due.order_by(Email.scheduled_at)).all():
        if _start_scheduled(email_id):
            started.append(email_id)
        db.session.commit()
    return started


def _start_scheduled(email_id: int) -> bool:
    mine = select(Email).where(Email.id == email_id, Email.state == EmailState.SCHEDULED)
    email = db.session.scalar(mine.with_for_update(skip_locked=True))
    if email is None:
        # Somebody else starts it at this moment, or has taken it back.
        return False
    try:
        _start(email_id, SYSTEM, (EmailState.SCHEDULED,), email.scheduled_at)
    except DomainError as error:
        # Its sender was switched off, say, or nobody is in its audience: the others still start.
        db.session.rollback()
        logger.warning("mail not started", extra={"email_id": email_id, "why": error.code})
        return False
    return True


def next_due(leave_out: Collection[int]) -> int | None:
    """Return a mail with somebody due, steps of sequences first; mails share the workers."""
    somebody = exists().where(
        EmailRecipient.email_id == Email.id,
        EmailRecipient.state == RecipientState.PENDING,
        EmailRecipient.due_at <= clock.now(),
    )
    live: ColumnElement[bool] = Email.state.in_((EmailState.SENDING, EmailState.AUTOMATED))
    statement = select(Email.id).where(live, somebody, Email.id.not_in(list(leave_out)))
    found = db.session.scalars(statement.order_by(Email.state, db.func.random()).limit(1)).first()
    db.session.commit()
    return found


def _call_workers(email_id: int) -> None:
    enqueue(SEND, queue=Queue.BULK, subject=f"email:{email_id}")


def _get(email_id: int, *, lock: bool = False) -> Email:
    email = db.session.get(Email, email_id, populate_existing=True, with_for_update=lock or None)
    if email is None:
        raise NoSuchEmail
    return email


def _move(
    email_id: int, before: Collection[EmailState], after: EmailState, **values: object
) -> Email:
    """Change the state if it is one of ``before``. Raises NoSuchEmail or WrongEmailState."""
    moved = db.session.scalar(
        update(Email)
        .where(Email.id == email_id, Email.state.in_(before))
        .values(state=after, **values)
        .returning(Email)
        .execution_options(populate_existing=True)
    )
    if moved is None:
        state = _get(email_id).state.value
        raise WrongEmailState(f"This email is {state}: that can't be done with it now.")
    return moved
