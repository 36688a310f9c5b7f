"""How far people came in a sequence, and what became of each of its mails."""

from dataclasses import dataclass

from sqlalchemy import func, select

from webapp.campaigns.models import EmailRecipient, RecipientState, RunState, SequenceRun
from webapp.campaigns.services.sequences.writing import get_sequence
from webapp.core.db import db


@dataclass(frozen=True, slots=True)
class StepFigures:
    """One mail: ``waiting`` are those whose next step it is, the others count its recipients."""

    step_id: int
    number: int
    email_id: int
    wait_minutes: int
    waiting: int
    sent: int
    opened: int
    clicked: int
    left: int


@dataclass(frozen=True, slots=True)
class SequenceFigures:
    """Runs by what became of them, and the steps in their order."""

    runs: dict[RunState, int]
    steps: list[StepFigures]


def figures_of(sequence_id: int) -> SequenceFigures:
    """Return the figures of one sequence. Raises NoSuchSequence."""
    sequence = get_sequence(sequence_id)
    runs = dict.fromkeys(RunState, 0)
    waiting: dict[int, int] = {}
    counted = (
        select(SequenceRun.state, SequenceRun.step, func.count())
        .where(SequenceRun.sequence_id == sequence_id)
        .group_by(SequenceRun.state, SequenceRun.step)
    )
    for state, step, count in db.session.execute(counted):
        runs[state] += count
        if state is RunState.ACTIVE:
            waiting[step] = count
    mails = _mails([step.email_id for step in sequence.steps])
    none = (0, 0, 0, 0)
    steps = [
        StepFigures(
            step.id,
            step.number,
            step.email_id,
            step.wait_minutes,
            waiting.get(step.number, 0),
            *mails.get(step.email_id, none),
        )
        for step in sequence.steps
    ]
    return SequenceFigures(runs, steps)


def _mails(email_ids: list[int]) -> dict[int, tuple[int, int, int, int]]:
    rows = db.session.execute(
        select(
            EmailRecipient.email_id,
            func.count().filter(EmailRecipient.state == RecipientState.SENT),
            func.count(EmailRecipient.opened_at),
            func.count(EmailRecipient.clicked_at),
            func.count(EmailRecipient.left_at),
        )
        .where(EmailRecipient.email_id.in_(email_ids))
        .group_by(EmailRecipient.email_id)
    )
    return {
        email_id: (sent, opened, clicked, left) for email_id, sent, opened, clicked, left in rows
    }
