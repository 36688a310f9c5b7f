"""A sequence while it is written. Its steps only change while it is switched off."""

from collections.abc import Sequence as Row
from dataclasses import dataclass

from sqlalchemy import select

from webapp.campaigns.errors import (
    InvalidSequence,
    NoSuchSequence,
    SequenceIsActive,
    SequenceNameTaken,
)
from webapp.campaigns.models import (
    Email,
    EmailState,
    Sequence,
    SequenceGoal,
    SequenceRun,
    SequenceStep,
    SequenceTrigger,
)
from webapp.campaigns.places import CONTROL
from webapp.campaigns.services.emails import EmailDetails, copy_email, create_email, delete_draft
from webapp.core.audit import Actor, record
from webapp.core.db import db, take_turns

MAX_NAME = 120
MAX_STEPS = 50
# A year: whoever waits longer has forgotten what it was about.
MAX_WAIT_MINUTES = 366 * 24 * 60


@dataclass(frozen=True, slots=True)
class SequenceDetails:
    """What may change about a sequence; the fields are Sequence's own."""

    name: str
    trigger: SequenceTrigger
    goal: SequenceGoal = SequenceGoal.NONE


def get_sequence(sequence_id: int) -> Sequence:
    """Return the sequence. Raises NoSuchSequence."""
    sequence = db.session.get(Sequence, sequence_id)
    if sequence is None:
        raise NoSuchSequence
    return sequence


def create_sequence(details: SequenceDetails, by: Actor) -> Sequence:
    """Make a sequence, switched off and without a step; flushes.

    Raises InvalidSequence or SequenceNameTaken.
    """
    sequence = Sequence(name=_free_name(details.name), trigger=details.trigger, goal=details.goal)
    db.session.add(sequence)
    db.session.flush()
    _note(by, "created", sequence)
    return sequence


def edit_sequence(sequence_id: int, details: SequenceDetails, by: Actor) -> Sequence:
    """Change a sequence; flushes. What begins it stays while it is switched on.

    Raises NoSuchSequence, InvalidSequence, SequenceNameTaken or SequenceIsActive.
    """
    sequence = lock_sequence(sequence_id)
    if sequence.active and details.trigger is not sequence.trigger:
        raise SequenceIsActive
    sequence.name = _free_name(details.name, sequence.id)
    sequence.trigger, sequence.goal = details.trigger, details.goal
    db.session.flush()
    _note(by, "edited", sequence)
    return sequence


def delete_sequence(sequence_id: int, by: Actor) -> None:
    """Throw a sequence away that never began for anybody; flushes.

    Raises NoSuchSequence, SequenceIsActive or InvalidSequence.
    """
    sequence = _locked_off(sequence_id)
    run = select(SequenceRun.id).where(SequenceRun.sequence_id == sequence.id).limit(1)
    if db.session.scalar(run) is not None:
        raise InvalidSequence(
            "It has begun for somebody, so it stays; switched off it does no more."
        )
    for step in list(sequence.steps):
        _take_out(sequence, step, by)
    _note(by, "deleted", sequence)
    db.session.delete(sequence)
    db.session.flush()


def add_step(
    sequence_id: int, wait_minutes: int, by: Actor, details: EmailDetails | None = None
) -> SequenceStep:
    """Add a mail to the end, with a draft of its own to be written; flushes.

    Raises NoSuchSequence, SequenceIsActive, InvalidSequence, or what ``create_email`` raises.
    """
    sequence = _locked_off(sequence_id)
    if len(sequence.steps) >= MAX_STEPS:
        raise InvalidSequence(f"A sequence has {MAX_STEPS} mails at the most.")
    number = max((step.number for step in sequence.steps), default=0) + 1
    email = create_email(details or EmailDetails(f"{sequence.name[:100]}, mail {number}"), by)
    step = SequenceStep(number=number, wait_minutes=_wait(wait_minutes), email_id=email.id)
    sequence.steps.append(step)
    db.session.flush()
    _note(by, "step_added", sequence, step=step.id)
    return step


def set_wait(step_id: int, wait_minutes: int, by: Actor) -> None:
    """Change how long a step waits for the one before it; who waits already isn't moved; flushes.

    Raises NoSuchSequence or InvalidSequence.
    """
    step = _step(step_id)
    sequence = lock_sequence(step.sequence_id)
    step.wait_minutes = _wait(wait_minutes)
    db.session.flush()
    _note(by, "wait_changed", sequence, step=step_id)


def remove_step(step_id: int, by: Actor) -> None:
    """Take a mail out; flushes. One that was never sent is deleted, any other is over.

    Raises NoSuchSequence or SequenceIsActive.
    """
    step = _step(step_id)
    sequence = _locked_off(step.sequence_id)
    _take_out(sequence, step, by)
    _number(sequence.steps)
    _note(by, "step_removed", sequence, step=step_id)


def reorder_steps(sequence_id: int, step_ids: Row[int], by: Actor) -> None:
    """Put the mails into the order of ``step_ids``, which names each of them once; flushes.

    Raises NoSuchSequence, SequenceIsActive or InvalidSequence.
    """
    sequence = _locked_off(sequence_id)
    steps = {step.id: step for step in sequence.steps}
    if sorted(steps) != sorted(step_ids):
        raise InvalidSequence("The mails have changed meanwhile. Look again, then order them.")
    _number([steps[step_id] for step_id in step_ids])
    db.session.refresh(sequence, ["steps"])
    _note(by, "steps_reordered", sequence)


def rewrite_step(step_id: int, by: Actor) -> Email:
    """Give a step a new draft with the words of the mail it had, to be changed; flushes.

    The words that somebody got, and the links in them, stand for ever. Raises NoSuchSequence or
    SequenceIsActive.
    """
    step = _step(step_id)
    sequence = _locked_off(step.sequence_id)
    before = step.email
    if before.state is EmailState.DRAFT:
        return before
    draft = copy_email(before.id, by)
    draft.name = before.name
    step.email_id = draft.id
    before.state = EmailState.CANCELLED
    db.session.flush()
    db.session.refresh(step)
    _note(by, "step_rewritten", sequence, step=step_id)
    return draft


def _take_out(sequence: Sequence, step: SequenceStep, by: Actor) -> None:
    email = step.email
    sequence.steps.remove(step)
    db.session.flush()
    if email.state is EmailState.DRAFT:
        delete_draft(email.id, by)
    elif email.state is EmailState.AUTOMATED:
        email.state = EmailState.CANCELLED
    db.session.flush()


def _number(steps: Row[SequenceStep]) -> None:
    """Number the steps from 1; through numbers that none has, as each is unique at any time."""
    wanted = list(steps)
    for place, step in enumerate(wanted, start=1):
        step.number = -place
    db.session.flush()
    for place, step in enumerate(wanted, start=1):
        step.number = place
    db.session.flush()


def lock_sequence(sequence_id: int) -> Sequence:
    """Return the sequence while nobody else changes it, begins it or carries it out."""
    sequence = db.session.get(Sequence, sequence_id, with_for_update=True, populate_existing=True)
    if sequence is None:
        raise NoSuchSequence
    db.session.refresh(sequence, ["steps"])
    return sequence


def _locked_off(sequence_id: int) -> Sequence:
    sequence = lock_sequence(sequence_id)
    if sequence.active:
        raise SequenceIsActive
    return sequence


def _step(step_id: int) -> SequenceStep:
    step = db.session.get(SequenceStep, step_id)
    if step is None:
        raise NoSuchSequence
    return step


def _wait(minutes: int) -> int:
    if not 0 <= minutes <= MAX_WAIT_MINUTES:
        raise InvalidSequence("A mail waits a year at the most.")
    return minutes


def _free_name(name: str, sequence_id: int | None = None) -> str:
    wanted = name.strip()
    if not wanted or len(wanted) > MAX_NAME or CONTROL.search(wanted):
        raise InvalidSequence(f"Give the sequence a name of one line, {MAX_NAME} letters at most.")
    # Two of one name at once: the second sees the first one's.
    take_turns("sequence:name")
    other = select(Sequence.id).where(Sequence.name == wanted, Sequence.id != (sequence_id or 0))
    if db.session.scalar(other) is not None:
        raise SequenceNameTaken(wanted)
    return wanted


def _note(by: Actor, action: str, sequence: Sequence, **details: int) -> None:
    record(by, f"sequence.{action}", f"sequence:{sequence.id}", user_id=None, **details)
