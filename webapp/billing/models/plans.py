"""What can be subscribed to: plans, their prices through time, and the fork's habits."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.core.db import Base, created, identity


class PlanState(StrEnum):
    """``retired``: no longer sold; who has it keeps it."""

    DRAFT = "draft"
    PUBLISHED = "published"
    RETIRED = "retired"


class Interval(StrEnum):
    """How often a price is charged, in Stripe's words.

    Plans are sold by the month and the year; the others are of prices made in Stripe's dashboard.
    """

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class Plan(Base):
    """A product one subscribes to. The dearer of two plans has the higher ``position``.

    ``features`` maps a key that code asks for to the words a customer reads; ``limits`` maps a key
    to a whole number, null for no limit. ``drift`` is what differs at Stripe: field to [ours,
    theirs].
    """

    __tablename__ = "plan"
    __table_args__ = (
        UniqueConstraint("slug"),
        UniqueConstraint("stripe_product_id"),
        Index("ix_plan_position", "position"),
        CheckConstraint("trial_days BETWEEN 0 AND 730", name="trial_days"),
    )

    id: Mapped[int] = identity()
    slug: Mapped[str]
    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    features: Mapped[dict[str, Any]] = mapped_column(default=dict)
    limits: Mapped[dict[str, Any]] = mapped_column(default=dict)
    position: Mapped[int] = mapped_column(default=0)
    trial_days: Mapped[int] = mapped_column(SmallInteger, default=0)
    state: Mapped[PlanState] = mapped_column(default=PlanState.DRAFT)
    stripe_product_id: Mapped[str | None]
    synced_at: Mapped[datetime | None]
    sync_error: Mapped[str | None]
    drift: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = created()

    prices: Mapped[list["PlanPrice"]] = relationship(
        back_populates="plan", order_by="PlanPrice.id", passive_deletes=True
    )


class PlanPrice(Base):
    """An amount per interval, never changed: a new price is a new row and the old one is retired.

    Whoever subscribed at a retired price goes on paying it (grandfathered).
    """

    __tablename__ = "plan_price"
    __table_args__ = (
        UniqueConstraint("stripe_price_id"),
        Index(
            "uq_plan_price_in_force",
            "plan_id",
            "interval",
            "currency",
            unique=True,
            postgresql_where=text("retired_at IS NULL"),
        ),
        Index("ix_plan_price_plan_id", "plan_id"),
        CheckConstraint("unit_amount >= 0", name="unit_amount"),
    )

    id: Mapped[int] = identity()
    plan_id: Mapped[int] = mapped_column(ForeignKey("plan.id"))
    interval: Mapped[Interval]
    currency: Mapped[str]
    unit_amount: Mapped[int]
    stripe_price_id: Mapped[str | None]
    created_at: Mapped[datetime] = created()
    retired_at: Mapped[datetime | None]

    plan: Mapped[Plan] = relationship(back_populates="prices")


class CancelOffer(StrEnum):
    """What somebody who wants to leave is offered first."""

    NONE = "none"
    PAUSE = "pause"
    DISCOUNT = "discount"


class BillingSettings(Base):
    """How this fork bills; the table has at most one row, none means the defaults."""

    __tablename__ = "billing_settings"
    __table_args__ = (
        CheckConstraint("id = 1", name="single_row"),
        CheckConstraint("offer_percent BETWEEN 1 AND 100", name="offer_percent"),
        CheckConstraint("offer_months BETWEEN 1 AND 24", name="offer_months"),
        CheckConstraint("pause_months BETWEEN 1 AND 12", name="pause_months"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    offer: Mapped[CancelOffer] = mapped_column(default=CancelOffer.PAUSE)
    offer_percent: Mapped[int] = mapped_column(SmallInteger, default=30)
    offer_months: Mapped[int] = mapped_column(SmallInteger, default=3)
    pause_months: Mapped[int] = mapped_column(SmallInteger, default=1)
    # Whether leaving takes effect when the paid time is over, or at once.
    cancel_at_period_end: Mapped[bool] = mapped_column(default=True)
    # Where a member's own time zone is unknown, the hours of mails are of this one.
    time_zone: Mapped[str] = mapped_column(default="UTC")
