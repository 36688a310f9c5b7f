"""What is owed and what was paid, attempt by attempt."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, SmallInteger, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.billing.models.subscriptions import BillingCustomer, Subscription
from webapp.core import clock
from webapp.core.db import Base, created, identity


class InvoiceStatus(StrEnum):
    """Stripe's own. ``paid`` and ``void`` are final; ``uncollectible`` can still be paid."""

    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"
    UNCOLLECTIBLE = "uncollectible"
    VOID = "void"


class DeclineKind(StrEnum):
    """What a refusal asks for: time, another card, the consent of the bank; or it is hopeless."""

    TRY_AGAIN = "try_again"
    NEEDS_CUSTOMER = "needs_customer"
    AUTHENTICATION = "authentication"
    NEVER = "never"


class Invoice(Base):
    """One invoice as Stripe last told of it. Amounts in minor units; ``lines`` are its words.

    ``lines``: ``[{"description", "quantity", "amount", "proration", "start", "end"}]``.
    """

    __tablename__ = "invoice"
    __table_args__ = (
        UniqueConstraint("stripe_id"),
        Index("ix_invoice_customer_id", "customer_id", "issued_at"),
        Index("ix_invoice_subscription_id", "subscription_id"),
        Index("ix_invoice_issued_at", "issued_at"),
        Index("ix_invoice_status", "status", "issued_at"),
        Index("ix_invoice_number", "number"),
        Index("ix_invoice_open", "id", postgresql_where=text("status = 'open'")),
    )

    id: Mapped[int] = identity()
    stripe_id: Mapped[str]
    customer_id: Mapped[int] = mapped_column(ForeignKey("billing_customer.id"))
    subscription_id: Mapped[int | None] = mapped_column(ForeignKey("subscription.id"))
    status: Mapped[InvoiceStatus]
    number: Mapped[str | None]
    billing_reason: Mapped[str]
    currency: Mapped[str]
    subtotal: Mapped[int]
    total: Mapped[int]
    amount_due: Mapped[int]
    amount_paid: Mapped[int]
    amount_remaining: Mapped[int]
    attempt_count: Mapped[int] = mapped_column(SmallInteger)
    next_payment_attempt: Mapped[datetime | None]
    period_start: Mapped[datetime]
    period_end: Mapped[datetime]
    issued_at: Mapped[datetime]
    finalized_at: Mapped[datetime | None]
    paid_at: Mapped[datetime | None]
    voided_at: Mapped[datetime | None]
    marked_uncollectible_at: Mapped[datetime | None]
    hosted_invoice_url: Mapped[str | None]
    invoice_pdf: Mapped[str | None]
    payment_intent: Mapped[str | None]
    # A bank was asked and has not answered yet: a direct debit takes up to two weeks.
    processing: Mapped[bool] = mapped_column(default=False)
    lines: Mapped[list[Any]] = mapped_column(default=list)
    livemode: Mapped[bool] = mapped_column(default=False)
    synced_ticket: Mapped[int] = mapped_column(default=0)
    synced_at: Mapped[datetime] = mapped_column(default=clock.now)
    created_at: Mapped[datetime] = created()

    customer: Mapped[BillingCustomer] = relationship()
    subscription: Mapped[Subscription | None] = relationship()


class PaymentAttempt(Base):
    """One try to take an invoice's money: a charge of Stripe's, so exactly one row each."""

    __tablename__ = "payment_attempt"
    __table_args__ = (
        UniqueConstraint("charge_id"),
        Index("ix_payment_attempt_invoice_id", "invoice_id", "at"),
        Index("ix_payment_attempt_decline_code", "decline_code", "at"),
    )

    id: Mapped[int] = identity()
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"))
    charge_id: Mapped[str]
    at: Mapped[datetime]
    amount: Mapped[int]
    succeeded: Mapped[bool]
    decline_code: Mapped[str | None]
    decline_kind: Mapped[DeclineKind | None]
    payment_method_id: Mapped[str | None]
    card_brand: Mapped[str | None]
    card_last4: Mapped[str | None]


class OperationKind(StrEnum):
    """What we ask Stripe to change, each by one request."""

    CHANGE_PLAN = "change_plan"
    CANCEL = "cancel"
    CANCEL_AT_PERIOD_END = "cancel_at_period_end"
    RESUME = "resume"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    DISCOUNT = "discount"
    SET_DEFAULT_CARD = "set_default_card"
    PAY_INVOICE = "pay_invoice"
    VOID_INVOICE = "void_invoice"
    WRITE_OFF = "write_off"
    REFUND = "refund"


class OperationState(StrEnum):
    """``requested``: written down and not known to have happened; asking again is harmless."""

    REQUESTED = "requested"
    DONE = "done"
    REFUSED = "refused"


class BillingOperation(Base):
    """A change we want of Stripe, stored with its idempotency key before Stripe hears of it.

    Whoever dies in between leaves a row that a job asks for again under the same key.
    ``target`` is the id at Stripe of what it changes.
    """

    __tablename__ = "billing_operation"
    __table_args__ = (
        UniqueConstraint("idempotency_key"),
        Index("ix_billing_operation_customer_id", "customer_id", "id"),
        Index("ix_billing_operation_target", "target", "id"),
        Index(
            "ix_billing_operation_requested", "due_at", postgresql_where=text("state = 'requested'")
        ),
    )

    id: Mapped[int] = identity()
    customer_id: Mapped[int] = mapped_column(ForeignKey("billing_customer.id"))
    kind: Mapped[OperationKind]
    target: Mapped[str]
    params: Mapped[dict[str, Any]] = mapped_column(default=dict)
    idempotency_key: Mapped[str]
    state: Mapped[OperationState] = mapped_column(default=OperationState.REQUESTED)
    attempts: Mapped[int] = mapped_column(SmallInteger, default=0)
    due_at: Mapped[datetime] = mapped_column(default=clock.now)
    error: Mapped[str | None]
    actor: Mapped[str]
    finished_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = created()


class StripeList(StrEnum):
    """What Stripe lists and we read from where we stopped."""

    EVENTS = "events"
    INVOICES = "invoices"


class ListReading(Base):
    """Up to when one of Stripe's own lists was read to its end."""

    __tablename__ = "list_reading"

    list: Mapped[StripeList] = mapped_column(primary_key=True)
    read_until: Mapped[datetime]


class BillingDifference(Base):
    """Where our row and Stripe's object differed when they were compared."""

    __tablename__ = "billing_difference"
    __table_args__ = (
        Index(
            "uq_billing_difference_open",
            "kind",
            "stripe_id",
            "field",
            unique=True,
            postgresql_where=text("repaired_at IS NULL"),
        ),
        Index("ix_billing_difference_found_at", "found_at"),
    )

    id: Mapped[int] = identity()
    kind: Mapped[str]
    stripe_id: Mapped[str]
    field: Mapped[str]
    ours: Mapped[str | None]
    theirs: Mapped[str | None]
    found_at: Mapped[datetime] = created()
    repaired_at: Mapped[datetime | None]
    repaired_by: Mapped[str | None]
