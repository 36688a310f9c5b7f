"""When a mail is due for each recipient, so that it comes at the same time of everybody's day."""

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from babel.core import get_global
from sqlalchemy import (
    Column,
    DateTime,
    Subquery,
    Text,
    cast,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from webapp.campaigns.errors import NoSuchEmail
from webapp.campaigns.models import (
    NOT_YET,
    CampaignSettings,
    Email,
    EmailRecipient,
    EmailType,
    RecipientState,
)
from webapp.campaigns.services.audiences.people import everyone
from webapp.campaigns.services.audiences.sizing import give_room
from webapp.core import clock
from webapp.core.db import db

# Where most people live, of countries whose clocks differ.
MAIN_ZONES = {
    "AU": "Australia/Sydney",
    "BR": "America/Sao_Paulo",
    "CA": "America/Toronto",
    "CD": "Africa/Kinshasa",
    "CL": "America/Santiago",
    "CN": "Asia/Shanghai",
    "EC": "America/Guayaquil",
    "ES": "Europe/Madrid",
    "FM": "Pacific/Pohnpei",
    "GL": "America/Nuuk",
    "ID": "Asia/Jakarta",
    "KI": "Pacific/Tarawa",
    "MN": "Asia/Ulaanbaatar",
    "MX": "America/Mexico_City",
    "NZ": "Pacific/Auckland",
    "PF": "Pacific/Tahiti",
    "PG": "Pacific/Port_Moresby",
    "PT": "Europe/Lisbon",
    "RU": "Europe/Moscow",
    "UA": "Europe/Kyiv",
    "US": "America/New_York",
}


def set_due_times(email_id: int, at: datetime) -> datetime | None:
    """Make a mail due for each waiting recipient when their clock shows what ours shows at ``at``.

    Ours is the zone of CampaignSettings, theirs what an import said or the main one of their
    country; where that time is over already it is due now, or as soon as the mail's window is open
    there. Who waits for the winner of an A/B test goes on waiting.
    Returns the first moment that anybody is due, which may be before ``at``; None without
    recipients. Flushes. Raises NoSuchEmail.
    """
    email = db.session.get(Email, email_id)
    if email is None:
        raise NoSuchEmail
    give_room()
    # Of a mail too new for the statistics the planner expects one recipient, and would look through
    # everybody once for each of them.
    db.session.execute(text("SET LOCAL statement_timeout = '10min'; SET LOCAL enable_nestloop = 0"))
    due = _due_by_recipient(email, at)
    db.session.execute(
        update(EmailRecipient)
        .where(
            EmailRecipient.email_id == email_id,
            EmailRecipient.id == due.c.id,
            EmailRecipient.state == RecipientState.PENDING,
            EmailRecipient.due_at.is_distinct_from(due.c.due_at),
        )
        .values(due_at=due.c.due_at),
        execution_options={"synchronize_session": False},
    )
    db.session.execute(text("SET LOCAL enable_nestloop = 1"))
    return db.session.scalar(
        select(func.min(EmailRecipient.due_at)).where(
            EmailRecipient.email_id == email_id,
            EmailRecipient.state == RecipientState.PENDING,
            EmailRecipient.due_at < NOT_YET,
        )
    )


@lru_cache(maxsize=1)
def main_zones() -> Mapping[str, str]:
    """Return the main time zone of each country, by its ISO 3166-1 alpha-2 code."""
    territories = get_global("territory_zones").items()
    known = {code: zones[0] for code, zones in territories if len(code) == 2 and zones}
    return {code: zone for code, zone in (known | MAIN_ZONES).items() if zone in _zones()}


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _due_by_recipient(email: Email, at: datetime) -> Subquery:
    """Return the statement of (id, due_at), with every zone's moment in a small table beside it."""
    ours = our_zone()
    shown = at.astimezone(ZoneInfo(ours)).replace(tzinfo=None)
    moments = _moments(shown, email)
    by_zone = _table("by_zone", moments)
    by_country = _table("by_country", {code: moments[zone] for code, zone in main_zones().items()})
    person = everyone(EmailType.BOTH)
    otherwise = literal(moments[ours], DateTime(timezone=True))
    return (
        select(
            EmailRecipient.id,
            func.coalesce(by_zone.c.at, by_country.c.at, otherwise).label("due_at"),
        )
        .select_from(EmailRecipient)
        .outerjoin(person, person.c.address == EmailRecipient.address)
        .outerjoin(by_zone, by_zone.c.name == person.c.time_zone)
        .outerjoin(by_country, by_country.c.name == func.upper(person.c.country))
        .where(
            EmailRecipient.email_id == email.id,
            EmailRecipient.state == RecipientState.PENDING,
            EmailRecipient.due_at < NOT_YET,
        )
        .subquery("due")
    )


def our_zone() -> str:
    """Return the zone in which staff say when a mail is to be sent."""
    settings = db.session.get(CampaignSettings, 1)
    zone = settings.time_zone if settings else "UTC"
    return zone if zone in _zones() else "UTC"


def _moments(shown: datetime, email: Email) -> dict[str, datetime]:
    """Return the moment at which each zone's clock shows ``shown``, or now where that is over.

    Where the mail's window is closed then, it is the next moment at which it opens.
    """
    now = clock.now()
    found = {}
    for name in _zones() | {"UTC"}:
        try:
            zone = ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            continue
        moment = max(shown.replace(tzinfo=zone).astimezone(now.tzinfo), now)
        found[name] = _within_window(moment, zone, email)
    return found


def _within_window(moment: datetime, zone: ZoneInfo, email: Email) -> datetime:
    begin, end = email.window_from, email.window_to
    if begin is None or end is None:
        return moment
    local = moment.astimezone(zone)
    minute = local.hour * 60 + local.minute
    if begin <= minute < end:
        return moment
    day = local.date() + timedelta(days=int(minute >= end))
    opens = datetime.combine(day, time(begin // 60, begin % 60), zone)
    return opens.astimezone(moment.tzinfo)


def _table(name: str, moments: Mapping[str, datetime]) -> Any:
    """Return (name, at) as a table that travels as one parameter."""
    pairs = [{"name": key, "at": moment.isoformat()} for key, moment in moments.items()]
    given = func.jsonb_to_recordset(cast(literal(pairs, JSONB), JSONB))
    return given.table_valued(
        Column("name", Text), Column("at", DateTime(timezone=True))
    ).render_derived(name=name, with_types=True)
