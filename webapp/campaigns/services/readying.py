"""The gate between writing and sending: checks pass, words freeze, a second person approves."""

from typing import Any, cast

from sqlalchemy import CursorResult, Select, select, text, update

from webapp.campaigns.errors import EmailNotReady, NotApproved, WrongEmailState
from webapp.campaigns.models import (
    Email,
    EmailRecipient,
    EmailState,
    EmailVariant,
    RecipientState,
    SequenceStep,
)
from webapp.campaigns.services.checking import Level, check
from webapp.campaigns.services.compiling import freeze, unfreeze
from webapp.campaigns.services.emails import get_email
from webapp.campaigns.services.settings import get_settings
from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db
from webapp.core.queue import Queue, enqueue

POPULATE = "jobs.campaigns.populate"
FORGET = "jobs.campaigns.forget_recipients"
AT_ONCE = 10_000
MOST_TOLD = 5


def make_ready(email_id: int, by: Actor) -> Email:
    """Let a draft through the gate: freeze its words, have its recipients gathered; flushes.

    Raises NoSuchEmail, WrongEmailState, EmailNotReady with what its checks say, or UnreadableBody.
    """
    email = get_email(email_id)
    if db.session.scalar(select(SequenceStep.id).where(SequenceStep.email_id == email_id)):
        raise WrongEmailState(
            "This mail is a step of a sequence: it is sent when the sequence is switched on."
        )
    _move(
        email,
        (EmailState.DRAFT,),
        "It is no draft any more.",
        state=EmailState.READY,
        ready_by=by.id,
        ready_at=clock.now(),
        approved_by=None,
        approved_at=None,
    )
    if db.session.scalar(_never_sent(email.id).limit(1)) is not None:
        raise WrongEmailState(
            "Those it was meant for before are still being forgotten. Try again in a minute."
        )
    _reread_words(email)
    freeze_checked(email)
    record(by, "email.made_ready", f"email:{email.id}")
    enqueue(POPULATE, email.id, queue=Queue.BULK, subject=f"email:{email.id}")
    db.session.flush()
    return email


def freeze_checked(email: Email) -> None:
    """Freeze the words unless a check finds an error; flushes. For steps of sequences, too.

    Raises EmailNotReady or UnreadableBody.
    """
    errors = [finding.sentence for finding in check(email) if finding.level is Level.ERROR]
    if errors:
        more = len(errors) - MOST_TOLD
        told = errors[:MOST_TOLD] + ([f"And {more} more."] if more > 0 else [])
        raise EmailNotReady(" ".join(told))
    freeze(email)


def approve(email_id: int, by: Actor) -> Email:
    """Note that a second person has looked at a mail that is ready; flushes.

    Raises NoSuchEmail, WrongEmailState or NotApproved for whoever made it ready.
    """
    email = get_email(email_id)
    db.session.refresh(email, with_for_update=True)
    if email.state is not EmailState.READY:
        raise WrongEmailState("Only an email that is ready can be approved.")
    if email.approved_at is not None:
        raise WrongEmailState("It is approved already.")
    if by.id == email.ready_by:
        raise NotApproved("You made it ready: somebody else has to approve it.")
    email.approved_by, email.approved_at = by.id, clock.now()
    record(by, "email.approved", f"email:{email.id}")
    db.session.flush()
    return email


def may_send(email_id: int) -> None:
    """Raise NotApproved while this fork wants a second person's yes and there is none."""
    if get_settings().approval and get_email(email_id).approved_at is None:
        raise NotApproved("Somebody else has to approve this email before it may be sent.")


def back_to_draft(email_id: int, by: Actor) -> Email:
    """Take a mail back before anything of it left: its words may change again; flushes.

    Its recipients are forgotten, and gathered anew when it is made ready again.
    Raises NoSuchEmail or WrongEmailState.
    """
    email = get_email(email_id)
    _move(
        email,
        (EmailState.READY, EmailState.SCHEDULED),
        "It is under way already. Copy it to send other words."
        if email.started_at
        else "Only an email that is ready or scheduled goes back to draft.",
        state=EmailState.DRAFT,
        scheduled_at=None,
        ready_by=None,
        ready_at=None,
        approved_by=None,
        approved_at=None,
        population=0,
        populated_at=None,
    )
    unfreeze(email)
    if forget_recipients(email.id, AT_ONCE) == AT_ONCE:
        # A web request must be quick: a job goes on with the rest.
        enqueue(FORGET, email.id, queue=Queue.BULK, subject=f"email:{email.id}")
    record(by, "email.back_to_draft", f"email:{email.id}")
    db.session.flush()
    return email


def forget_recipients(email_id: int, limit: int) -> int:
    """Delete up to ``limit`` recipients of a draft that got nothing; returns how many."""
    draft = select(Email.id).where(Email.id == email_id, Email.state == EmailState.DRAFT)
    if db.session.scalar(draft.with_for_update()) is None:
        return 0
    gone = db.session.execute(_FORGET, {"email_id": email_id, "most": limit})
    return cast("CursorResult[Any]", gone).rowcount


# Joined by columns: of a mail too new for the statistics the planner expects one recipient, and
# would look through all of them once for each.
_FORGET = text("""
    WITH unsent AS MATERIALIZED (
        SELECT email_id, id FROM email_recipient
        WHERE email_id = :email_id AND state IN ('pending', 'suppressed') LIMIT :most
    )
    DELETE FROM email_recipient AS r USING unsent
    WHERE r.email_id = unsent.email_id AND r.id = unsent.id
""")


def _never_sent(email_id: int) -> Select[int]:
    states = (RecipientState.PENDING, RecipientState.SUPPRESSED)
    mine = EmailRecipient.email_id == email_id
    return select(EmailRecipient.id).where(mine, EmailRecipient.state.in_(states))


def _reread_words(email: Email) -> None:
    """An editor may have saved between our first look and the change of state."""
    of_email = select(EmailVariant).where(EmailVariant.email_id == email.id)
    db.session.scalars(of_email, execution_options={"populate_existing": True}).all()
    db.session.refresh(email, ["variants"])


def _move(email: Email, states: tuple[EmailState, ...], refusal: str, **values: object) -> None:
    """Change the state in one statement: of two who press at once, the second is refused."""
    statement = update(Email).where(Email.id == email.id, Email.state.in_(states)).values(values)
    moved = db.session.execute(statement.execution_options(synchronize_session=False))
    if not cast("CursorResult[Any]", moved).rowcount:
        raise WrongEmailState(refusal)
    db.session.refresh(email)
