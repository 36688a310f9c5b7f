"""What a member may use, worked out anew in the transaction of whatever changed it."""

from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_, select

from webapp.billing.models import (
    BillingCustomer,
    CaseState,
    DunningCase,
    DunningPolicy,
    Entitlement,
    Invoice,
    InvoiceStatus,
    Plan,
    PlanPrice,
    Subscription,
    SubscriptionStatus,
)
from webapp.billing.policy import EndAction
from webapp.core import clock
from webapp.core.db import db

GRANTING = (
    SubscriptionStatus.TRIALING,
    SubscriptionStatus.ACTIVE,
    SubscriptionStatus.PAST_DUE,
    SubscriptionStatus.UNPAID,
)
BEHIND = (SubscriptionStatus.PAST_DUE, SubscriptionStatus.UNPAID)


def settle(customer: BillingCustomer) -> None:
    """Write, change or remove the customer's entitlement; flushes. The caller holds their lock."""
    if customer.user_id is None:
        return
    kept = db.session.get(Entitlement, customer.user_id)
    subscription = _granting_subscription(customer)
    if subscription is None:
        if kept is not None:
            db.session.delete(kept)
        db.session.flush()
        return
    if kept is None:
        kept = Entitlement(user_id=customer.user_id, plan_slug="", features=[], limits={})
        db.session.add(kept)
    _write(kept, subscription, customer)
    db.session.flush()


def _write(kept: Entitlement, subscription: Subscription, customer: BillingCustomer) -> None:
    plan = _plan_of(subscription)
    owing, walled_at = _what_is_owed(customer, subscription)
    if subscription.status is SubscriptionStatus.UNPAID:
        walled_at = walled_at or kept.walled_at or clock.now()
    wanted = {
        "subscription_id": subscription.id,
        "plan_slug": plan.slug if plan else "",
        "features": sorted(plan.features) if plan else [],
        "limits": dict(plan.limits) if plan else {},
        "owing": owing,
        "walled_at": walled_at,
    }
    if any(getattr(kept, name) != value for name, value in wanted.items()):
        for name, value in wanted.items():
            setattr(kept, name, value)
        kept.changed_at = clock.now()


def _granting_subscription(customer: BillingCustomer) -> Subscription | None:
    subscription = db.session.scalar(
        select(Subscription)
        .where(
            Subscription.customer_id == customer.id,
            Subscription.status.in_(GRANTING),
            ~Subscription.duplicate,
        )
        .order_by(Subscription.id)
        .limit(1)
    )
    if subscription is not None and subscription.pause_behavior and not _has_paid(subscription):
        return None
    return subscription


def _has_paid(subscription: Subscription) -> bool:
    """Whether the running period is paid: a pause begins when what was paid for is used up."""
    if subscription.status is SubscriptionStatus.TRIALING:
        return True
    newest = select(Invoice.status).where(Invoice.stripe_id == subscription.latest_invoice)
    return db.session.scalar(newest) is InvoiceStatus.PAID


def _plan_of(subscription: Subscription) -> Plan | None:
    """Return the plan of its price; of a price made in Stripe's dashboard, that of its product."""
    product = subscription.stripe_product_id
    if subscription.plan_price_id is None and product is None:
        return None
    by_price = select(PlanPrice.plan_id).where(PlanPrice.id == subscription.plan_price_id)
    is_product = Plan.stripe_product_id == product
    return db.session.scalar(
        select(Plan)
        .where(Plan.id == by_price.scalar_subquery() if subscription.plan_price_id else is_product)
        # Whoever edits the plan at this moment writes all entitlements: theirs must come last.
        .with_for_update(read=True, of=Plan)
    )


def _what_is_owed(
    customer: BillingCustomer, subscription: Subscription
) -> tuple[bool, datetime | None]:
    """Return whether pages say that something is owed, and since when the wall stands."""
    is_open = DunningCase.state == CaseState.OPEN
    owed = or_(is_open, _kept(subscription)) if subscription.status in BEHIND else is_open
    banner, walled_at = db.session.execute(
        select(
            func.bool_or(DunningPolicy.rules["banner"].as_boolean()),
            func.min(DunningCase.walled_at),
        )
        .join(DunningPolicy, DunningPolicy.id == DunningCase.policy_id)
        .where(
            DunningCase.customer_id == customer.id,
            owed,
            DunningCase.excluded_reason.is_(None),
        )
    ).one()
    return bool(banner), walled_at


def _kept(subscription: Subscription) -> ColumnElement[bool]:
    """Cases that ended by keeping the subscription: its invoice is owed all the same."""
    unpaid = select(Invoice.id).where(
        Invoice.id == DunningCase.invoice_id, Invoice.status == InvoiceStatus.OPEN
    )
    return and_(
        DunningCase.state == CaseState.LOST,
        DunningCase.subscription_id == subscription.id,
        DunningPolicy.rules["end"].as_string() == EndAction.KEEP.value,
        unpaid.exists(),
    )
