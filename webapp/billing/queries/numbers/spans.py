"""The days that figures are of: whole days in UTC, both ends included."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from webapp.core import clock

FIRST_DAY = date(2000, 1, 1)
INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Span:
    """From the beginning of ``since`` to the end of ``until``, or to now while that day lasts."""

    since: date
    until: date

    @property
    def before(self) -> datetime:
        """The last moment ahead of it."""
        return midnight(self.since) - INSTANT

    @property
    def end(self) -> datetime:
        return end_of(self.until)

    @property
    def days(self) -> int:
        return (self.until - self.since).days + 1


def midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def end_of(day: date) -> datetime:
    """Return the day's last moment, or now while it lasts."""
    return min(midnight(day + timedelta(days=1)) - INSTANT, clock.now())


def stamp(moment: datetime) -> str:
    """Return a moment as a text of which the earlier one sorts first."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def last_days(days: int, until: date | None = None) -> Span:
    """Return the ``days`` days that end with ``until``, today unless given."""
    last = until or clock.now().date()
    return Span(last - timedelta(days=days - 1), last)


def month_of(day: date) -> date:
    return day.replace(day=1)


def month_later(first: date, months: int) -> date:
    """Return the first day of a month so many months later, or earlier for a negative number."""
    place = first.year * 12 + first.month - 1 + months
    return date(place // 12, place % 12 + 1, 1)


def month_end(first: date) -> date:
    return month_later(first, 1) - timedelta(days=1)


def months_between(first: date, last: date) -> Iterator[date]:
    """Yield the first day of each month from that of ``first`` to that of ``last``."""
    month = month_of(first)
    while month <= last:
        yield month
        month = month_later(month, 1)
