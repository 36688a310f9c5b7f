"""What a member's billing pages show: their subscription, card and what comes next."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from webapp.billing.models import (
    ENDED,
    BillingCustomer,
    BillingOperation,
    DunningCase,
    DunningStep,
    Interval,
    Invoice,
    InvoiceStatus,
    OperationKind,
    OperationState,
    Plan,
    PlanPrice,
    StepAction,
    StepState,
    Subscription,
    SubscriptionStatus,
)
from webapp.billing.pricing import Reduction, annual_amount
from webapp.billing.queries.payable import is_given_up, is_payable
from webapp.core.db import db

CHANGES = (
    OperationKind.CHANGE_PLAN,
    OperationKind.CANCEL,
    OperationKind.CANCEL_AT_PERIOD_END,
    OperationKind.RESUME,
    OperationKind.PAUSE,
    OperationKind.UNPAUSE,
    OperationKind.DISCOUNT,
    OperationKind.SET_DEFAULT_CARD,
)


@dataclass(frozen=True, slots=True)
class Charge:
    """What Stripe will take next, and when."""

    amount: int
    currency: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Home:
    """A member's billing. ``pending``: a change is noted and Stripe hasn't confirmed it yet.

    ``unpaid_by_card``: what is unpaid is charged to a card as soon as one is left. ``credit`` is
    used up before the card is charged, in minor units of the subscription's currency.
    """

    customer: BillingCustomer | None
    subscription: Subscription | None
    plan_name: str
    next_charge: Charge | None
    unpaid: Invoice | None
    ended: Subscription | None
    pending: bool
    unpaid_by_card: bool = False
    ended_unpaid: bool = False
    credit: int = 0

    @property
    def is_set_to_end(self) -> bool:
        subscription = self.subscription
        return subscription is not None and subscription.is_set_to_end

    @property
    def is_paused(self) -> bool:
        subscription = self.subscription
        return subscription is not None and subscription.pause_behavior is not None

    @property
    def reduced_until(self) -> datetime | None:
        """When a discount of theirs is over; None for one that isn't, or for none."""
        ends = [each["end"] for each in self.subscription.discounts] if self.subscription else []
        return datetime.fromisoformat(min(ends)) if ends and all(ends) else None

    @property
    def ends_at(self) -> datetime | None:
        """When a subscription that is set to end does."""
        return self.subscription.ends_at if self.subscription else None


def find_customer(user_id: uuid.UUID) -> BillingCustomer | None:
    return db.session.scalar(select(BillingCustomer).where(BillingCustomer.user_id == user_id))


def find_live_subscription(customer_id: int) -> Subscription | None:
    """Return the one subscription that isn't over; the index allows no second."""
    return db.session.scalar(
        select(Subscription).where(
            Subscription.customer_id == customer_id,
            Subscription.status.not_in(ENDED),
            ~Subscription.duplicate,
        )
    )


def has_had_trial(customer: BillingCustomer) -> bool:
    """Whether somebody has had their trial: leaving is no way to another."""
    if customer.trial_used_at is not None:
        return True
    trials = select(Subscription.id).where(
        Subscription.customer_id == customer.id, Subscription.trial_start.is_not(None)
    )
    return db.session.scalar(trials.limit(1)) is not None


def read_home(user_id: uuid.UUID) -> Home:
    """Return all that the billing home shows of a member."""
    customer = find_customer(user_id)
    if customer is None:
        return Home(None, None, "", None, None, None, pending=False)
    newest = db.session.scalars(
        select(Subscription)
        .where(Subscription.customer_id == customer.id, ~Subscription.duplicate)
        .options(joinedload(Subscription.price).joinedload(PlanPrice.plan))
        .order_by(Subscription.status.in_(ENDED), Subscription.id.desc())
        .limit(1)
    ).first()
    live = newest if newest is not None and newest.status not in ENDED else None
    unpaid, by_card = find_unpaid(customer.id)
    return Home(
        customer=customer,
        subscription=live,
        plan_name=plan_name_of(newest) if newest else "",
        next_charge=next_charge_of(live) if live else None,
        unpaid=unpaid,
        unpaid_by_card=by_card,
        ended=newest if live is None else None,
        pending=_is_pending(customer.id),
        ended_unpaid=newest is not None and live is None and ended_unpaid(newest),
        credit=_credit(live) if live else 0,
    )


def ended_unpaid(subscription: Subscription) -> bool:
    """Whether one ended for a payment that never came: Stripe calls our own end of it a request."""
    if subscription.cancellation_reason == "payment_failed":
        return True
    last_step = (
        select(DunningStep.id)
        .join(DunningCase, DunningCase.id == DunningStep.case_id)
        .where(
            DunningCase.subscription_id == subscription.id,
            DunningStep.action == StepAction.END,
            DunningStep.state == StepState.DONE,
        )
    )
    return db.session.scalar(last_step.limit(1)) is not None


def find_plan_name(user_id: uuid.UUID) -> str | None:
    """Return the name of the plan a member has now, for pages that only mention it."""
    return db.session.scalar(
        select(Plan.name)
        .join(PlanPrice, PlanPrice.plan_id == Plan.id)
        .join(Subscription, Subscription.plan_price_id == PlanPrice.id)
        .join(BillingCustomer, BillingCustomer.id == Subscription.customer_id)
        .where(
            BillingCustomer.user_id == user_id,
            Subscription.status.not_in(ENDED),
            ~Subscription.duplicate,
        )
    )


def plan_name_of(subscription: Subscription) -> str:
    """Return what the plan is called; a price that only Stripe knows has no name of ours."""
    return subscription.price.plan.name if subscription.price else "Your subscription"


def amount_of(subscription: Subscription, at: datetime) -> int:
    """Return what a period costs at the terms of ``at``, in minor units."""
    reductions = [
        Reduction(
            percent_off=each.get("percent_off"),
            amount_off=each.get("amount_off"),
            # One for a single invoice is still there, so that invoice is to come.
            duration="forever",
            end=datetime.fromisoformat(each["end"]) if each.get("end") else None,
        )
        for each in subscription.discounts
    ]
    # The period as it stands is a year's worth of a price that is charged once a year.
    terms = subscription.unit_amount, subscription.quantity, Interval.YEAR, 1
    return annual_amount(*terms, reductions, at)


def next_charge_of(subscription: Subscription) -> Charge | None:
    """Return the next charge; None where nothing will be taken any more, or only after a pause."""
    charging = (
        SubscriptionStatus.TRIALING,
        SubscriptionStatus.ACTIVE,
        SubscriptionStatus.PAST_DUE,
    )
    held = subscription.is_set_to_end or subscription.pause_behavior is not None
    if subscription.status not in charging or held:
        return None
    at = subscription.current_period_end
    return Charge(amount_of(subscription, at), subscription.currency, at)


def period_is_paid(subscription: Subscription) -> bool:
    """Whether the running period was paid for, and not slept through in a pause."""
    if subscription.status is SubscriptionStatus.TRIALING:
        return True
    newest = select(Invoice.status).where(Invoice.stripe_id == subscription.latest_invoice)
    return db.session.scalar(newest) is InvoiceStatus.PAID


def find_unpaid(customer_id: int) -> tuple[Invoice | None, bool]:
    """Return the oldest invoice that is owed, and whether a new card is charged for it at once."""
    by_card = is_payable()
    found = db.session.execute(
        select(Invoice, by_card)
        .where(
            Invoice.customer_id == customer_id,
            Invoice.status == InvoiceStatus.OPEN,
            Invoice.amount_remaining > 0,
            ~is_given_up(),
        )
        .order_by(by_card.desc(), Invoice.issued_at)
        .limit(1)
    ).first()
    return (found[0], found[1]) if found else (None, False)


def _credit(subscription: Subscription) -> int:
    """Return what changes of plan have left over: invoices gave it, or asked for that much less."""
    left = select(func.sum(Invoice.amount_due - Invoice.total)).where(
        Invoice.customer_id == subscription.customer_id,
        Invoice.currency == subscription.currency,
        Invoice.status.not_in((InvoiceStatus.DRAFT, InvoiceStatus.VOID)),
    )
    return max(0, int(db.session.scalar(left) or 0))


def _is_pending(customer_id: int) -> bool:
    asked = select(BillingOperation.id).where(
        BillingOperation.customer_id == customer_id,
        BillingOperation.state == OperationState.REQUESTED,
        BillingOperation.kind.in_(CHANGES),
    )
    return db.session.scalar(asked.limit(1)) is not None
