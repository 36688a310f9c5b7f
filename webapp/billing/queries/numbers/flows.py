"""Movements of recurring money in sums, and what follows from them by arithmetic alone.

Amounts are those of a year, in minor units, so that they stay whole; what is shown of a month is a
twelfth, rounded so that the parts add up to the whole.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from fractions import Fraction

from webapp.billing.queries.numbers import history
from webapp.billing.queries.numbers.spans import Span, month_later, month_of, months_between

DAYS_IN_MONTH = Fraction(1461, 48)


class Kind(StrEnum):
    """How a customer's recurring money moved. The last two are churn, and why."""

    NEW = "new"
    REACTIVATION = "reactivation"
    EXPANSION = "expansion"
    CONTRACTION = "contraction"
    VOLUNTARY = "voluntary"
    INVOLUNTARY = "involuntary"


COMING = frozenset({Kind.NEW, Kind.REACTIVATION})
LEAVING = frozenset({Kind.VOLUNTARY, Kind.INVOLUNTARY})
LOSING = LEAVING | {Kind.CONTRACTION}

_SUMS = """
    SELECT currency, date_trunc('month', first_at AT TIME ZONE 'UTC')::date AS cohort,
        date_trunc('month', at AT TIME ZONE 'UTC')::date AS month, at > :before AS within,
        kind, count(*) AS number, sum(delta)::bigint AS annual
    FROM movement GROUP BY 1, 2, 3, 4, 5
"""


@dataclass(frozen=True, slots=True)
class Flow:
    """Movements of one kind in one month of customers who first paid in ``cohort``'s month.

    ``within``: in the span that was asked for; a month may lie partly outside it.
    """

    currency: str
    cohort: date
    month: date
    within: bool
    kind: Kind
    count: int
    annual: int

    @property
    def heads(self) -> int:
        """Customers it added; negative where they left."""
        return self.count * ((self.kind in COMING) - (self.kind in LEAVING))


@dataclass(frozen=True, slots=True)
class Movement:
    """``monthly`` is rounded so that all of them, with the start, add up to the end."""

    kind: Kind
    count: int
    annual: int
    monthly: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What recurs at a moment: the money of a year, and how many customers pay it."""

    annual: int = 0
    customers: int = 0

    @property
    def mrr(self) -> int:
        return monthly(self.annual)

    @property
    def arpa(self) -> int | None:
        """What a customer pays in a month on average."""
        return monthly(self.annual, self.customers) if self.customers else None


@dataclass(frozen=True, slots=True)
class Roll:
    """From one moment to another: where it began, what moved, where it ended."""

    start: Standing
    end: Standing
    movements: tuple[Movement, ...]

    def of(self, kind: Kind) -> Movement:
        return next(each for each in self.movements if each.kind is kind)

    @property
    def left(self) -> int:
        return sum(self.of(kind).count for kind in LEAVING)

    def churn_of(self, kinds: Iterable[Kind]) -> float | None:
        """Return the part of the customers at the start who left that way; None without any."""
        gone = sum(self.of(kind).count for kind in kinds)
        return gone / self.start.customers if self.start.customers else None

    @property
    def churn(self) -> float | None:
        return self.churn_of(LEAVING)

    @property
    def gross_loss(self) -> float | None:
        """The part of the money at the start that was lost, by leaving or by paying less."""
        lost = sum(self.of(kind).annual for kind in LOSING)
        return -lost / self.start.annual if self.start.annual else None

    @property
    def net_loss(self) -> float | None:
        """The same after what customers came to pay more; below 0 where that is more."""
        won = self.of(Kind.EXPANSION).annual + self.of(Kind.REACTIVATION).annual
        gross = self.gross_loss
        return None if gross is None else gross - won / self.start.annual

    def monthly_churn(self, days: int) -> float | None:
        """Return the churn of ``days`` days as that of an average month, at most 1."""
        return None if self.churn is None else min(1.0, self.churn * float(DAYS_IN_MONTH) / days)

    def lifetime_value(self, days: int) -> int | None:
        """Return what a customer brings until they leave; None where none left, or none is there.

        What one pays in a month divided by the part that leaves in a month.
        """
        rate, payers = self.monthly_churn(days), self.end.customers
        return round(self.end.annual / (12 * payers * rate)) if rate and payers else None


@dataclass(frozen=True, slots=True)
class Month:
    first: date
    roll: Roll


@dataclass(frozen=True, slots=True)
class Cell:
    """A cohort some months on: who of it pays then, and what they pay in a month together."""

    month: date
    customers: int
    mrr: int


@dataclass(frozen=True, slots=True)
class Cohort:
    """Customers who first paid in one month, month by month until the last that was asked for."""

    first: date
    size: int
    mrr: int
    cells: tuple[Cell, ...] = field(default=())


def monthly(annual: int, parts: int = 1) -> int:
    """Return a twelfth of it, for each of so many parts, halves rounded up."""
    return (2 * annual + 12 * parts) // (24 * parts)


def list_flows(span: Span) -> list[Flow]:
    """Return all that moved up to the span's end, of every currency."""
    rows = history.ask(_SUMS, span.end, before=span.before)
    return [
        Flow(
            row.currency, row.cohort, row.month, row.within, Kind(row.kind), row.number, row.annual
        )
        for row in rows
    ]


def roll_of(before: Iterable[Flow], within: Iterable[Flow]) -> Roll:
    """Return how the flows ``within`` led on from where those ``before`` had led to."""
    start, moved = standing_of(before), list(within)
    movements, reached, heads = [], start.annual, start.customers
    for kind in Kind:
        these = [flow for flow in moved if flow.kind is kind]
        annual, count = sum(flow.annual for flow in these), sum(flow.count for flow in these)
        step = monthly(reached + annual) - monthly(reached)
        movements.append(Movement(kind, count, annual, step))
        reached, heads = reached + annual, heads + sum(flow.heads for flow in these)
    return Roll(start, Standing(reached, heads), tuple(movements))


def standing_of(flows: Iterable[Flow]) -> Standing:
    given = list(flows)
    return Standing(sum(flow.annual for flow in given), sum(flow.heads for flow in given))


def months_of(flows: Sequence[Flow], until: date, count: int) -> list[Month]:
    """Return the last ``count`` calendar months up to ``until``'s, the last one as far as it is."""
    last = month_of(until)
    return [
        Month(
            month,
            roll_of(
                (flow for flow in flows if flow.month < month),
                (flow for flow in flows if flow.month == month),
            ),
        )
        for month in months_between(month_later(last, 1 - count), last)
    ]


def cohorts_of(flows: Sequence[Flow], until: date, count: int) -> list[Cohort]:
    """Return the cohorts of the last ``count`` months; a month without new customers has none."""
    oldest = month_later(month_of(until), 1 - count)
    found: dict[date, list[Flow]] = {}
    for flow in flows:
        if flow.cohort >= oldest:
            found.setdefault(flow.cohort, []).append(flow)
    return [_cohort(first, found[first], until) for first in sorted(found)]


def _cohort(first: date, flows: Sequence[Flow], until: date) -> Cohort:
    began = [flow for flow in flows if flow.kind is Kind.NEW]
    cells = tuple(_cells(first, flows, until))
    return Cohort(first, sum(flow.count for flow in began), _mrr(began), cells)


def _cells(first: date, flows: Sequence[Flow], until: date) -> Iterator[Cell]:
    for month in months_between(first, until):
        reached = standing_of(flow for flow in flows if flow.month <= month)
        yield Cell(month, reached.customers, reached.mrr)


def _mrr(flows: Iterable[Flow]) -> int:
    return monthly(sum(flow.annual for flow in flows))
