"""Subscriptions and what is owed for them, written straight into the tables.

Every function commits, has an ordinary month's figures unless told otherwise, and makes up ids of
Stripe's that no other test has.
"""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import select

from webapp.accounts.models import User
from webapp.billing.declines import kind_of
from webapp.billing.models import (
    BillingCustomer,
    CaseState,
    DunningCase,
    DunningPolicy,
    DunningStep,
    Entitlement,
    Interval,
    Invoice,
    InvoiceStatus,
    PaymentAttempt,
    Plan,
    PlanPrice,
    PlanState,
    StepAction,
    StepState,
    Subscription,
    SubscriptionStatus,
)
from webapp.billing.policy import Policy
from webapp.core import clock
from webapp.core.db import Base, db

MONTHLY = 1900
YEARLY = 19000
NOON = datetime(2030, 3, 4, 12, 0, tzinfo=UTC)  # a Monday

Row = TypeVar("Row", bound=Base)

_numbers = itertools.count(1)


def _stripe_id(prefix: str) -> str:
    return f"{prefix}_made{next(_numbers):06}"


def _saved(row: Row) -> Row:
    db.session.add(row)
    db.session.commit()
    return row


def make_plan(
    slug: str = "pro",
    *,
    monthly: int = MONTHLY,
    yearly: int | None = YEARLY,
    currency: str = "usd",
    features: dict[str, Any] | None = None,
    limits: dict[str, Any] | None = None,
    synced: bool = True,
    **values: Any,
) -> Plan:
    """Return a published plan with its prices, known to Stripe unless ``synced`` is false."""
    plan = Plan(
        slug=slug,
        name=values.pop("name", slug.title()),
        features={"reports": "Reports"} if features is None else features,
        limits={"projects": 10} if limits is None else limits,
        state=values.pop("state", PlanState.PUBLISHED),
        stripe_product_id=_stripe_id("prod") if synced else None,
        **values,
    )
    amounts = {Interval.MONTH: monthly, Interval.YEAR: yearly}
    plan.prices = [
        PlanPrice(
            interval=interval,
            currency=currency,
            unit_amount=amount,
            stripe_price_id=_stripe_id("price") if synced else None,
        )
        for interval, amount in amounts.items()
        if amount is not None
    ]
    return _saved(plan)


def price_of(plan: Plan, interval: Interval = Interval.MONTH) -> PlanPrice:
    """Return the price in force of a plan."""
    return next(
        price for price in plan.prices if price.interval is interval and price.retired_at is None
    )


def make_customer(user: User | None = None, **values: Any) -> BillingCustomer:
    """Return a customer with a card that is good for years; of ``user``, or of nobody any more."""
    defaults: dict[str, Any] = {
        "user_id": user.id if user else None,
        "stripe_customer_id": _stripe_id("cus"),
        "email": user.email if user else "alice@example.com",
        "payment_method_id": _stripe_id("pm"),
        "card_brand": "visa",
        "card_last4": "4242",
        "card_exp_month": 12,
        "card_exp_year": 2039,
    }
    return _saved(BillingCustomer(**defaults | values))


def make_subscription(
    customer: BillingCustomer,
    plan: Plan | None = None,
    *,
    interval: Interval = Interval.MONTH,
    status: SubscriptionStatus = SubscriptionStatus.ACTIVE,
    started_at: datetime | None = None,
    **values: Any,
) -> Subscription:
    """Return a subscription to ``plan`` (or to a price that only Stripe knows), begun just now."""
    started = started_at or clock.now()
    price = price_of(plan, interval) if plan else None
    amount = price.unit_amount if price else MONTHLY
    counts = status in (SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE)
    annual = amount * (12 if interval is Interval.MONTH else 1) * values.get("quantity", 1)
    trial = {"trial_start": started, "trial_end": started + timedelta(days=14)}
    ended = {"ended_at": clock.now(), "canceled_at": clock.now()}
    defaults: dict[str, Any] = {
        "stripe_id": _stripe_id("sub"),
        "customer_id": customer.id,
        "plan_price_id": price.id if price else None,
        "status": status,
        "stripe_price_id": (price.stripe_price_id if price else None) or _stripe_id("price"),
        "item_id": _stripe_id("si"),
        "interval": interval,
        "currency": price.currency if price else "usd",
        "unit_amount": amount,
        "annual_amount": annual if counts else 0,
        "started_at": started,
        "current_period_start": started,
        "current_period_end": started + timedelta(days=30 if interval is Interval.MONTH else 365),
        **(trial if status is SubscriptionStatus.TRIALING else {}),
        **(ended if status is SubscriptionStatus.CANCELED else {}),
    }
    return _saved(Subscription(**defaults | values))


def make_invoice(
    customer: BillingCustomer,
    subscription: Subscription | None = None,
    *,
    status: InvoiceStatus = InvoiceStatus.PAID,
    total: int | None = None,
    issued_at: datetime | None = None,
    **values: Any,
) -> Invoice:
    """Return an invoice of a renewal, paid when it was issued unless ``status`` says otherwise."""
    issued = issued_at or clock.now()
    amount = total if total is not None else (subscription.unit_amount if subscription else MONTHLY)
    paid = status is InvoiceStatus.PAID
    number = next(_numbers)
    line = {"description": "1 × Pro (at $19.00 / month)", "quantity": 1, "amount": amount}
    span = {"start": issued.isoformat(), "end": (issued + timedelta(30)).isoformat()}
    defaults: dict[str, Any] = {
        "stripe_id": f"in_made{number:06}",
        "customer_id": customer.id,
        "subscription_id": subscription.id if subscription else None,
        "status": status,
        "number": f"MADE-{number:06}",
        "billing_reason": "subscription_cycle",
        "currency": subscription.currency if subscription else "usd",
        "subtotal": amount,
        "total": amount,
        "amount_due": amount,
        "amount_paid": amount if paid else 0,
        "amount_remaining": 0 if paid else amount,
        "attempt_count": 1 if paid else 0,
        "period_start": issued,
        "period_end": issued + timedelta(days=30),
        "issued_at": issued,
        "finalized_at": issued,
        "paid_at": issued if paid else None,
        "voided_at": issued if status is InvoiceStatus.VOID else None,
        "marked_uncollectible_at": issued if status is InvoiceStatus.UNCOLLECTIBLE else None,
        "hosted_invoice_url": f"https://invoice.stripe.com/i/in_made{number:06}",
        "payment_intent": _stripe_id("pi"),
        "lines": [line | {"proration": False} | span],
    }
    return _saved(Invoice(**defaults | values))


def make_failed_attempt(
    invoice: Invoice,
    code: str | None = "insufficient_funds",
    *,
    at: datetime | None = None,
    **values: Any,
) -> PaymentAttempt:
    """Return one more refused charge of an invoice, which is open from now on."""
    return _make_attempt(
        invoice,
        at or clock.now(),
        {"succeeded": False, "decline_code": code, "decline_kind": kind_of(code)} | values,
    )


def make_attempt(invoice: Invoice, *, at: datetime | None = None, **values: Any) -> PaymentAttempt:
    """Return the charge that paid an invoice."""
    return _make_attempt(invoice, at or clock.now(), {"succeeded": True} | values)


def _make_attempt(invoice: Invoice, at: datetime, values: dict[str, Any]) -> PaymentAttempt:
    invoice.attempt_count += 1
    defaults: dict[str, Any] = {
        "invoice_id": invoice.id,
        "charge_id": _stripe_id("ch"),
        "at": at,
        "amount": invoice.amount_due,
        "card_brand": "visa",
        "card_last4": "4242",
    }
    return _saved(PaymentAttempt(**defaults | values))


def make_unpaid_invoice(
    customer: BillingCustomer,
    subscription: Subscription | None = None,
    code: str | None = "insufficient_funds",
    *,
    at: datetime | None = None,
    **values: Any,
) -> Invoice:
    """Return an open invoice whose first charge was refused at ``at``."""
    issued = at or clock.now()
    values.setdefault("status", InvoiceStatus.OPEN)
    invoice = make_invoice(customer, subscription, issued_at=issued, **values)
    make_failed_attempt(invoice, code, at=issued)
    return invoice


def make_policy(policy: Policy | None = None, *, author: str = "nobody") -> DunningPolicy:
    """Return the policy in force; ``policy`` becomes it, else it stays or is the default one."""
    current = db.session.scalar(select(DunningPolicy).where(DunningPolicy.in_force))
    if current is not None and policy is None:
        return current
    if current is not None:
        current.in_force = False
        db.session.flush()
    return _saved(DunningPolicy(rules=(policy or Policy()).as_rules(), author=author))


def open_case(invoice: Invoice, *, at: datetime | None = None, **values: Any) -> DunningCase:
    """Return the case of an unpaid invoice, due to be looked at at once.

    With a ``state`` other than open it is closed now, unless ``closed_at`` says when.
    """
    opened = at or invoice.issued_at
    code = values.pop("decline_code", "insufficient_funds")
    closed = values.get("state", CaseState.OPEN) is not CaseState.OPEN
    defaults: dict[str, Any] = {
        "invoice_id": invoice.id,
        "subscription_id": invoice.subscription_id,
        "customer_id": invoice.customer_id,
        "policy_id": make_policy().id,
        "amount": invoice.amount_remaining or invoice.amount_due,
        "currency": invoice.currency,
        "decline_code": code,
        "decline_kind": kind_of(code),
        "opened_at": opened,
        "next_due_at": None if closed else opened,
        "closed_at": clock.now() if closed else None,
    }
    return _saved(DunningCase(**defaults | values))


def make_step(
    case: DunningCase, key: str, *, state: StepState = StepState.DONE, at: datetime | None = None
) -> DunningStep:
    """Return a step of a case that was taken on its day; ``key`` is like ``mail:3``."""
    action, _, day = key.partition(":")
    due_at = case.opened_at + timedelta(days=int(day))
    return _saved(
        DunningStep(
            case_id=case.id,
            key=key,
            action=StepAction(action),
            state=state,
            due_at=due_at,
            at=at or due_at,
        )
    )


def make_entitlement(user: User, subscription: Subscription, **values: Any) -> Entitlement:
    """Return what a member may use by a subscription to one of our plans."""
    plan = subscription.price.plan if subscription.price else None
    defaults: dict[str, Any] = {
        "user_id": user.id,
        "subscription_id": subscription.id,
        "plan_slug": plan.slug if plan else "",
        "features": list(plan.features) if plan else [],
        "limits": dict(plan.limits) if plan else {},
    }
    return _saved(Entitlement(**defaults | values))
