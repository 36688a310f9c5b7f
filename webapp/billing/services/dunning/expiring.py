"""Writes to people whose card is about to expire, so that no payment has to fail first."""

import calendar
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import joinedload

from webapp.billing.models import (
    BillingCustomer,
    Channel,
    PlanPrice,
    Subscription,
    SubscriptionStatus,
)
from webapp.billing.policy import Policy, reminder_at
from webapp.billing.queries.dunning import Reader, find_card, plan_name, readers_of
from webapp.billing.services.dunning.links import card_mail_prefix, card_subject, make
from webapp.billing.services.dunning.mails import EXPIRING, expiring_context
from webapp.billing.services.dunning.policies import in_force
from webapp.core import clock
from webapp.core.db import db
from webapp.messaging.errors import InvalidAddress, InvalidHeader
from webapp.messaging.models import Mail
from webapp.messaging.services import post

BATCH = 500
# Who owes something is written to about that; two mails about one card would be one too many.
RENEWING = (SubscriptionStatus.TRIALING, SubscriptionStatus.ACTIVE)


def remind(after: int = 0, limit: int = BATCH) -> int | None:
    """Write to whom of the next ``limit`` subscribers with an ending card a mail is due; flushes.

    Each mail goes once for a card and a day. Of several that came due unseen only the latest is
    sent. Returns the customer to go on after; None when there are no more.
    """
    policy, now = Policy.of(in_force().rules), clock.now()
    if not policy.card_expiry_days:
        return None
    subscriptions = _list_ending(_months(now, max(policy.card_expiry_days)), after, limit)
    readers = readers_of([each.customer for each in subscriptions])
    due = {
        _key(each.customer, days): (each, days)
        for each in subscriptions
        if (days := _due(policy, each.customer, readers[each.customer_id].zone, now)) is not None
    }
    known = set(db.session.scalars(select(Mail.dedupe_key).where(Mail.dedupe_key.in_(due))))
    for key, (subscription, days) in due.items():
        if key not in known:
            _write(subscription, days, key, readers[subscription.customer_id])
    return subscriptions[-1].customer_id if len(subscriptions) == limit else None


def _months(now: datetime, days: int) -> set[tuple[int, int]]:
    """Return the months in which a card's end may be due, wherever its owner lives."""
    span = (now + timedelta(days=day) for day in range(-1, days + 2))
    return {(day.year, day.month) for day in span}


def _list_ending(
    months: Iterable[tuple[int, int]], after: int, limit: int
) -> Sequence[Subscription]:
    customer = BillingCustomer
    ends: list[ColumnElement[bool]] = [
        and_(customer.card_exp_year == year, customer.card_exp_month == month)
        for year, month in sorted(months)
    ]
    return db.session.scalars(
        select(Subscription)
        .join(Subscription.customer)
        .where(
            or_(*ends),
            customer.id > after,
            customer.deleted_at.is_(None),
            Subscription.status.in_(RENEWING),
            ~Subscription.duplicate,
            ~Subscription.is_set_to_end,
        )
        .order_by(customer.id)
        .limit(limit)
        .options(
            joinedload(Subscription.customer),
            joinedload(Subscription.price).joinedload(PlanPrice.plan),
        )
    ).all()


def last_day_of(customer: BillingCustomer) -> date | None:
    """Return the last day on which a customer's card can be charged."""
    year, month = customer.card_exp_year, customer.card_exp_month
    if not year or not month:
        return None
    return date(year, month, calendar.monthrange(year, month)[1])


def _due(policy: Policy, customer: BillingCustomer, zone: ZoneInfo, now: datetime) -> int | None:
    """Return the days of the latest mail that is due; None for none, or when it is too late."""
    last_day = last_day_of(customer)
    if last_day is None or now.astimezone(zone).date() > last_day:
        return None
    due = [
        days for days in policy.card_expiry_days if reminder_at(policy, last_day, days, zone) <= now
    ]
    return min(due, default=None)


def _key(customer: BillingCustomer, days: int) -> str:
    ends = f"{customer.card_exp_year}-{customer.card_exp_month:02}"
    return f"{card_mail_prefix(customer.id)}{ends}:{customer.card_last4}:{days}"


def _write(subscription: Subscription, days: int, key: str, reader: Reader) -> None:
    customer = subscription.customer
    card, last_day = find_card(customer), last_day_of(customer)
    if card is None or last_day is None or not reader.email:
        return
    left = (last_day - clock.now().astimezone(reader.zone).date()).days
    url = make(customer.id, Channel.MAIL, step_key=f"card:{days}")
    try:
        post(
            f"dunning_{EXPIRING}",
            reader.email,
            expiring_context(card, plan_name(subscription), url, last_day, left),
            dedupe_key=key,
            subject_ref=card_subject(customer.id),
            secret=True,
        )
    except (InvalidAddress, InvalidHeader):
        return
