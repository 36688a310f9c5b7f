"""A paid sale with its snapshots: who bought what for how much, and what became of it."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.core import clock
from webapp.core.db import Base, identity
from webapp.orders.models.carts import DiscountKind

if TYPE_CHECKING:
    from webapp.orders.models.handovers import OrderDownload, Shipment
    from webapp.orders.models.refunds import OrderRefund


class OrderCounter(Base):
    """The last order number given; locked by the transaction that takes the next, so no gaps."""

    __tablename__ = "order_counter"
    __table_args__ = (CheckConstraint("id = 1", name="single_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    last_number: Mapped[int] = mapped_column(default=1000)


class OrderState(StrEnum):
    ACCEPTED = "accepted"
    IN_FULFILMENT = "in_fulfilment"
    PARTIALLY_SHIPPED = "partially_shipped"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    NEEDS_ACTION = "needs_action"


class NeedsAction(StrEnum):
    """Why money arrived that can't simply be turned into a parcel."""

    OUT_OF_STOCK = "out_of_stock"
    AMOUNT_MISMATCH = "amount_mismatch"
    UNKNOWN_CHECKOUT = "unknown_checkout"
    PAID_TWICE = "paid_twice"


class Order(Base):
    """A paid sale. Names, prices and tax are snapshots. ``status`` repeats the newest OrderStatus.

    ``request_id`` is the checkout request it began with.
    """

    __tablename__ = "order"
    __table_args__ = (
        UniqueConstraint("number"),
        UniqueConstraint("checkout_id"),
        UniqueConstraint("cart_id"),
        CheckConstraint(
            "total_amount = items_amount - discount_amount + shipping_amount"
            " + CASE WHEN tax_included THEN 0 ELSE tax_amount END",
            name="total",
        ),
        Index("ix_order_placed_at", "placed_at"),
        Index("ix_order_email", "email"),
        Index("ix_order_status", "status", "id"),
        Index("ix_order_prospect_id", "prospect_id"),
        Index("ix_order_member_id", "member_id"),
    )

    id: Mapped[int] = identity()
    number: Mapped[int]
    checkout_id: Mapped[int | None] = mapped_column(ForeignKey("checkout.id"))
    cart_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("cart.id"))
    member_id: Mapped[int | None] = mapped_column(ForeignKey("member.id"))
    prospect_id: Mapped[int | None] = mapped_column(ForeignKey("prospect.id"))
    email: Mapped[str]
    phone: Mapped[str] = mapped_column(default="")
    currency: Mapped[str]
    items_amount: Mapped[int]
    discount_amount: Mapped[int] = mapped_column(default=0)
    shipping_amount: Mapped[int] = mapped_column(default=0)
    tax_amount: Mapped[int] = mapped_column(default=0)
    tax_included: Mapped[bool] = mapped_column(default=False)
    tax_name: Mapped[str] = mapped_column(default="")
    total_amount: Mapped[int]
    status: Mapped[OrderState] = mapped_column(default=OrderState.ACCEPTED)
    needs_action: Mapped[NeedsAction | None]
    request_id: Mapped[str | None]
    placed_at: Mapped[datetime] = mapped_column(default=clock.now)

    payment: Mapped["OrderPayment"] = relationship()
    shipping_address: Mapped["OrderShippingAddress | None"] = relationship()
    billing_address: Mapped["OrderBillingAddress | None"] = relationship()
    lines: Mapped[list["OrderSku"]] = relationship(order_by="OrderSku.position")
    discounts: Mapped[list["OrderDiscount"]] = relationship(order_by="OrderDiscount.id")
    shipping_method: Mapped["OrderShippingMethod | None"] = relationship()
    history: Mapped[list["OrderStatus"]] = relationship(order_by="OrderStatus.id")
    shipments: Mapped[list["Shipment"]] = relationship(order_by="Shipment.id")
    refunds: Mapped[list["OrderRefund"]] = relationship(order_by="OrderRefund.id")
    downloads: Mapped[list["OrderDownload"]] = relationship(order_by="OrderDownload.id")


class OrderPayment(Base):
    """What Stripe took for the order; one payment makes one order, and one order only."""

    __tablename__ = "order_payment"
    __table_args__ = (
        UniqueConstraint("order_id"),
        UniqueConstraint("stripe_session_id"),
        UniqueConstraint("stripe_payment_intent_id"),
        CheckConstraint("amount_refunded BETWEEN 0 AND amount", name="amount_refunded"),
    )

    id: Mapped[int] = identity()
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))
    stripe_session_id: Mapped[str]
    stripe_payment_intent_id: Mapped[str | None]
    amount: Mapped[int]
    amount_refunded: Mapped[int] = mapped_column(default=0)
    currency: Mapped[str]
    paid_at: Mapped[datetime] = mapped_column(default=clock.now)


class _PostalAddress:
    name: Mapped[str] = mapped_column(default="")
    line1: Mapped[str] = mapped_column(default="")
    line2: Mapped[str] = mapped_column(default="")
    city: Mapped[str] = mapped_column(default="")
    state: Mapped[str] = mapped_column(default="")
    postal_code: Mapped[str] = mapped_column(default="")
    country: Mapped[str] = mapped_column(default="")


class OrderShippingAddress(_PostalAddress, Base):
    __tablename__ = "order_shipping_address"
    __table_args__ = (UniqueConstraint("order_id"),)

    id: Mapped[int] = identity()
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))


class OrderBillingAddress(_PostalAddress, Base):
    __tablename__ = "order_billing_address"
    __table_args__ = (UniqueConstraint("order_id"),)

    id: Mapped[int] = identity()
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))


class OrderSku(Base):
    """A line: what it was called and cost on the day. ``shipped_quantity`` follows shipments."""

    __tablename__ = "order_sku"
    __table_args__ = (
        UniqueConstraint("order_id", "position"),
        Index("ix_order_sku_sku_id", "sku_id"),
        CheckConstraint("quantity > 0", name="quantity"),
        CheckConstraint("shipped_quantity BETWEEN 0 AND quantity", name="shipped_quantity"),
    )

    id: Mapped[int] = identity()
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))
    sku_id: Mapped[int | None] = mapped_column(ForeignKey("sku.id", ondelete="SET NULL"))
    position: Mapped[int]
    title: Mapped[str]
    options_text: Mapped[str] = mapped_column(default="")
    code: Mapped[str] = mapped_column(default="")
    kind: Mapped[str] = mapped_column(default="physical")
    quantity: Mapped[int]
    unit_amount: Mapped[int]
    discount_amount: Mapped[int] = mapped_column(default=0)
    tax_amount: Mapped[int] = mapped_column(default=0)
    total_amount: Mapped[int]
    weight_grams: Mapped[int] = mapped_column(default=0)
    shipped_quantity: Mapped[int] = mapped_column(default=0)
    stock_taken_at: Mapped[datetime | None]


class OrderDiscount(Base):
    __tablename__ = "order_discount"
    __table_args__ = (
        UniqueConstraint("order_id", "code"),
        Index("ix_order_discount_discount_code_id", "discount_code_id"),
    )

    id: Mapped[int] = identity()
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))
    discount_code_id: Mapped[int | None] = mapped_column(
        ForeignKey("discount_code.id", ondelete="SET NULL")
    )
    code: Mapped[str]
    kind: Mapped[DiscountKind]
    amount: Mapped[int]


class OrderShippingMethod(Base):
    __tablename__ = "order_shipping_method"
    __table_args__ = (UniqueConstraint("order_id"),)

    id: Mapped[int] = identity()
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))
    code: Mapped[str]
    name: Mapped[str]
    carrier: Mapped[str] = mapped_column(default="")
    amount: Mapped[int]


class OrderStatus(Base):
    """One step of the order's life; rows are only ever appended."""

    __tablename__ = "order_status"
    __table_args__ = (Index("ix_order_status_order_id", "order_id", "id"),)

    id: Mapped[int] = identity()
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))
    status: Mapped[OrderState]
    note: Mapped[str] = mapped_column(default="")
    actor: Mapped[str] = mapped_column(default="system")
    at: Mapped[datetime] = mapped_column(default=clock.now)
