"""What a visitor means to buy, and the codes that make it cheaper."""

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.core import clock
from webapp.core.db import Base, created, identity


class CartState(StrEnum):
    OPEN = "open"
    ORDERED = "ordered"


class Cart(Base):
    """What a visitor means to buy. The id is the secret in the visitor's signed cookie."""

    __tablename__ = "cart"
    __table_args__ = (
        Index("ix_cart_expires_at", "expires_at"),
        Index("ix_cart_user_id", "user_id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"))
    currency: Mapped[str]
    email: Mapped[str | None]
    country: Mapped[str | None]
    shipping_code: Mapped[str | None]
    state: Mapped[CartState] = mapped_column(default=CartState.OPEN)
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime] = created()
    updated_at: Mapped[datetime] = mapped_column(default=clock.now, onupdate=clock.now)

    lines: Mapped[list["CartSku"]] = relationship(
        order_by="CartSku.id", cascade="all, delete-orphan"
    )
    discounts: Mapped[list["CartDiscount"]] = relationship(
        order_by="CartDiscount.id", cascade="all, delete-orphan"
    )


class CartSku(Base):
    """``seen_unit_amount`` is the price the visitor was last shown, so a change can be told."""

    __tablename__ = "cart_sku"
    __table_args__ = (
        UniqueConstraint("cart_id", "sku_id"),
        Index("ix_cart_sku_sku_id", "sku_id"),
        CheckConstraint("quantity BETWEEN 1 AND 99", name="quantity"),
    )

    id: Mapped[int] = identity()
    cart_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("cart.id", ondelete="CASCADE"))
    sku_id: Mapped[int] = mapped_column(ForeignKey("sku.id", ondelete="CASCADE"))
    quantity: Mapped[int]
    seen_unit_amount: Mapped[int]


class CartDiscount(Base):
    __tablename__ = "cart_discount"
    __table_args__ = (
        UniqueConstraint("cart_id", "discount_code_id"),
        Index("ix_cart_discount_discount_code_id", "discount_code_id"),
    )

    id: Mapped[int] = identity()
    cart_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("cart.id", ondelete="CASCADE"))
    discount_code_id: Mapped[int] = mapped_column(
        ForeignKey("discount_code.id", ondelete="CASCADE")
    )


class DiscountKind(StrEnum):
    PERCENT = "percent"
    AMOUNT = "amount"
    FREE_SHIPPING = "free_shipping"


class DiscountCode(Base):
    """``value`` is basis points for ``percent`` (1000 = 10 %), minor units for ``amount``."""

    __tablename__ = "discount_code"
    __table_args__ = (
        UniqueConstraint("code"),
        CheckConstraint("code = upper(code)", name="code_upper"),
        CheckConstraint("value >= 0 AND (kind <> 'percent' OR value <= 10000)", name="value"),
        CheckConstraint("total_limit IS NULL OR used <= total_limit", name="used"),
    )

    id: Mapped[int] = identity()
    code: Mapped[str]
    kind: Mapped[DiscountKind]
    value: Mapped[int] = mapped_column(default=0)
    minimum_amount: Mapped[int] = mapped_column(default=0)
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    total_limit: Mapped[int | None]
    customer_limit: Mapped[int | None]
    stackable: Mapped[bool] = mapped_column(default=False)
    active: Mapped[bool] = mapped_column(default=True)
    used: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = created()
