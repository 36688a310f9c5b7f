"""Chasing failed payments: the policy, one case per unpaid invoice, and every step taken."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.billing.models.invoices import DeclineKind, Invoice
from webapp.billing.models.subscriptions import BillingCustomer, Subscription
from webapp.core.db import Base, created, identity


class DunningPolicy(Base):
    """How this fork chases, version by version; ``rules`` is what ``webapp.billing.policy`` reads.

    A case keeps the version it was opened under, so a new policy changes no case under way.
    """

    __tablename__ = "dunning_policy"
    __table_args__ = (
        Index(
            "uq_dunning_policy_in_force",
            text("(true)"),
            unique=True,
            postgresql_where=text("in_force"),
        ),
    )

    id: Mapped[int] = identity()
    rules: Mapped[dict[str, Any]]
    in_force: Mapped[bool] = mapped_column(default=True)
    note: Mapped[str] = mapped_column(default="")
    author: Mapped[str]
    created_at: Mapped[datetime] = created()


class CaseState(StrEnum):
    """``lost``: ended for want of payment. ``voluntary``: the customer left meanwhile."""

    OPEN = "open"
    RECOVERED = "recovered"
    LOST = "lost"
    VOLUNTARY = "voluntary"
    WRITTEN_OFF = "written_off"


class Channel(StrEnum):
    """What brought the money: the last thing the customer came by, or nobody but Stripe's retry."""

    MAIL = "mail"
    BANNER = "banner"
    WALL = "wall"
    PORTAL = "portal"
    RETRY = "retry"
    STAFF = "staff"
    OTHER = "other"


class DunningCase(Base):
    """One unpaid invoice being chased. ``opened_at`` is when its first charge failed at Stripe.

    ``next_due_at`` is when the clock must look again: the next step's moment, moved into hours in
    which mails may go; null for cases that are closed, paused without an end, or excluded.
    """

    __tablename__ = "dunning_case"
    __table_args__ = (
        UniqueConstraint("invoice_id"),
        Index("ix_dunning_case_due", "next_due_at", postgresql_where=text("state = 'open'")),
        Index("ix_dunning_case_state", "state", "opened_at"),
        # Both halves of "still open at that moment": never closed, or later.
        Index("ix_dunning_case_closed_at", "closed_at"),
        Index("ix_dunning_case_customer_id", "customer_id"),
        Index("ix_dunning_case_subscription_id", "subscription_id"),
        Index("ix_dunning_case_policy_id", "policy_id"),
        CheckConstraint("(state = 'open') = (closed_at IS NULL)", name="closed"),
    )

    id: Mapped[int] = identity()
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"))
    subscription_id: Mapped[int | None] = mapped_column(ForeignKey("subscription.id"))
    customer_id: Mapped[int] = mapped_column(ForeignKey("billing_customer.id"))
    policy_id: Mapped[int] = mapped_column(ForeignKey("dunning_policy.id"))
    state: Mapped[CaseState] = mapped_column(default=CaseState.OPEN)
    amount: Mapped[int]
    currency: Mapped[str]
    decline_code: Mapped[str | None]
    decline_kind: Mapped[DeclineKind]
    opened_at: Mapped[datetime]
    next_due_at: Mapped[datetime | None]
    walled_at: Mapped[datetime | None]
    paused_at: Mapped[datetime | None]
    paused_until: Mapped[datetime | None]
    excluded_reason: Mapped[str | None]
    excluded_at: Mapped[datetime | None]
    # When it was excluded and taken up again: ``[{"since", "until"}]``, for figures of past days.
    left_alone: Mapped[list[Any]] = mapped_column(default=list)
    # For how long it was paused or excluded so far: its days count without that time.
    held_seconds: Mapped[int] = mapped_column(default=0)
    closed_at: Mapped[datetime | None]
    cause: Mapped[str | None]
    channel: Mapped[Channel | None]
    step_key: Mapped[str | None]
    created_at: Mapped[datetime] = created()

    invoice: Mapped[Invoice] = relationship()
    subscription: Mapped[Subscription | None] = relationship()
    customer: Mapped[BillingCustomer] = relationship()
    policy: Mapped[DunningPolicy] = relationship()


class StepAction(StrEnum):
    MAIL = "mail"
    WALL = "wall"
    END = "end"


class StepState(StrEnum):
    """``missed``: a later one was due too when the clock looked. ``withdrawn``: never sent."""

    DONE = "done"
    MISSED = "missed"
    WITHDRAWN = "withdrawn"
    SUPPRESSED = "suppressed"


class DunningStep(Base):
    """What was done, or missed, in a case. ``key`` is the step's name in the policy ("mail:3")."""

    __tablename__ = "dunning_step"
    __table_args__ = (
        UniqueConstraint("case_id", "key"),
        Index("ix_dunning_step_end", "at", postgresql_where=text("action = 'end'")),
    )

    id: Mapped[int] = identity()
    case_id: Mapped[int] = mapped_column(ForeignKey("dunning_case.id"))
    key: Mapped[str]
    action: Mapped[StepAction]
    state: Mapped[StepState]
    due_at: Mapped[datetime]
    at: Mapped[datetime] = created()
    cause: Mapped[str] = mapped_column(default="")


class CardLink(Base):
    """A signed way to one's card without logging in. It ends with its use or its time.

    Looking at it changes nothing, so that mail scanners can't use it up.
    """

    __tablename__ = "card_link"
    __table_args__ = (
        UniqueConstraint("token_hash"),
        Index("ix_card_link_customer_id", "customer_id"),
        Index("ix_card_link_case_id", "case_id"),
        Index("ix_card_link_expires_at", "expires_at"),
    )

    id: Mapped[int] = identity()
    customer_id: Mapped[int] = mapped_column(ForeignKey("billing_customer.id"))
    case_id: Mapped[int | None] = mapped_column(ForeignKey("dunning_case.id"))
    token_hash: Mapped[str]
    channel: Mapped[Channel]
    step_key: Mapped[str | None]
    opened_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime] = created()
