"""A mail link by link, hour by hour and order by order."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute

from webapp.campaigns.models import (
    EmailLink,
    EmailOrder,
    EmailRecipient,
    OrderCredit,
    TrackingEvent,
    TrackingKind,
)
from webapp.campaigns.services.worth.money import add_up, kept_amount, kept_sum
from webapp.core.db import db
from webapp.orders.models import Order


@dataclass(slots=True)
class LinkWorth:
    """``people`` followed it, some of them more than once: ``clicks``. Traps are left out."""

    number: int
    variant: int
    url: str
    clicks: int = 0
    people: int = 0
    machine_clicks: int = 0
    orders: int = 0
    revenue: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HourOfReading:
    """How many people opened the mail, and clicked in it, for the first time in this hour."""

    at: datetime
    opened: int
    clicked: int


@dataclass(frozen=True, slots=True)
class CreditedOrder:
    """An order owed to the mail. ``amount`` is its total less refunds; ``link`` its click's."""

    order_id: int
    number: int
    credit: OrderCredit
    address: str
    link: int | None
    acted_at: datetime
    placed_at: datetime
    amount: int
    currency: str


def links_of(email_id: int) -> list[LinkWorth]:
    """Return the registered links of a mail with what came of each, by their numbers."""
    links = {
        link.number: LinkWorth(link.number, link.variant, link.url)
        for link in db.session.scalars(
            select(EmailLink)
            .where(EmailLink.email_id == email_id, EmailLink.trap.is_(False))
            .order_by(EmailLink.number)
        )
    }
    _count_clicks(email_id, links)
    _add_sales(email_id, links)
    return list(links.values())


def _count_clicks(email_id: int, links: dict[int, LinkWorth]) -> None:
    event = TrackingEvent
    # By person first: hashing them is many times cheaper than sorting them for DISTINCT.
    each = (
        select(event.link, event.human, event.recipient_id, func.count().label("clicks"))
        .where(
            event.email_id == email_id,
            event.kind == TrackingKind.CLICK,
            event.human.is_not(None),
        )
        .group_by(event.link, event.human, event.recipient_id)
        .subquery()
    )
    clicks, people = func.sum(each.c.clicks), func.count()
    statement = select(each.c.link, each.c.human, clicks.label("clicks"), people.label("people"))
    for row in db.session.execute(statement.group_by(each.c.link, each.c.human)):
        link = links.get(row.link)
        if link is not None and row.human:
            link.clicks, link.people = int(row.clicks), row.people
        elif link is not None:
            link.machine_clicks = int(row.clicks)


def _add_sales(email_id: int, links: dict[int, LinkWorth]) -> None:
    rows = db.session.execute(
        select(
            EmailOrder.link,
            Order.currency,
            func.count().label("orders"),
            kept_sum().label("amount"),
        )
        .join(Order, Order.id == EmailOrder.order_id)
        .where(EmailOrder.email_id == email_id, EmailOrder.credit == OrderCredit.CLICK)
        .group_by(EmailOrder.link, Order.currency)
    )
    for row in rows:
        if row.link in links:
            links[row.link].orders += row.orders
            add_up(links[row.link].revenue, row)


def opens_by_hour(email_id: int, hours: int = 72) -> list[HourOfReading]:
    """Return the first ``hours`` hours from the first open on; those without any are left out."""
    opened = _by_hour(email_id, EmailRecipient.opened_at)
    clicked = _by_hour(email_id, EmailRecipient.clicked_at)
    moments = sorted({*opened, *clicked})
    until = moments[0] + timedelta(hours=hours) if moments else None
    return [
        HourOfReading(at, opened.get(at, 0), clicked.get(at, 0))
        for at in moments
        if until is not None and at < until
    ]


def _by_hour(email_id: int, column: InstrumentedAttribute[datetime | None]) -> dict[datetime, int]:
    hour = func.date_trunc("hour", column, "UTC")
    statement = (
        select(hour, func.count())
        .where(EmailRecipient.email_id == email_id, column.is_not(None))
        .group_by(hour)
    )
    return {row[0]: row[1] for row in db.session.execute(statement)}


def list_orders(email_id: int, limit: int = 50, offset: int = 0) -> list[CreditedOrder]:
    """Return the orders owed to a mail, the newest first."""
    given = EmailOrder
    statement = (
        select(
            given.order_id,
            Order.number,
            given.credit,
            EmailRecipient.address,
            given.link,
            given.acted_at,
            Order.placed_at,
            kept_amount(),
            Order.currency,
        )
        .join(Order, Order.id == given.order_id)
        .join(
            EmailRecipient,
            (EmailRecipient.email_id == given.email_id) & (EmailRecipient.id == given.recipient_id),
        )
        .where(given.email_id == email_id)
        .order_by(given.order_id.desc())
        .limit(limit)
        .offset(offset)
    )
    return [CreditedOrder(*row) for row in db.session.execute(statement)]
