"""A month of visits in figures, counted at most every few minutes: a million rows take a while."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from pydantic import TypeAdapter, ValidationError
from redis import RedisError
from sqlalchemy import text

from webapp.campaigns import queries
from webapp.campaigns.models import ClientEventKind
from webapp.campaigns.queries import AdVisits, PathViews, ScriptError
from webapp.core import clock
from webapp.core.db import db
from webapp.core.redis import redis_client
from webapp.core.state import current_fork

DAYS = 30
SHOWN = 10
KEPT = timedelta(minutes=5)

TITLES = {
    ClientEventKind.PAGE_VIEW: "Page views",
    ClientEventKind.BUTTON: "Buttons pressed",
    ClientEventKind.LINK: "Links followed",
    ClientEventKind.SCRIPT_ERROR: "Script errors",
}
VISITORS = "Visitors"


@dataclass(frozen=True, slots=True)
class Chart:
    """One figure for each day, oldest first, also for days without any."""

    title: str
    values: list[tuple[date, int]]

    @property
    def total(self) -> int:
        return sum(number for _, number in self.values)

    @property
    def average(self) -> int:
        return round(self.total / len(self.values))


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything the page of visits shows, as it was ``at`` that moment; days in UTC."""

    at: datetime
    charts: list[Chart]
    paths: list[PathViews]
    ads: list[AdVisits]
    errors: list[ScriptError]

    @property
    def days(self) -> list[date]:
        return [day for day, _ in self.charts[0].values]


_JSON = TypeAdapter(Figures)


def figures() -> Figures:
    """Return the last month's figures, at most ``KEPT`` old; without Redis they are counted."""
    today = clock.now().date()
    key = current_fork().redis_key("visits", today.isoformat())
    with suppress(RedisError, ValidationError):
        kept = redis_client().get(key)
        if isinstance(kept, bytes):
            return _JSON.validate_json(kept)
    counted = _count(today)
    with suppress(RedisError):
        redis_client().set(key, _JSON.dump_json(counted), ex=KEPT)
    return counted


def _count(today: date) -> Figures:
    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    since = datetime.combine(days[0], time.min, clock.now().tzinfo)
    until = datetime.combine(today + timedelta(days=1), time.min, clock.now().tzinfo)
    # Room to hash visitors in, instead of spilling them to disk: three times faster.
    db.session.execute(text("SET LOCAL work_mem = '64MB'"))
    return Figures(
        at=clock.now(),
        charts=_charts(since, until, days),
        paths=queries.list_top_paths(since, until, SHOWN),
        ads=queries.list_top_ads(since, until, SHOWN),
        errors=queries.list_script_errors(since, until, SHOWN),
    )


def _charts(since: datetime, until: datetime, days: Sequence[date]) -> list[Chart]:
    people = {each.day: each.visitors for each in queries.count_visitors_by_day(since, until)}
    counted: dict[ClientEventKind, dict[date, int]] = {kind: {} for kind in TITLES}
    for each in queries.count_by_day(since, until):
        counted[each.kind][each.day] = each.count
    kinds = [Chart(title, _filled(counted[kind], days)) for kind, title in TITLES.items()]
    return [kinds[0], Chart(VISITORS, _filled(people, days)), *kinds[1:]]


def _filled(found: Mapping[date, int], days: Sequence[date]) -> list[tuple[date, int]]:
    return [(day, found.get(day, 0)) for day in days]
