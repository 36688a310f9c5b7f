"""How the numbers are drawn and named: bars of a waterfall, shades of a cohort, titles."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from webapp.billing.queries.numbers import Figures, Kind, Roll
from webapp.billing.queries.numbers.flows import Cohort, Month
from webapp.billing.queries.numbers.recovery import NONE, Line

TITLES = {
    Kind.NEW: "New",
    Kind.REACTIVATION: "Came back",
    Kind.EXPANSION: "Pay more",
    Kind.CONTRACTION: "Pay less",
    Kind.VOLUNTARY: "Left by choice",
    Kind.INVOLUNTARY: "Left unpaid",
}
WHOLE = 100


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of the waterfall: from ``left``, ``width`` wide, in hundredths of the widest.

    ``of`` is what the address of its rows names it.
    """

    title: str
    of: str
    count: int
    amount: int
    left: float
    width: float
    chart: int


def waterfall(roll: Roll) -> list[Bar]:
    """Return the bars from the start to the end, each movement where the one before it stopped."""
    reached = [roll.start.mrr]
    for each in roll.movements:
        reached.append(reached[-1] + each.monthly)
    scale = WHOLE / (max(*reached, 1))
    bars = [Bar("Before", "before", roll.start.customers, reached[0], 0, reached[0] * scale, 6)]
    for each, (was, now) in zip(roll.movements, pairwise(reached), strict=True):
        left, width = min(was, now) * scale, abs(now - was) * scale
        chart = 1 if each.kind in (Kind.NEW, Kind.REACTIVATION, Kind.EXPANSION) else 4
        bars.append(
            Bar(TITLES[each.kind], each.kind.value, each.count, each.monthly, left, width, chart)
        )
    end = roll.end
    return [*bars, Bar("After", "paying", end.customers, reached[-1], 0, reached[-1] * scale, 6)]


@dataclass(frozen=True, slots=True)
class Shade:
    """One cell of the grid of cohorts; ``share`` is the part of the customers that is left."""

    text: str
    share: float
    number: int


def shades(cohort: Cohort) -> list[Shade]:
    """Return a cohort's cells, one for each month it has lived."""
    cells = []
    for cell in cohort.cells:
        part = cell.customers / cohort.size if cohort.size else 0.0
        cells.append(Shade(f"{part:.0%}", min(part, 1.0), cell.customers))
    return cells


def averages(cohorts: Sequence[Cohort]) -> list[float]:
    """Return the part of the customers left after each number of months, of all that got there."""
    longest = max((len(cohort.cells) for cohort in cohorts), default=0)
    found = []
    for age in range(longest):
        lived = [cohort for cohort in cohorts if len(cohort.cells) > age]
        size = sum(cohort.size for cohort in lived)
        left = sum(cohort.cells[age].customers for cohort in lived)
        found.append(left / size if size else 0.0)
    return found


def rate(part: float | None) -> str:
    """Return a part of 1 as people read it; a dash where there is none."""
    return "–" if part is None else f"{part:.1%}"


def name_of(what: str, value: str) -> str:
    """Return a line of recovery as people read it; ``what`` it is told apart by."""
    if value == NONE:
        return {"step": "Before any step", "code": "No code"}.get(what, "Unknown")
    if what == "step":
        action, _, day = value.partition(":")
        return f"{action.capitalize()}, day {day}"
    if what == "month":
        return f"{date.fromisoformat(value + '-01'):%b %Y}"
    return value if what == "code" else value.replace("_", " ").capitalize()


def month_name(month: Month) -> str:
    return f"{month.first:%b %Y}"


def tables(figures: Figures) -> list[tuple[str, str, Sequence[Line]]]:
    """Return what recovery is told apart by: its title, its name in an address, its lines."""
    found = figures.recoveries
    return [
        ("What the decline asks for", "kind", found.kinds),
        ("Decline code", "code", found.codes),
        ("Month in which the chase began", "month", found.cohorts),
    ]
