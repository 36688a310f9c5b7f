"""Switching a sequence on, which freezes its mails, and off, which stops who is on the way."""

from sqlalchemy import update

from webapp.campaigns.errors import InvalidSequence, NotApproved, WrongEmailState
from webapp.campaigns.models import (
    Email,
    EmailRecipient,
    EmailState,
    RecipientState,
    RunState,
    Sequence,
    SequenceRun,
)
from webapp.campaigns.services.readying import freeze_checked
from webapp.campaigns.services.sequences.writing import lock_sequence
from webapp.campaigns.services.settings import get_settings
from webapp.campaigns.services.tracking import publish_links
from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db

SWITCHED_OFF = "Its sequence was switched off before it was sent."


def activate(sequence_id: int, by: Actor) -> Sequence:
    """Let a sequence begin for whoever its event happens to from now on; flushes.

    Its mails pass the checks and are frozen: from then on their words stand, also after it was
    switched off. Raises NoSuchSequence, InvalidSequence, NotApproved, WrongEmailState,
    EmailNotReady or UnreadableBody.
    """
    sequence = lock_sequence(sequence_id)
    if sequence.active:
        return sequence
    if not sequence.steps:
        raise InvalidSequence("Write a mail for it first.")
    for step in sequence.steps:
        email = db.session.get_one(Email, step.email_id, with_for_update=True)
        _refuse_own(email, by)
        _automate(email, by)
    sequence.active = True
    record(by, "sequence.activated", f"sequence:{sequence.id}")
    db.session.flush()
    return sequence


def _refuse_own(email: Email, by: Actor) -> None:
    """Where a fork wants a second person's yes, it is that of whoever switches it on."""
    if get_settings().approval and by.id is not None and email.created_by == by.id:
        raise NotApproved(f"You wrote “{email.name}”: somebody else has to switch this on.")


def _automate(email: Email, by: Actor) -> None:
    if email.state is EmailState.AUTOMATED:
        return
    if email.state is not EmailState.DRAFT:
        # One that is ready has an audience's rows, and would go to all of them.
        raise WrongEmailState(
            f"“{email.name}” is {email.state.value}. A sequence's mails are drafts until it is "
            "switched on: take it back to draft, or put a new one in its place."
        )
    if len(email.variants) > 1:
        raise InvalidSequence(f"“{email.name}” has several variants; a sequence's mail has one.")
    freeze_checked(email)
    now = clock.now()
    email.state = EmailState.AUTOMATED
    email.ready_by, email.ready_at, email.started_at = by.id, now, now
    db.session.flush()
    publish_links(email.id)


def deactivate(sequence_id: int, by: Actor) -> Sequence:
    """Stop a sequence for everybody; flushes. What a worker has claimed by now still goes out.

    Whoever was on the way doesn't begin again when it is switched on. Raises NoSuchSequence.
    """
    sequence = lock_sequence(sequence_id)
    if not sequence.active:
        return sequence
    sequence.active = False
    db.session.execute(
        update(SequenceRun)
        .where(SequenceRun.sequence_id == sequence.id, SequenceRun.state == RunState.ACTIVE)
        .values(state=RunState.STOPPED, ended_at=clock.now())
    )
    theirs = [step.email_id for step in sequence.steps]
    db.session.execute(
        update(EmailRecipient)
        .where(
            EmailRecipient.email_id.in_(theirs),
            EmailRecipient.state == RecipientState.PENDING,
        )
        .values(state=RecipientState.SUPPRESSED, smtp_reply=SWITCHED_OFF)
    )
    record(by, "sequence.deactivated", f"sequence:{sequence.id}")
    db.session.flush()
    return sequence
