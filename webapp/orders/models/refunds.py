"""Money on its way back."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core.db import Base, created, identity


class RefundState(StrEnum):
    """``requested``: to be asked of Stripe by a job under the stored idempotency key."""

    REQUESTED = "requested"
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class OrderRefund(Base):
    """Money on its way back. Rows without our key were made in Stripe's own dashboard."""

    __tablename__ = "order_refund"
    __table_args__ = (
        UniqueConstraint("stripe_refund_id"),
        UniqueConstraint("idempotency_key"),
        Index("ix_order_refund_order_id", "order_id"),
        CheckConstraint("amount > 0", name="amount"),
    )

    id: Mapped[int] = identity()
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))
    stripe_refund_id: Mapped[str | None]
    idempotency_key: Mapped[str]
    amount: Mapped[int]
    reason: Mapped[str] = mapped_column(default="")
    state: Mapped[RefundState] = mapped_column(default=RefundState.REQUESTED)
    error: Mapped[str | None]
    actor: Mapped[str]
    created_at: Mapped[datetime] = created()
