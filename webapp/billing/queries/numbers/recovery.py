"""What became of unpaid invoices that were chased: by count and amount, and by what made it so."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import (
    ColumnElement,
    Date,
    and_,
    case,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH

from webapp.billing.models import (
    CaseState,
    Channel,
    DeclineKind,
    DunningCase,
    DunningStep,
    StepAction,
    StepState,
)
from webapp.billing.queries.numbers.spans import Span, midnight, month_later, month_of, stamp
from webapp.core.db import db


@dataclass(frozen=True, slots=True)
class Heap:
    """Cases that are alike in all that figures are told apart by, at the end of a span."""

    month: date
    within: bool
    state: CaseState
    kind: DeclineKind
    code: str | None
    step: str | None
    channel: Channel | None
    count: int
    amount: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """Cases with what became of them. ``amount`` is what they were about, in minor units."""

    cases: int = 0
    amount: int = 0
    recovered: int = 0
    recovered_amount: int = 0
    lost: int = 0
    lost_amount: int = 0
    open: int = 0
    open_amount: int = 0

    @property
    def rate(self) -> float | None:
        """The part of the closed ones that was recovered; None while none is closed."""
        closed = self.cases - self.open
        return self.recovered / closed if closed else None

    @property
    def amount_rate(self) -> float | None:
        closed = self.amount - self.open_amount
        return self.recovered_amount / closed if closed else None


@dataclass(frozen=True, slots=True)
class Line:
    """One value of what recovery is told apart by; ``value`` is what an address names it."""

    value: str
    recovery: Recovery


@dataclass(frozen=True, slots=True)
class Recoveries:
    """Recovery of the cases opened within a span, whole and in parts; cohorts of a year."""

    whole: Recovery
    kinds: tuple[Line, ...]
    codes: tuple[Line, ...]
    steps: tuple[Line, ...]
    channels: tuple[Line, ...]
    cohorts: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Risk:
    """What is owed and still being chased; ``walled`` of it by customers who are shut out."""

    currency: str
    cases: int = 0
    amount: int = 0
    walled: int = 0


NONE = "none"
COHORTS = 12
# Whether one of the stretches of time that a case was left alone holds a moment.
_HELD_THEN = "$[*] ? (@.since <= $end && @.until > $end)"


def recoveries_of(span: Span, currency: str) -> Recoveries:
    """Return what had become, by the span's end, of the cases opened within it."""
    heaps = _heaps(span, currency)
    within = [heap for heap in heaps if heap.within]
    return Recoveries(
        whole=_sum(within),
        kinds=_lines(within, lambda heap: heap.kind.value),
        codes=_lines(within, lambda heap: heap.code or NONE),
        steps=_lines(_recovered(within), lambda heap: heap.step or NONE),
        channels=_lines(
            _recovered(within), lambda heap: heap.channel.value if heap.channel else NONE
        ),
        cohorts=_by_month(heaps),
    )


def risks_at(end: datetime) -> list[Risk]:
    """Return what was owed at a moment by invoices being chased, the most first, by currency."""
    amount = func.sum(DunningCase.amount)
    rows = db.session.execute(
        select(DunningCase.currency, func.count(), amount, func.count().filter(_walled_at(end)))
        .where(*_chased_by(end), open_at(end))
        .group_by(DunningCase.currency)
        .order_by(amount.desc())
    )
    return [Risk(row[0], row[1], int(row[2]), row[3]) for row in rows]


def risk_of(span: Span, currency: str) -> Risk:
    """Return what was owed at the span's end in one currency."""
    found = (risk for risk in risks_at(span.end) if risk.currency == currency)
    return next(found, Risk(currency))


def open_at(end: datetime) -> ColumnElement[bool]:
    return or_(DunningCase.closed_at.is_(None), DunningCase.closed_at > end)


def state_at(end: datetime) -> ColumnElement[CaseState]:
    """Return what a case was at a moment of the past: it is closed once, for good."""
    still = literal(CaseState.OPEN, DunningCase.state.type)
    return case((open_at(end), still), else_=DunningCase.state)


def counted(currency: str, end: datetime) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions of a case that figures count: excluded ones are not chased."""
    return DunningCase.currency == currency, *_chased_by(end)


def _chased_by(end: datetime) -> tuple[ColumnElement[bool], ...]:
    """As it was then: whom staff excluded since had been chased, and the other way round."""
    chase = DunningCase
    excluded = and_(
        chase.excluded_reason.is_not(None),
        func.coalesce(chase.excluded_at, chase.opened_at) <= end,
    )
    moment = cast({"end": stamp(end)}, JSONB)
    held = func.jsonb_path_exists(chase.left_alone, cast(_HELD_THEN, JSONPATH), moment)
    return chase.opened_at <= end, ~excluded, ~held


def _walled_at(end: datetime) -> ColumnElement[bool]:
    """Who was excluded meanwhile lost the wall's date: its step still tells of it."""
    wall = select(DunningStep.id).where(
        DunningStep.case_id == DunningCase.id,
        DunningStep.action == StepAction.WALL,
        DunningStep.state == StepState.DONE,
        DunningStep.at <= end,
    )
    return or_(DunningCase.walled_at <= end, wall.exists())


def month_opened() -> ColumnElement[date]:
    return cast(func.date_trunc("month", func.timezone("UTC", DunningCase.opened_at)), Date)


def _heaps(span: Span, currency: str) -> list[Heap]:
    oldest = midnight(month_later(month_of(span.until), 1 - COHORTS))
    within = DunningCase.opened_at > span.before
    statement = select(
        month_opened().label("month"),
        within.label("within"),
        state_at(span.end).label("state"),
        DunningCase.decline_kind,
        DunningCase.decline_code,
        DunningCase.step_key,
        DunningCase.channel,
        func.count(),
        func.sum(DunningCase.amount),
    ).where(*counted(currency, span.end), or_(DunningCase.opened_at >= oldest, within))
    rows = db.session.execute(statement.group_by(*map(literal_column, "1234567")))
    return [Heap(*row[:8], int(row[8])) for row in rows]


def _recovered(heaps: Iterable[Heap]) -> list[Heap]:
    return [heap for heap in heaps if heap.state is CaseState.RECOVERED]


def _lines(heaps: Sequence[Heap], value: Callable[[Heap], str]) -> tuple[Line, ...]:
    """Return a line for each value, that with the most money first."""
    found: dict[str, list[Heap]] = {}
    for heap in heaps:
        found.setdefault(value(heap), []).append(heap)
    lines = [Line(name, _sum(these)) for name, these in found.items()]
    return tuple(sorted(lines, key=lambda line: (-line.recovery.amount, line.value)))


def _by_month(heaps: Sequence[Heap]) -> tuple[Line, ...]:
    lines = _lines(heaps, lambda heap: f"{heap.month:%Y-%m}")
    return tuple(sorted(lines, key=lambda line: line.value)[-COHORTS:])


def _sum(heaps: Iterable[Heap]) -> Recovery:
    counts = {state: [0, 0] for state in CaseState}
    for heap in heaps:
        counts[heap.state][0] += heap.count
        counts[heap.state][1] += heap.amount
    return Recovery(
        sum(count for count, _ in counts.values()),
        sum(amount for _, amount in counts.values()),
        *counts[CaseState.RECOVERED],
        *counts[CaseState.LOST],
        *counts[CaseState.OPEN],
    )
