"""Billing periods: days, weeks, months and years as Stripe counts them from a cycle's anchor."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime

from sandbox.stripe.store import Json

HOUR = 3600
DAY = 86_400
_DAYS = {"day": 1, "week": 7}
_MONTHS = {"month": 1, "year": 12}
_LONGEST = {"day": DAY, "week": 7 * DAY, "month": 31 * DAY, "year": 366 * DAY}


def shifted(anchor: int, interval: str, count: int) -> int:
    """The anchor moved by so many intervals; a 31st becomes the last day of a shorter month."""
    if interval in _DAYS:
        return anchor + count * _DAYS[interval] * DAY
    moment = datetime.fromtimestamp(anchor, UTC)
    year, month = divmod(moment.year * 12 + moment.month - 1 + count * _MONTHS[interval], 12)
    day = min(moment.day, monthrange(year, month + 1)[1])
    return int(moment.replace(year=year, month=month + 1, day=day).timestamp())


@dataclass(frozen=True, slots=True)
class Cycle:
    """Periods of equal length by the calendar, all counted from one anchor (a timestamp)."""

    anchor: int
    interval: str
    count: int

    @classmethod
    def of(cls, anchor: int, recurring: Json) -> "Cycle":
        return cls(anchor, recurring["interval"], recurring["interval_count"])

    def boundary(self, number: int) -> int:
        return shifted(self.anchor, self.interval, number * self.count)

    def end_after(self, moment: int) -> int:
        """The first boundary later than a moment: the end of the period that it lies in."""
        return self.boundary(self._number(moment))

    def start_before(self, end: int) -> int:
        """The boundary before one of the cycle's boundaries."""
        return self.boundary(self._number(end - 1) - 1)

    def _number(self, moment: int) -> int:
        number = (moment - self.anchor) // (_LONGEST[self.interval] * self.count) - 1
        while self.boundary(number) <= moment:
            number += 1
        return number
