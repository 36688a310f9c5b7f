"""Runs another policy over past cases: what it would have sent, and when, beside what was sent.

Each case is taken as it was and ends when in fact it ended. Whether other mails would have brought
the money sooner, or not at all, no past can tell.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from webapp.billing.models import (
    CaseState,
    DunningCase,
    DunningStep,
    StepAction,
    StepState,
)
from webapp.billing.policy import Due, Policy, timeline
from webapp.billing.queries.dunning import cases_with_all, facts_of, steps_of, zones_of
from webapp.core import clock
from webapp.core.db import db

CHUNK = 500
PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class SimulatedCase:
    """One case: what would have been done, beside what was. ``left_alone`` says why nothing."""

    case_id: int
    opened_at: datetime
    closed_at: datetime | None
    state: CaseState
    amount: int
    currency: str
    would: tuple[Due, ...]
    did: tuple[DunningStep, ...]
    left_alone: str | None


@dataclass(frozen=True, slots=True)
class Tally:
    """How much of it there was, in all."""

    mails: int = 0
    walls: int = 0
    ends: int = 0


@dataclass(frozen=True, slots=True)
class Simulation:
    """``count`` cases opened in the time asked for; ``cases`` is one page of them."""

    count: int
    left_alone: int
    would: Tally
    did: Tally
    cases: list[SimulatedCase] = field(default_factory=list)


def simulate(
    policy: Policy, since: datetime, until: datetime, *, page: int = 1, size: int = PAGE_SIZE
) -> Simulation:
    """Return what ``policy`` would have done in the cases opened from ``since`` to ``until``."""
    would: Counter[StepAction] = Counter()
    did: Counter[StepAction] = Counter()
    shown: list[SimulatedCase] = []
    count = left_alone = 0
    first = (page - 1) * size
    for case in _run(policy, since, until):
        if first <= count < first + size:
            shown.append(case)
        count += 1
        left_alone += case.left_alone is not None
        would.update(due.step.action for due in case.would)
        did.update(step.action for step in case.did if step.state is StepState.DONE)
    return Simulation(count, left_alone, _tally(would), _tally(did), shown)


def count_cases(since: datetime, until: datetime) -> int:
    opened = DunningCase.opened_at >= since, DunningCase.opened_at < until
    return db.session.scalar(select(func.count()).select_from(DunningCase).where(*opened)) or 0


def _tally(counted: Counter[StepAction]) -> Tally:
    return Tally(counted[StepAction.MAIL], counted[StepAction.WALL], counted[StepAction.END])


def _run(policy: Policy, since: datetime, until: datetime) -> Iterator[SimulatedCase]:
    for cases in _chunks(since, until):
        zones = zones_of([case.customer for case in cases])
        steps = steps_of([case.id for case in cases])
        for case in cases:
            yield _rerun(policy, case, zones[case.customer_id], steps[case.id])


def _chunks(since: datetime, until: datetime) -> Iterator[Sequence[DunningCase]]:
    after = 0
    while True:
        chunk = db.session.scalars(
            cases_with_all()
            .where(
                DunningCase.id > after,
                DunningCase.opened_at >= since,
                DunningCase.opened_at < until,
            )
            .order_by(DunningCase.id)
            .limit(CHUNK)
        ).all()
        if not chunk:
            return
        after = chunk[-1].id
        yield chunk


def _rerun(
    policy: Policy, case: DunningCase, zone: ZoneInfo, steps: Iterable[DunningStep]
) -> SimulatedCase:
    why_not = _left_alone(policy, case)
    over = case.closed_at or clock.now()
    coming = [] if why_not else timeline(policy, facts_of(case, zone))
    return SimulatedCase(
        case_id=case.id,
        opened_at=case.opened_at,
        closed_at=case.closed_at,
        state=case.state,
        amount=case.amount,
        currency=case.currency,
        would=tuple(_until_end(due for due in coming if due.at < over)),
        did=tuple(steps),
        left_alone=why_not,
    )


def _until_end(coming: Iterable[Due]) -> Iterator[Due]:
    for due in coming:
        yield due
        if due.step.action is StepAction.END:
            return


def _left_alone(policy: Policy, case: DunningCase) -> str | None:
    price = case.subscription.price if case.subscription else None
    if case.invoice.billing_reason in policy.excluded_reasons:
        return "Its kind of invoice is left alone."
    if case.amount < policy.minimum_amount:
        return "The amount is below the minimum."
    if price is not None and price.plan.slug in policy.excluded_plans:
        return "The plan is left alone."
    return None
