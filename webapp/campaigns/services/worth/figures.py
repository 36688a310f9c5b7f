"""A mail in figures, quickly also for a million recipients: sums over leases, counts in indexes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, cast, func, select

from webapp.campaigns.errors import NoSuchEmail
from webapp.campaigns.models import (
    Email,
    EmailOrder,
    EmailRecipient,
    EmailUnsubscribe,
    OrderCredit,
    SendLease,
    TrackingEvent,
    TrackingKind,
)
from webapp.campaigns.services.worth.money import add_up, kept_sum
from webapp.core.db import db
from webapp.orders.models import Order


@dataclass(slots=True)
class Worth:
    """``opened`` and ``clicked`` count people, ``machine_`` opens and clicks count requests.

    Revenue is in minor units by currency, refunds taken off; ``assisted_`` are orders of people
    who opened the mail and clicked in none.
    """

    email_id: int
    name: str
    sent: int = 0
    bounced: int = 0
    complained: int = 0
    left: int = 0
    opened: int = 0
    clicked: int = 0
    machine_opens: int = 0
    machine_clicks: int = 0
    orders: int = 0
    revenue: dict[str, int] = field(default_factory=dict)
    assisted_orders: int = 0
    assisted_revenue: dict[str, int] = field(default_factory=dict)

    @property
    def delivered(self) -> int:
        return max(self.sent - self.bounced, 0)

    @property
    def per_recipient(self) -> dict[str, Decimal]:
        """The revenue for each delivered mail, in (parts of) minor units by currency."""
        if not self.delivered:
            return {}
        exact = {each: Decimal(sum_) / self.delivered for each, sum_ in self.revenue.items()}
        return {each: amount.quantize(Decimal("0.01")) for each, amount in exact.items()}

    def share(self, count: int) -> float:
        """Return ``count`` as a part of the delivered mails, from 0 to 1."""
        return count / self.delivered if self.delivered else 0.0


def worth_of(email_id: int) -> Worth:
    """Return a mail's figures as they are now. Raises NoSuchEmail."""
    found = compare([email_id])
    if not found:
        raise NoSuchEmail
    return found[0]


def compare(email_ids: Sequence[int]) -> list[Worth]:
    """Return the figures of several mails, in the given order; unknown ones are left out."""
    rows = db.session.execute(select(Email.id, Email.name).where(Email.id.in_(email_ids)))
    by_id = {row.id: Worth(row.id, row.name) for row in rows}
    for statement in _counts(list(by_id)):
        for row in db.session.execute(statement):
            _set(by_id[row.email_id], row)
    for row in db.session.execute(_events(list(by_id))):
        worth = by_id[row.email_id]
        if row.kind is TrackingKind.OPEN:
            worth.machine_opens += row.times
        else:
            worth.machine_clicks += row.times
    for row in db.session.execute(_sales(list(by_id))):
        worth = by_id[row.email_id]
        if row.credit is OrderCredit.CLICK:
            worth.orders += row.times
            add_up(worth.revenue, row)
        else:
            worth.assisted_orders += row.times
            add_up(worth.assisted_revenue, row)
    return [by_id[email_id] for email_id in email_ids if email_id in by_id]


def _set(worth: Worth, row: Any) -> None:
    for name, value in row._mapping.items():
        if name != "email_id":
            setattr(worth, name, int(value))


def _counts(ids: list[int]) -> list[Any]:
    """Return the statements whose columns are fields of Worth, one row for a mail."""
    recipient = EmailRecipient
    lost = (
        recipient.bounced_at.is_not(None)
        | recipient.complained_at.is_not(None)
        | recipient.left_at.is_not(None)
    )
    sent = cast(func.coalesce(func.sum(SendLease.sent), 0), BigInteger).label("sent")
    return [
        _by_email(SendLease.email_id, ids, sent),
        _by_email(
            recipient.email_id,
            ids,
            func.count(recipient.bounced_at).label("bounced"),
            func.count(recipient.complained_at).label("complained"),
        ).where(lost),
        _by_email(EmailUnsubscribe.email_id, ids, func.count().label("left")),
        _by_email(recipient.email_id, ids, func.count().label("opened")).where(
            recipient.opened_at.is_not(None)
        ),
        _by_email(recipient.email_id, ids, func.count().label("clicked")).where(
            recipient.clicked_at.is_not(None)
        ),
    ]


def _by_email(email_id: Any, ids: list[int], *columns: Any) -> Any:
    return select(email_id.label("email_id"), *columns).where(email_id.in_(ids)).group_by(email_id)


def _events(ids: list[int]) -> Any:
    event = TrackingEvent
    return (
        select(event.email_id, event.kind, func.count().label("times"))
        .where(event.email_id.in_(ids), event.human.is_(False))
        .group_by(event.email_id, event.kind)
    )


def _sales(ids: list[int]) -> Any:
    given = EmailOrder
    return (
        select(
            given.email_id,
            given.credit,
            Order.currency,
            func.count().label("times"),
            kept_sum().label("amount"),
        )
        .join(Order, Order.id == given.order_id)
        .where(given.email_id.in_(ids))
        .group_by(given.email_id, given.credit, Order.currency)
    )
