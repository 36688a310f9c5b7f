"""What was promised for one payment page of Stripe's: the quote and the stock."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.core.db import Base, created, identity


class CheckoutState(StrEnum):
    """``opening``: Stripe is being asked; ``processing``: paid by a slow method, not yet final."""

    OPENING = "opening"
    OPEN = "open"
    PROCESSING = "processing"
    COMPLETE = "complete"
    EXPIRED = "expired"
    FAILED = "failed"


class Checkout(Base):
    """One Stripe Checkout Session and what we promised for it: the quote and the stock."""

    __tablename__ = "checkout"
    __table_args__ = (
        UniqueConstraint("stripe_session_id"),
        UniqueConstraint("idempotency_key"),
        Index(
            "uq_checkout_live_cart",
            "cart_id",
            unique=True,
            postgresql_where=text("state IN ('opening', 'open', 'processing')"),
        ),
        Index(
            "ix_checkout_release",
            "release_at",
            postgresql_where=text("state IN ('opening', 'open', 'processing')"),
        ),
    )

    id: Mapped[int] = identity()
    cart_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("cart.id"))
    idempotency_key: Mapped[str]
    stripe_session_id: Mapped[str | None]
    url: Mapped[str | None]
    state: Mapped[CheckoutState] = mapped_column(default=CheckoutState.OPENING)
    quote: Mapped[dict[str, Any]]
    currency: Mapped[str]
    total_amount: Mapped[int]
    request_id: Mapped[str | None]
    # The code of the campaign's mail whose link brought this browser here.
    email_code: Mapped[str | None]
    expires_at: Mapped[datetime]
    release_at: Mapped[datetime]
    created_at: Mapped[datetime] = created()
    ended_at: Mapped[datetime | None]

    reservations: Mapped[list["StockReservation"]] = relationship(
        order_by="StockReservation.sku_id"
    )


class ReservationState(StrEnum):
    HELD = "held"
    TAKEN = "taken"
    RELEASED = "released"


class StockReservation(Base):
    """Pieces promised to one checkout; ``held`` rows of a sku sum to its ``reserved``."""

    __tablename__ = "stock_reservation"
    __table_args__ = (
        UniqueConstraint("checkout_id", "sku_id"),
        CheckConstraint("quantity > 0", name="quantity"),
        Index("ix_stock_reservation_held", "sku_id", postgresql_where=text("state = 'held'")),
    )

    id: Mapped[int] = identity()
    checkout_id: Mapped[int] = mapped_column(ForeignKey("checkout.id"))
    sku_id: Mapped[int] = mapped_column(ForeignKey("sku.id"))
    quantity: Mapped[int]
    state: Mapped[ReservationState] = mapped_column(default=ReservationState.HELD)
