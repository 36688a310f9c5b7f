"""Carries sequences out: begins them, and takes whoever is due one step on.

Two workers never take the same run (SKIP LOCKED), and a step is one row for each person
(``email_recipient`` is unique by address and mail): killed at any instruction, a worker leaves
either nothing or a step that is wholly done. Locks are taken in one order, sequence before run.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.dialects.postgresql import insert

from webapp.accounts.models import Member, User
from webapp.campaigns.models import (
    EmailRecipient,
    RunState,
    Sequence,
    SequenceGoal,
    SequenceRun,
    SequenceStep,
    SequenceTrigger,
)
from webapp.campaigns.services.populating import populate_some
from webapp.core import clock
from webapp.core.db import db
from webapp.messaging.services.consent import consents_of
from webapp.orders.models import Order

BATCH = 500


def begin(trigger: SequenceTrigger, address: str) -> int:
    """Begin the sequences of an event for somebody who wants their mails; flushes.

    Each begins once for a person, ever. Returns how many began.
    """
    folded = address.strip().lower()
    wanted = {topic for topic, said in consents_of(folded).items() if said.wanted}
    if not folded or not wanted:
        return 0
    now = clock.now()
    begun = 0
    for sequence in _active(Sequence.trigger == trigger):
        if not any(step.email.topic in wanted for step in sequence.steps):
            continue
        first = sequence.steps[0]
        statement = insert(SequenceRun).values(
            sequence_id=sequence.id,
            address=folded,
            step=first.number,
            due_at=now + timedelta(minutes=first.wait_minutes),
            started_at=now,
        )
        statement = statement.on_conflict_do_nothing(index_elements=["sequence_id", "address"])
        begun += len(db.session.scalars(statement.returning(SequenceRun.id)).all())
    return begun


def list_due() -> list[int]:
    """Return the sequences in which somebody's next step is due."""
    due = select(SequenceRun.sequence_id).where(_due(clock.now())).distinct()
    return list(db.session.scalars(due.order_by(SequenceRun.sequence_id)))


def advance(sequence_id: int, limit: int = BATCH) -> int:
    """Take whoever is due one step on, ``limit`` people at the most; flushes.

    Returns how many were looked at. Each is at the goal, stopped (no consent, suppressed, gone),
    or has the step's mail among those to be sent, and waits for the next.
    """
    sequence = next(iter(_active(Sequence.id == sequence_id)), None)
    if sequence is None:
        return 0
    now = clock.now()
    runs = db.session.scalars(
        select(SequenceRun)
        .where(SequenceRun.sequence_id == sequence_id, _due(now))
        .order_by(SequenceRun.due_at, SequenceRun.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).all()
    reached = _at_goal(sequence, [run.id for run in runs])
    by_step: dict[int, list[SequenceRun]] = {}
    for run in runs:
        if run.id in reached:
            _end(run, RunState.GOAL, now)
        else:
            by_step.setdefault(run.step, []).append(run)
    for number in sorted(by_step):
        _take_step(sequence, number, by_step[number], now)
    db.session.flush()
    return len(runs)


def _take_step(
    sequence: Sequence, number: int, runs: Collection[SequenceRun], now: datetime
) -> None:
    step = next((each for each in sequence.steps if each.number >= number), None)
    if step is None:
        for run in runs:
            _end(run, RunState.DONE, now)
        return
    after = next((each for each in sequence.steps if each.number > step.number), None)
    have = populate_some(step.email, [run.address for run in runs])
    for run in runs:
        if run.address not in have:
            _end(run, RunState.STOPPED, now)
        elif after is None:
            _end(run, RunState.DONE, now)
        else:
            run.step = after.number
            run.due_at = now + timedelta(minutes=after.wait_minutes)


def _end(run: SequenceRun, state: RunState, now: datetime) -> None:
    run.state, run.ended_at = state, now


def _active(where: ColumnElement[bool]) -> Iterable[Sequence]:
    """Return sequences that stay switched on until the transaction's end."""
    statement = (
        select(Sequence)
        .where(Sequence.active, where)
        .order_by(Sequence.id)
        .with_for_update(read=True)
        .execution_options(populate_existing=True)
    )
    return [sequence for sequence in db.session.scalars(statement).all() if sequence.steps]


def _due(now: datetime) -> ColumnElement[bool]:
    return and_(SequenceRun.state == RunState.ACTIVE, SequenceRun.due_at <= now)


def _at_goal(sequence: Sequence, run_ids: Collection[int]) -> set[int]:
    """Return those of the runs in which what the mails are for has happened since the event."""
    if sequence.goal is SequenceGoal.NONE or not run_ids:
        return set()
    happened = _ordered() if sequence.goal is SequenceGoal.ORDER_PLACED else _clicked()
    statement = select(SequenceRun.id).where(SequenceRun.id.in_(run_ids), happened)
    return set(db.session.scalars(statement))


def _ordered() -> ColumnElement[bool]:
    by_member = (
        select(Member.id)
        .join(User, User.id == Member.user_id)
        .where(User.email == SequenceRun.address, User.email_verified_at.is_not(None))
        .correlate(SequenceRun)
        .scalar_subquery()
    )
    return (
        exists()
        .where(
            Order.placed_at > SequenceRun.started_at,
            or_(Order.email == SequenceRun.address, Order.member_id == by_member),
        )
        .correlate(SequenceRun)
    )


def _clicked() -> ColumnElement[bool]:
    return (
        exists()
        .where(
            SequenceStep.sequence_id == SequenceRun.sequence_id,
            EmailRecipient.email_id == SequenceStep.email_id,
            EmailRecipient.address == SequenceRun.address,
            EmailRecipient.clicked_at >= SequenceRun.started_at,
        )
        .correlate(SequenceRun)
    )
