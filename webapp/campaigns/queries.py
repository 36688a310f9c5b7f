"""What visitors did, in figures: each a single statement over a span of time, days in UTC."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import BigInteger, ColumnElement, Date, cast, func, select

from webapp.campaigns.models import Ad, ClientEvent, ClientEventKind
from webapp.core.db import db


@dataclass(frozen=True, slots=True)
class KindOfDay:
    day: date
    kind: ClientEventKind
    count: int


@dataclass(frozen=True, slots=True)
class VisitorsOfDay:
    """``members`` are those among the visitors who were logged in at some time of the day."""

    day: date
    visitors: int
    members: int


@dataclass(frozen=True, slots=True)
class PathViews:
    path: str
    views: int
    visitors: int


@dataclass(frozen=True, slots=True)
class AdVisits:
    """``name`` is empty for a code that no advertisement has."""

    code: str
    name: str
    views: int
    visitors: int


@dataclass(frozen=True, slots=True)
class ScriptError:
    """One mistake of a script, by message and place; ``path`` is a page it happened on."""

    message: str
    source: str
    line: int | None
    path: str
    count: int
    visitors: int
    last_at: datetime


def find_ad(code: str) -> Ad | None:
    return db.session.scalar(select(Ad).where(Ad.code == code.strip().lower()))


def count_by_day(since: datetime, until: datetime) -> list[KindOfDay]:
    """Return the number of events of each day and kind; days without any are left out."""
    day = _day()
    statement = (
        select(day, ClientEvent.kind, func.count())
        .where(*_within(since, until))
        .group_by(day, ClientEvent.kind)
        .order_by(day, ClientEvent.kind)
    )
    return [KindOfDay(*row) for row in db.session.execute(statement)]


def count_visitors_by_day(since: datetime, until: datetime) -> list[VisitorsOfDay]:
    """Return the number of different visitors of each day."""
    day = _day()
    # Grouped first: hashing visitors is many times cheaper than sorting them for DISTINCT.
    each = (
        select(
            day, ClientEvent.visitor_id, func.bool_or(ClientEvent.user_id.is_not(None)).label("m")
        )
        .where(*_within(since, until))
        .group_by(day, ClientEvent.visitor_id)
        .subquery()
    )
    members = func.count().filter(each.c.m)
    statement = select(each.c.day, func.count(), members).group_by(each.c.day).order_by(each.c.day)
    return [VisitorsOfDay(*row) for row in db.session.execute(statement)]


def list_top_paths(since: datetime, until: datetime, limit: int = 20) -> list[PathViews]:
    """Return the pages seen most."""
    each = (
        select(ClientEvent.path, ClientEvent.visitor_id, func.count().label("views"))
        .where(ClientEvent.kind == ClientEventKind.PAGE_VIEW, *_within(since, until))
        .group_by(ClientEvent.path, ClientEvent.visitor_id)
        .subquery()
    )
    views = _sum(each.c.views)
    statement = (
        select(each.c.path, views, func.count())
        .group_by(each.c.path)
        .order_by(views.desc(), each.c.path)
        .limit(limit)
    )
    return [PathViews(*row) for row in db.session.execute(statement)]


def list_top_ads(since: datetime, until: datetime, limit: int = 20) -> list[AdVisits]:
    """Return the advertisements that brought the most visitors."""
    each = (
        select(ClientEvent.ad_code, ClientEvent.visitor_id, func.count().label("views"))
        .where(
            ClientEvent.kind == ClientEventKind.PAGE_VIEW,
            ClientEvent.ad_code.is_not(None),
            *_within(since, until),
        )
        .group_by(ClientEvent.ad_code, ClientEvent.visitor_id)
        .subquery()
    )
    visitors = func.count()
    statement = (
        select(each.c.ad_code, func.coalesce(Ad.name, ""), _sum(each.c.views), visitors)
        .join(Ad, Ad.code == each.c.ad_code, isouter=True)
        .group_by(each.c.ad_code, Ad.name)
        .order_by(visitors.desc(), each.c.ad_code)
        .limit(limit)
    )
    return [AdVisits(*row) for row in db.session.execute(statement)]


def list_script_errors(since: datetime, until: datetime, limit: int = 20) -> list[ScriptError]:
    """Return what broke in browsers, the most frequent first."""
    source = func.coalesce(ClientEvent.details["source"].astext, "")
    line = ClientEvent.details["line"].astext
    count = func.count()
    statement = (
        select(
            ClientEvent.label,
            source,
            cast(line, BigInteger),
            func.max(ClientEvent.path),
            count,
            func.count(ClientEvent.visitor_id.distinct()),
            func.max(ClientEvent.at),
        )
        .where(ClientEvent.kind == ClientEventKind.SCRIPT_ERROR, *_within(since, until))
        .group_by(ClientEvent.label, source, line)
        .order_by(count.desc(), ClientEvent.label)
        .limit(limit)
    )
    return [ScriptError(*row) for row in db.session.execute(statement)]


def _day() -> ColumnElement[date]:
    return cast(func.timezone("UTC", ClientEvent.at), Date).label("day")


def _sum(counts: ColumnElement[int]) -> ColumnElement[int]:
    # Postgres sums bigints into a numeric.
    return cast(func.sum(counts), BigInteger)


def _within(since: datetime, until: datetime) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return ClientEvent.at >= since, ClientEvent.at < until
