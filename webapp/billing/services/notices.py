"""Mails that tell people of their subscription: begun, ending, ended, a trial over soon, a receipt.

Called wherever rows are written, as often as it happens: each mail has a key, and goes once.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, func, select

from webapp.accounts.models import User
from webapp.billing.models import (
    BillingCustomer,
    Invoice,
    Subscription,
    SubscriptionStatus,
)
from webapp.billing.queries.home import ended_unpaid, next_charge_of, plan_name_of
from webapp.billing.queries.invoices import read_receipt
from webapp.core import clock
from webapp.core.db import db
from webapp.core.state import current_config
from webapp.messaging.errors import InvalidAddress, InvalidHeader
from webapp.messaging.models import Mail
from webapp.messaging.services import post

logger = logging.getLogger(__name__)

# What is older was told when it happened, or is of no interest any more: Stripe gives up on a
# webhook after three days.
NEWS_FOR = timedelta(days=7)
TRIAL_NOTICE = timedelta(days=3)
# Whoever may still use it, or could again once the open invoice is paid.
OWING = (SubscriptionStatus.PAST_DUE, SubscriptionStatus.UNPAID)
# Who has just begun was told of the end of the trial then.
FIRST_DAY = timedelta(days=1)
BATCH = 200


def follow_invoice(invoice: Invoice, *, newly_paid: bool) -> None:
    """Send the receipt of what has just been paid; flushes."""
    if not newly_paid or invoice.amount_paid <= 0 or not _is_news(invoice.paid_at):
        return
    receipt = read_receipt(invoice)
    context = {"receipt": receipt, "url": _url(f"/billing/invoices/{invoice.id}")}
    _tell(invoice.customer, "receipt", f"receipt:{invoice.id}", f"invoice:{invoice.id}", context)


def follow_subscription(subscription: Subscription) -> None:
    """Say that a subscription has begun, is going to end, or has ended; flushes."""
    if subscription.duplicate:
        return
    status = subscription.status
    begun = status in (SubscriptionStatus.TRIALING, SubscriptionStatus.ACTIVE)
    if begun and _is_news(subscription.started_at):
        _tell_about(subscription, "subscription_started", "")
    lives = begun or status in OWING
    if lives and subscription.is_set_to_end and _is_news(subscription.canceled_at):
        _tell_about(subscription, "subscription_ending", _minute_of(subscription.canceled_at))
    if status is SubscriptionStatus.CANCELED and _is_news(subscription.ended_at):
        _tell_about(subscription, "subscription_canceled", "")


def tell_of_trials_ending(after: int) -> int | None:
    """Write to whose trial ends within three days and who will be charged then; flushes.

    Looks at a batch behind the subscription ``after`` and returns where to go on; None at the end.
    Once for each end: a trial made longer is told anew.
    """
    now = clock.now()
    soon = db.session.scalars(
        select(Subscription)
        .where(
            Subscription.id > after,
            Subscription.status == SubscriptionStatus.TRIALING,
            Subscription.trial_end > now,
            Subscription.trial_end <= now + TRIAL_NOTICE,
            Subscription.trial_start <= now - FIRST_DAY,
            ~Subscription.is_set_to_end,
            ~Subscription.duplicate,
            ~_told_of_trial(),
        )
        .order_by(Subscription.id)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    ).all()
    for subscription in soon:
        _tell_about(subscription, "trial_ending", _minute_of(subscription.trial_end))
    return soon[-1].id if len(soon) == BATCH else None


def _minute_of(at: datetime | None) -> str:
    return f":{at.astimezone(UTC):%Y%m%d%H%M}" if at else ""


def _told_of_trial() -> ColumnElement[bool]:
    end = func.to_char(func.timezone("UTC", Subscription.trial_end), "YYYYMMDDHH24MI")
    key = func.concat("trial_ending:", Subscription.id, ":", end)
    return select(Mail.id).where(Mail.dedupe_key == key).exists()


def _tell_about(subscription: Subscription, kind: str, occasion: str) -> None:
    context = {
        "plan": plan_name_of(subscription),
        "subscription": subscription,
        "charge": next_charge_of(subscription),
        "customer": subscription.customer,
        "owing": subscription.status in OWING,
        "unpaid": subscription.ended_at is not None and ended_unpaid(subscription),
        "url": _url("/billing"),
        "pricing_url": _url("/pricing"),
    }
    key = f"{kind}:{subscription.id}{occasion}"
    _tell(subscription.customer, kind, key, f"subscription:{subscription.id}", context)


def _tell(
    customer: BillingCustomer, kind: str, key: str, subject: str, context: Mapping[str, object]
) -> None:
    """Post a mail once; a broken address must not keep Stripe's facts from being written."""
    user = db.session.get(User, customer.user_id) if customer.user_id else None
    recipient = user.email if user is not None else customer.email
    # What is synced again and again is rendered once.
    if not recipient or db.session.scalar(select(Mail.id).where(Mail.dedupe_key == key)):
        return
    try:
        post(kind, recipient, context, dedupe_key=key, subject_ref=subject)
    except (InvalidAddress, InvalidHeader):
        logger.exception("customer not told", extra={"subject": subject, "kind": kind})


def _is_news(at: datetime | None) -> bool:
    return at is not None and at > clock.now() - NEWS_FOR


def _url(path: str) -> str:
    return current_config().base_url.rstrip("/") + path
