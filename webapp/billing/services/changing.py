"""What members do with what they have: change the plan, leave, stay after all, pause, come back.

Each is written down as an operation under the customer's lock, for the caller to commit and then
carry out; what somebody presses twice is one operation.
"""

import calendar
import uuid
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, or_, select

from webapp.billing.errors import ChangeRefused, NotForSale, NotSubscribed, OfferChanged
from webapp.billing.models import (
    BillingCustomer,
    BillingOperation,
    CancelOffer,
    CancelOutcome,
    OperationKind,
    OperationState,
    PlanPrice,
    PlanState,
    Subscription,
    SubscriptionStatus,
)
from webapp.billing.queries.home import (
    find_customer,
    find_live_subscription,
    period_is_paid,
)
from webapp.billing.queries.settings import get_settings
from webapp.billing.queries.staying import offer_for
from webapp.billing.services.leaving import Leaving, remember, take_back
from webapp.billing.services.operations import ask
from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db
from webapp.payments import gateway

# For how long the amount that was shown is the amount that is charged.
PREVIEW_HOLDS = timedelta(minutes=30)
CHANGEABLE = (SubscriptionStatus.TRIALING, SubscriptionStatus.ACTIVE)
# These have nothing paid that could be used up first.
ENDS_AT_ONCE = (
    SubscriptionStatus.INCOMPLETE,
    SubscriptionStatus.UNPAID,
    SubscriptionStatus.PAUSED,
)


def preview_change(
    subscription: Subscription, price_id: int, at: datetime | None = None
) -> gateway.Preview:
    """Ask Stripe what changing to a price costs at the second ``at``, now by default.

    Changes nothing. Commits what the caller has read, as Stripe is asked outside a transaction.
    Raises NotForSale, ChangeRefused, and what Stripe answers.
    """
    price = _check_change(subscription, price_id)
    moment = (at or clock.now()).replace(microsecond=0)
    asked = subscription.stripe_id, subscription.item_id, str(price.stripe_price_id)
    quantity = subscription.quantity
    db.session.commit()
    return gateway.preview_change(*asked, quantity, moment)


def is_recent(at: datetime) -> bool:
    """Whether a preview of this second still holds."""
    return clock.now() - PREVIEW_HOLDS <= at <= clock.now() + timedelta(minutes=1)


def change_plan(user_id: uuid.UUID, price_id: int, at: datetime, by: Actor) -> BillingOperation:
    """Ask for another price, charged as previewed for the second ``at``; flushes."""
    customer, subscription = _locked(user_id)
    price = _check_change(subscription, price_id)
    operation = ask(
        OperationKind.CHANGE_PLAN,
        customer,
        subscription.stripe_id,
        {
            "price": price.stripe_price_id,
            "item": subscription.item_id,
            "quantity": subscription.quantity,
            "proration_date": int(at.timestamp()),
        },
        actor=by,
        key=_change_key(subscription, f"{price.id}:{int(at.timestamp())}"),
    )
    _note("subscription.changed", subscription, customer, by, price=price.id)
    return operation


def _change_key(subscription: Subscription, shown: str) -> str:
    """Return the key under which a change waits; what was refused or done is asked for anew."""
    key, asked = f"change:{subscription.stripe_id}:{shown}", BillingOperation.idempotency_key
    closed = select(func.count()).where(
        BillingOperation.target == subscription.stripe_id,
        BillingOperation.state != OperationState.REQUESTED,
        or_(asked == key, asked.startswith(f"{key}:", autoescape=True)),
    )
    before = db.session.scalar(closed)
    return f"{key}:{before}" if before else key


def cancel(user_id: uuid.UUID, leaving: Leaving, by: Actor) -> BillingOperation:
    """Ask for the end: of what was paid for, or at once, as the fork has it; flushes."""
    customer, subscription = _locked(user_id)
    later = get_settings().cancel_at_period_end and subscription.status not in ENDS_AT_ONCE
    kind = OperationKind.CANCEL_AT_PERIOD_END if later else OperationKind.CANCEL
    pending = _pending(kind, subscription)
    if pending is not None:
        return pending
    if subscription.is_set_to_end:
        raise ChangeRefused("Your subscription is set to end already.")
    offer = offer_for(subscription).kind
    kept = remember(subscription, leaving, offer, CancelOutcome.CANCELLED)
    why = {"feedback": leaving.reason.value, "comment": leaving.comment} | kept
    operation = ask(kind, customer, subscription.stripe_id, why, actor=by)
    _note("subscription.cancelled", subscription, customer, by, reason=leaving.reason.value)
    return operation


def stay(user_id: uuid.UUID, leaving: Leaving, terms: str, by: Actor) -> BillingOperation:
    """Take the offer of these ``terms`` instead of leaving: a pause, or a discount; flushes.

    Raises ChangeRefused when there is none (any more), OfferChanged when it is another one.
    """
    customer, subscription = _locked(user_id)
    offer = offer_for(subscription)
    if offer.kind is CancelOffer.NONE:
        raise ChangeRefused("This offer is not open to you any more.")
    if offer.terms != terms:
        raise OfferChanged
    if offer.kind is CancelOffer.PAUSE:
        kind = OperationKind.PAUSE
        until = resumes_at(subscription.current_period_end, offer.months)
        params: dict[str, object] = {"resumes_at": int(until.timestamp()), "behavior": "void"}
    else:
        kind, name = OperationKind.DISCOUNT, f"{offer.percent} % off for staying"
        params = {"percent": offer.percent, "months": offer.months, "name": name}
    kept = remember(subscription, leaving, offer.kind, CancelOutcome.STAYED)
    operation = ask(kind, customer, subscription.stripe_id, params | kept, actor=by)
    _note("subscription.stayed", subscription, customer, by, offer=offer.kind.value)
    return operation


def resume(user_id: uuid.UUID, by: Actor) -> BillingOperation:
    """Take a cancellation back before it takes effect; flushes."""
    customer, subscription = _locked(user_id)
    if not subscription.is_set_to_end:
        raise ChangeRefused("Your subscription goes on; there is nothing to take back.")
    pending = _pending(OperationKind.RESUME, subscription)
    if pending is not None:
        return pending
    kept = take_back(subscription)
    operation = ask(OperationKind.RESUME, customer, subscription.stripe_id, kept, actor=by)
    _note("subscription.resumed", subscription, customer, by)
    return operation


def unpause(user_id: uuid.UUID, by: Actor) -> BillingOperation:
    """End a pause now; one whose paid time is over pays for a new period from now on. Flushes."""
    customer, subscription = _locked(user_id)
    if subscription.pause_behavior is None:
        raise ChangeRefused("Your subscription isn't paused.")
    pending = _pending(OperationKind.UNPAUSE, subscription)
    if pending is not None:
        return pending
    params = {} if period_is_paid(subscription) else {"from_now": True}
    operation = ask(OperationKind.UNPAUSE, customer, subscription.stripe_id, params, actor=by)
    _note("subscription.unpaused", subscription, customer, by)
    return operation


def resumes_at(period_end: datetime, months: int) -> datetime:
    """Return when a pause of so many months ends: a day before the first charge that counts.

    The charges at ``period_end`` and until then are skipped. Between two of them there are at least
    28 days, so a day's margin skips none too many.
    """
    first = period_end.year * 12 + period_end.month - 1 + months
    year, month = divmod(first, 12)
    day = min(period_end.day, calendar.monthrange(year, month + 1)[1])
    charge = period_end.astimezone(UTC).replace(year=year, month=month + 1, day=day)
    return charge - timedelta(days=1)


def _locked(user_id: uuid.UUID) -> tuple[BillingCustomer, Subscription]:
    """Lock the customer and return their live subscription. Raises NotSubscribed."""
    customer = find_customer(user_id)
    if customer is None:
        raise NotSubscribed
    db.session.refresh(customer, with_for_update=True)
    subscription = find_live_subscription(customer.id)
    if subscription is None:
        raise NotSubscribed
    db.session.refresh(subscription)
    return customer, subscription


def _check_change(subscription: Subscription, price_id: int) -> PlanPrice:
    if subscription.pause_behavior is not None:
        raise ChangeRefused("Your subscription is paused. Go on with it first, then change it.")
    if subscription.is_set_to_end:
        raise ChangeRefused("Your subscription is set to end. Resume it first, then change it.")
    if subscription.status not in CHANGEABLE:
        raise ChangeRefused("A payment is still open. Pay it first, then change your plan.")
    price = db.session.get(PlanPrice, price_id)
    if price is None or price.retired_at or price.plan.state is not PlanState.PUBLISHED:
        raise NotForSale("This price is no longer offered. Here is what you can choose from now.")
    if price.id == subscription.plan_price_id:
        raise ChangeRefused("This is the plan you have.")
    if price.currency != subscription.currency or price.stripe_price_id is None:
        raise NotForSale("You can't change to this price. Write to us, and we'll see to it.")
    return price


def _pending(kind: OperationKind, subscription: Subscription) -> BillingOperation | None:
    """Return the same request if it was made a moment ago and waits for Stripe."""
    return db.session.scalar(
        select(BillingOperation).where(
            BillingOperation.kind == kind,
            BillingOperation.target == subscription.stripe_id,
            BillingOperation.state == OperationState.REQUESTED,
        )
    )


def _note(
    action: str, subscription: Subscription, customer: BillingCustomer, by: Actor, **details: object
) -> None:
    record(by, action, f"subscription:{subscription.id}", user_id=customer.user_id, **details)
