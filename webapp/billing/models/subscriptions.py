"""Who subscribes to what: the last that Stripe told of customers and subscriptions."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    Sequence,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.billing.models.plans import CancelOffer, Interval, PlanPrice
from webapp.core import clock
from webapp.core.db import Base, created, identity


class SubscriptionStatus(StrEnum):
    """Stripe's own. ``canceled`` and ``incomplete_expired`` are the end of it."""

    INCOMPLETE = "incomplete"
    INCOMPLETE_EXPIRED = "incomplete_expired"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    UNPAID = "unpaid"
    PAUSED = "paused"
    CANCELED = "canceled"


ENDED = frozenset({SubscriptionStatus.CANCELED, SubscriptionStatus.INCOMPLETE_EXPIRED})
# Drawn before something is fetched from Stripe: of two fetches the one begun later is truer.
SYNC_TICKETS = Sequence("sync_ticket", metadata=Base.metadata)
LIVE = "status NOT IN ('canceled', 'incomplete_expired')"


class BillingCustomer(Base):
    """A customer at Stripe. ``user_id`` is null once the person is erased.

    ``synced_ticket`` orders what was fetched: a fetch begun earlier never overwrites a later one.
    """

    __tablename__ = "billing_customer"
    __table_args__ = (
        UniqueConstraint("user_id"),
        UniqueConstraint("stripe_customer_id"),
        Index("ix_billing_customer_email", "email"),
        Index(
            "ix_billing_customer_card_expiry",
            "card_exp_year",
            "card_exp_month",
            postgresql_where=text("card_exp_year IS NOT NULL"),
        ),
    )

    id: Mapped[int] = identity()
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    stripe_customer_id: Mapped[str | None]
    email: Mapped[str] = mapped_column(default="")
    payment_method_id: Mapped[str | None]
    card_brand: Mapped[str | None]
    card_last4: Mapped[str | None]
    card_exp_month: Mapped[int | None] = mapped_column(SmallInteger)
    card_exp_year: Mapped[int | None] = mapped_column(SmallInteger)
    trial_used_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    synced_ticket: Mapped[int] = mapped_column(default=0)
    synced_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = created()

    @hybrid_property
    def is_erased(self) -> bool:
        """Whether the person is erased: what Stripe still tells of them must not come back."""
        return self.user_id is None and self.deleted_at is not None

    @is_erased.inplace.expression
    @classmethod
    def _is_erased(cls) -> ColumnElement[bool]:
        return cls.user_id.is_(None) & cls.deleted_at.is_not(None)


class Subscription(Base):
    """One subscription as Stripe last told of it. Times and amounts are Stripe's, in minor units.

    ``discounts`` holds what is taken off: ``[{"id", "percent_off", "amount_off", "end"}]``.
    ``annual_amount`` is what a year of it is worth now: 0 unless it counts for the MRR.
    ``duplicate``: a second one, bought in spite of all locks; it is cancelled and given back.
    """

    __tablename__ = "subscription"
    __table_args__ = (
        UniqueConstraint("stripe_id"),
        Index(
            "uq_subscription_live",
            "customer_id",
            unique=True,
            postgresql_where=text(f"{LIVE} AND NOT duplicate"),
        ),
        Index("ix_subscription_customer_id", "customer_id"),
        Index("ix_subscription_plan_price_id", "plan_price_id"),
        Index("ix_subscription_status", "status", "id"),
        Index(
            "ix_subscription_trial_end",
            "trial_end",
            postgresql_where=text("status = 'trialing'"),
        ),
        Index("ix_subscription_duplicate", "stripe_id", postgresql_where=text("duplicate")),
        CheckConstraint("quantity >= 0", name="quantity"),
    )

    id: Mapped[int] = identity()
    stripe_id: Mapped[str]
    customer_id: Mapped[int] = mapped_column(ForeignKey("billing_customer.id"))
    plan_price_id: Mapped[int | None] = mapped_column(ForeignKey("plan_price.id"))
    status: Mapped[SubscriptionStatus]
    stripe_price_id: Mapped[str]
    stripe_product_id: Mapped[str | None]
    item_id: Mapped[str]
    interval: Mapped[Interval]
    interval_count: Mapped[int] = mapped_column(SmallInteger, default=1)
    currency: Mapped[str]
    unit_amount: Mapped[int]
    quantity: Mapped[int] = mapped_column(default=1)
    discounts: Mapped[list[Any]] = mapped_column(default=list)
    annual_amount: Mapped[int] = mapped_column(default=0)
    started_at: Mapped[datetime]
    current_period_start: Mapped[datetime]
    current_period_end: Mapped[datetime]
    trial_start: Mapped[datetime | None]
    trial_end: Mapped[datetime | None]
    cancel_at_period_end: Mapped[bool] = mapped_column(default=False)
    cancel_at: Mapped[datetime | None]
    canceled_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    # Stripe's: cancellation_requested, payment_failed, payment_disputed.
    cancellation_reason: Mapped[str | None]
    # Stripe's pause_collection: keep_as_draft, mark_uncollectible or void; null while it collects.
    pause_behavior: Mapped[str | None]
    pause_resumes_at: Mapped[datetime | None]
    default_payment_method: Mapped[str | None]
    latest_invoice: Mapped[str | None]
    livemode: Mapped[bool] = mapped_column(default=False)
    duplicate: Mapped[bool] = mapped_column(default=False)
    synced_ticket: Mapped[int] = mapped_column(default=0)
    synced_at: Mapped[datetime] = mapped_column(default=clock.now)
    created_at: Mapped[datetime] = created()

    customer: Mapped[BillingCustomer] = relationship()
    price: Mapped[PlanPrice | None] = relationship()

    @hybrid_property
    def is_set_to_end(self) -> bool:
        """Whether it ends by itself: Stripe's own pages name a day and leave the boolean alone."""
        return self.cancel_at_period_end or self.cancel_at is not None

    @is_set_to_end.inplace.expression
    @classmethod
    def _is_set_to_end(cls) -> ColumnElement[bool]:
        return cls.cancel_at_period_end | cls.cancel_at.is_not(None)

    @property
    def ends_at(self) -> datetime | None:
        """When one that is set to end does."""
        return (self.cancel_at or self.current_period_end) if self.is_set_to_end else None


class SubscriptionPoint(Base):
    """What a signed event of Stripe's said a subscription was at its moment: the raw MRR history.

    Rows are only added, one for each event, so that neither lateness nor order of delivery can
    change what any past day looked like. ``idle``: it says what the one before it said (most
    renewals do), so that figures may pass it by; ``services.idling`` marks them.
    """

    __tablename__ = "subscription_point"
    __table_args__ = (
        UniqueConstraint("event_id"),
        Index("ix_subscription_point_subscription", "stripe_subscription_id", "at"),
        Index("ix_subscription_point_at", "at"),
        Index(
            "ix_subscription_point_telling",
            "stripe_subscription_id",
            "at",
            postgresql_where=text("NOT idle"),
        ),
    )

    id: Mapped[int] = identity()
    event_id: Mapped[str]
    event_type: Mapped[str]
    stripe_subscription_id: Mapped[str]
    stripe_customer_id: Mapped[str]
    at: Mapped[datetime]
    status: Mapped[SubscriptionStatus]
    stripe_price_id: Mapped[str]
    interval: Mapped[Interval]
    interval_count: Mapped[int] = mapped_column(SmallInteger)
    currency: Mapped[str]
    unit_amount: Mapped[int]
    quantity: Mapped[int]
    paused: Mapped[bool]
    discounts: Mapped[list[Any]]
    cancellation_reason: Mapped[str | None]
    trial_end: Mapped[datetime | None]
    previous: Mapped[dict[str, Any]]
    idle: Mapped[bool] = mapped_column(default=False)


class BillingDiscount(Base):
    """A discount by Stripe's id (``di_...``), which events name and don't explain."""

    __tablename__ = "billing_discount"

    id: Mapped[str] = mapped_column(primary_key=True)
    coupon_id: Mapped[str]
    percent_off: Mapped[float | None]
    amount_off: Mapped[int | None]
    duration: Mapped[str]
    start: Mapped[datetime]
    end: Mapped[datetime | None]


class CheckoutPurpose(StrEnum):
    """In Stripe's words, the mode of the session: a new subscription, or another card."""

    SUBSCRIPTION = "subscription"
    SETUP = "setup"


class CheckoutState(StrEnum):
    OPEN = "open"
    COMPLETE = "complete"
    EXPIRED = "expired"


class BillingCheckout(Base):
    """A page of Stripe's that a customer was sent to. Only one to subscribe is open at a time."""

    __tablename__ = "billing_checkout"
    __table_args__ = (
        UniqueConstraint("stripe_session_id"),
        UniqueConstraint("idempotency_key"),
        Index(
            "uq_billing_checkout_open",
            "customer_id",
            "purpose",
            unique=True,
            postgresql_where=text("state = 'open'"),
        ),
        Index("ix_billing_checkout_customer_id", "customer_id"),
        Index("ix_billing_checkout_plan_price_id", "plan_price_id"),
    )

    id: Mapped[int] = identity()
    customer_id: Mapped[int] = mapped_column(ForeignKey("billing_customer.id"))
    purpose: Mapped[CheckoutPurpose]
    plan_price_id: Mapped[int | None] = mapped_column(ForeignKey("plan_price.id"))
    quantity: Mapped[int] = mapped_column(default=1)
    idempotency_key: Mapped[str]
    stripe_session_id: Mapped[str | None]
    url: Mapped[str | None]
    state: Mapped[CheckoutState] = mapped_column(default=CheckoutState.OPEN)
    expires_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = created()


class CancelReason(StrEnum):
    """Stripe's ``cancellation_details.feedback``."""

    TOO_EXPENSIVE = "too_expensive"
    MISSING_FEATURES = "missing_features"
    SWITCHED_SERVICE = "switched_service"
    UNUSED = "unused"
    CUSTOMER_SERVICE = "customer_service"
    TOO_COMPLEX = "too_complex"
    LOW_QUALITY = "low_quality"
    OTHER = "other"


class CancelOutcome(StrEnum):
    """``stayed``: took the offer. ``resumed``: thought better of it before it took effect.

    ``refused``: Stripe did neither, and all is as it was.
    """

    STAYED = "stayed"
    CANCELLED = "cancelled"
    RESUMED = "resumed"
    REFUSED = "refused"


class Cancellation(Base):
    """Somebody wanted to leave: why, what they were offered, and what came of it."""

    __tablename__ = "billing_cancellation"
    __table_args__ = (Index("ix_billing_cancellation_subscription_id", "subscription_id", "id"),)

    id: Mapped[int] = identity()
    subscription_id: Mapped[int] = mapped_column(ForeignKey("subscription.id"))
    reason: Mapped[CancelReason]
    comment: Mapped[str] = mapped_column(default="")
    offer: Mapped[CancelOffer]
    outcome: Mapped[CancelOutcome]
    at: Mapped[datetime] = created()


class Entitlement(Base):
    """What a member may use right now: one row a member, written in the transaction of the change.

    ``walled_at``: a payment is owed for too long; what the plan opens is shut until it is paid.
    ``owing``: an invoice is owed, so every page says so.
    """

    __tablename__ = "entitlement"
    __table_args__ = (Index("ix_entitlement_subscription_id", "subscription_id"),)

    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("user.id", ondelete="CASCADE"), primary_key=True
    )
    subscription_id: Mapped[int | None] = mapped_column(ForeignKey("subscription.id"))
    plan_slug: Mapped[str]
    features: Mapped[list[Any]]
    limits: Mapped[dict[str, Any]]
    owing: Mapped[bool] = mapped_column(default=False)
    walled_at: Mapped[datetime | None]
    changed_at: Mapped[datetime] = mapped_column(default=clock.now)
