"""One mail's results in detail: hour by hour, version by version, link by link, order by order."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from sqlalchemy import func, select

from admin.campaigns.link_map import Clicked
from admin.campaigns.story import REASONS
from webapp.campaigns.models import (
    AbMetric,
    Email,
    EmailRecipient,
    EmailUnsubscribe,
    EmailVariant,
    LeaveReason,
    OrderCredit,
    RecipientState,
)
from webapp.campaigns.services import sending, worth
from webapp.campaigns.services.emails import LETTERS
from webapp.core.db import db
from webapp.core.state import current_config

HOURS = 72
BARS = 90
COMMENTS = 5
ORDERS = 50


@dataclass(frozen=True, slots=True)
class Version:
    number: int
    subject: str
    delivered: int
    opened: int
    clicked: int

    @property
    def letter(self) -> str:
        return LETTERS[self.number - 1]


@dataclass(frozen=True, slots=True)
class LinkLine:
    """One link with the people who followed it; ``short`` is its address without the rest."""

    number: int
    variant: int
    url: str
    people: int
    orders: int
    clicked: Clicked

    @property
    def short(self) -> str:
        """Pages of this shop by their path, others with their host; without what is measured."""
        parts = urlsplit(self.url)
        ours = parts.netloc == urlsplit(current_config().base_url).netloc
        return parts.path or "/" if ours else f"{parts.netloc}{parts.path}".removesuffix("/")


@dataclass(frozen=True, slots=True)
class OrderLine:
    """An order that is owed to the mail; ``later`` is how long after the click it was placed."""

    order: worth.CreditedOrder
    by_click: bool
    later: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the page of a mail's results shows beside its figures."""

    hours: list[tuple[str, int, int]]
    minutes: list[tuple[str, int, str]]
    minutes_are: str
    versions: list[Version]
    best_rate: float
    links: list[LinkLine]
    reasons: list[tuple[str, int]]
    comments: list[str]
    orders: list[OrderLine]

    @property
    def hours_said(self) -> str:
        """The picture in words: its busiest hour."""
        if not self.hours:
            return "none"
        name, opens, clicks = max(self.hours, key=lambda hour: hour[1] + hour[2])
        return f"most in {name}, {_counted(opens, 'open')} and {_counted(clicks, 'click')}"


def versions_of(email: Email) -> list[Version]:
    """Return the mail's variants with what people did with each."""
    got = EmailRecipient
    delivered = (got.state == RecipientState.SENT) & got.bounced_at.is_(None)
    subjects = db.session.execute(
        select(EmailVariant.number, EmailVariant.subject)
        .where(EmailVariant.email_id == email.id)
        .order_by(EmailVariant.number)
    ).all()
    if len(subjects) < 2:
        return []
    rows = db.session.execute(
        select(
            got.variant,
            func.count().filter(delivered),
            func.count(got.opened_at),
            func.count(got.clicked_at),
        )
        .where(got.email_id == email.id)
        .group_by(got.variant)
    )
    counted = {number: figures for number, *figures in rows}
    return [
        Version(number, subject, *counted.get(number, (0, 0, 0))) for number, subject in subjects
    ]


def best_rate(email: Email, versions: Sequence[Version]) -> float:
    """Return the highest rate of what decides between the versions."""
    by_clicks = email.ab_metric is AbMetric.CLICKS
    rates = [
        (each.clicked if by_clicks else each.opened) / each.delivered
        for each in versions
        if each.delivered
    ]
    return max(rates, default=0.0)


def minutes_of(email_id: int) -> tuple[list[tuple[str, int, str]], str]:
    """Return what was sent over time as bars, and what one bar is."""
    found = sending.rates(email_id)
    if not found:
        return [], ""
    first, last = found[0].at, found[-1].at
    span = int((last - first).total_seconds() // 60) + 1
    width = -(-span // BARS)
    sums = [0] * (-(-span // width))
    for minute in found:
        sums[int((minute.at - first).total_seconds() // 60) // width] += minute.sent
    bars = [
        (_clock(first + timedelta(minutes=place * width), span), total, f"{total:,} sent")
        for place, total in enumerate(sums)
    ]
    return bars, "each minute" if width == 1 else f"every {width} minutes"


def _clock(at: datetime, span: int) -> str:
    return f"{at.astimezone(UTC):%H:%M}" if span < 24 * 60 else f"{at.astimezone(UTC):%b %d, %H:%M}"


def reasons_of(email_id: int) -> list[tuple[str, int]]:
    """Return why people left through the mail, the commonest first."""
    rows = db.session.execute(
        select(EmailUnsubscribe.reason, func.count())
        .where(EmailUnsubscribe.email_id == email_id)
        .group_by(EmailUnsubscribe.reason)
        .order_by(func.count().desc())
    )
    return [(REASONS[reason], count) for reason, count in rows]


def comments_of(email_id: int) -> list[str]:
    """Return the newest words of people who left."""
    said = select(EmailUnsubscribe.comment).where(
        EmailUnsubscribe.email_id == email_id,
        EmailUnsubscribe.reason != LeaveReason.UNSAID,
        EmailUnsubscribe.comment != "",
    )
    return list(db.session.scalars(said.order_by(EmailUnsubscribe.id.desc()).limit(COMMENTS)))


def span(begin: datetime, end: datetime) -> str:
    """Return how long it took, as people say it: ``at once``, ``4 min later``, ``2 h later``."""
    minutes = max(0, int((end - begin).total_seconds() // 60))
    if minutes < 1:
        return "at once"
    if minutes < 60:
        return f"{minutes} min later"
    if minutes < 48 * 60:
        return f"{minutes // 60} h later"
    return f"{minutes // (24 * 60)} days later"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def hours_of(email: Email) -> list[tuple[str, int, int]]:
    """Return first opens and clicks in each of the first hours, those without any too."""
    found = worth.opens_by_hour(email.id, HOURS)
    if not found:
        return []
    first = found[0].at
    by_place = {int((each.at - first).total_seconds() // 3600): each for each in found}
    hours = []
    for place in range(HOURS):
        at, each = first + timedelta(hours=place), by_place.get(place)
        opened, clicked = (each.opened, each.clicked) if each else (0, 0)
        hours.append((f"{at.astimezone(UTC):%b %d, %H:%M}", opened, clicked))
    return hours


def links_of(email_id: int) -> list[LinkLine]:
    """Return the links, each with its part of all clicks in its version."""
    found = worth.links_of(email_id)
    sums: dict[int, int] = {}
    for each in found:
        sums[each.variant] = sums.get(each.variant, 0) + each.clicks
    return [
        LinkLine(
            each.number,
            each.variant,
            each.url,
            each.people,
            each.orders,
            Clicked(each.number, each.clicks, each.clicks / (sums[each.variant] or 1)),
        )
        for each in found
    ]


def orders_of(email_id: int) -> list[OrderLine]:
    """Return the newest orders owed to the mail."""
    return [
        OrderLine(each, each.credit is OrderCredit.CLICK, span(each.acted_at, each.placed_at))
        for each in worth.list_orders(email_id, ORDERS)
    ]


def report_of(email: Email, variant: int) -> Report:
    """Return the page's tables and pictures, with the links of one version."""
    versions = versions_of(email)
    minutes, minutes_are = minutes_of(email.id)
    return Report(
        hours=hours_of(email),
        minutes=minutes,
        minutes_are=minutes_are,
        versions=versions,
        best_rate=best_rate(email, versions),
        links=[each for each in links_of(email.id) if each.variant == variant],
        reasons=reasons_of(email.id),
        comments=comments_of(email.id),
        orders=orders_of(email.id),
    )
