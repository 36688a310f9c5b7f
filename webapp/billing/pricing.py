"""What a subscription is worth in a year: what every figure of recurring money is made of.

A year and not a month, so that it stays whole: a monthly price counts twelve times, a yearly once,
and the MRR is the sum of many divided by twelve.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from webapp.billing.models import Interval, SubscriptionStatus

# Whose money comes in or is still being asked for. A trial has paid nothing yet.
COUNTED = frozenset({SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE})
PERIODS = {Interval.DAY: 365, Interval.WEEK: 52, Interval.MONTH: 12, Interval.YEAR: 1}
ONCE = "once"


@dataclass(frozen=True, slots=True)
class Reduction:
    """A discount: ``percent_off`` of 100, or ``amount_off`` each period in minor units."""

    percent_off: float | None
    amount_off: int | None
    duration: str
    end: datetime | None


def annual_amount(
    unit_amount: int,
    quantity: int,
    interval: Interval,
    interval_count: int,
    reductions: Iterable[Reduction],
    at: datetime,
) -> int:
    """Return what a year costs at the terms of ``at``, in minor units.

    Reductions that are over or hold for a single invoice take nothing off: what recurs is counted.
    They apply one after another in the order given.
    """
    period = unit_amount * quantity
    for reduction in reductions:
        if reduction.duration != ONCE and (reduction.end is None or reduction.end > at):
            period -= _taken_off(period, reduction)
    return _per_year(max(period, 0), interval, interval_count)


def _taken_off(amount: int, reduction: Reduction) -> int:
    if reduction.percent_off is not None:
        share = amount * Decimal(str(reduction.percent_off)) / 100
        return int(share.to_integral_value(ROUND_HALF_UP))
    return min(reduction.amount_off or 0, amount)


def _per_year(amount: int, interval: Interval, interval_count: int) -> int:
    return amount * PERIODS[interval] // interval_count
