"""From cart to delivered: what was wanted, what was promised, what was paid, what was sent."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, TEXT
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


class ShippingMethod(Base):
    """A way to send a parcel: to these countries (none named: everywhere), up to this weight."""

    __tablename__ = "shipping_method"
    __table_args__ = (
        UniqueConstraint("code"),
        CheckConstraint("unit_amount >= 0", name="unit_amount"),
    )

    id: Mapped[int] = identity()
    code: Mapped[str]
    name: Mapped[str]
    unit_amount: Mapped[int]
    countries: Mapped[list[str]] = mapped_column(ARRAY(TEXT), default=list)
    min_weight_grams: Mapped[int] = mapped_column(default=0)
    max_weight_grams: Mapped[int | None]
    carrier: Mapped[str] = mapped_column(default="")
    position: Mapped[int] = mapped_column(default=0)
    active: Mapped[bool] = mapped_column(default=True)


class TaxRate(Base):
    """Tax of a country in basis points; ``inclusive`` prices already contain it."""

    __tablename__ = "tax_rate"
    __table_args__ = (
        UniqueConstraint("country"),
        CheckConstraint("basis_points BETWEEN 0 AND 10000", name="basis_points"),
    )

    id: Mapped[int] = identity()
    country: Mapped[str]
    name: Mapped[str]
    basis_points: Mapped[int]
    inclusive: Mapped[bool] = mapped_column(default=False)
    on_shipping: Mapped[bool] = mapped_column(default=True)


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


class Shipment(Base):
    __tablename__ = "shipment"
    __table_args__ = (
        Index("ix_shipment_order_id", "order_id"),
        Index("ix_shipment_tracking_number", "tracking_number"),
    )

    id: Mapped[int] = identity()
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))
    carrier: Mapped[str]
    tracking_number: Mapped[str] = mapped_column(default="")
    tracking_url: Mapped[str] = mapped_column(default="")
    actor: Mapped[str]
    shipped_at: Mapped[datetime] = mapped_column(default=clock.now)

    lines: Mapped[list["ShipmentLine"]] = relationship(order_by="ShipmentLine.id")


class ShipmentLine(Base):
    __tablename__ = "shipment_line"
    __table_args__ = (
        UniqueConstraint("shipment_id", "order_sku_id"),
        Index("ix_shipment_line_order_sku_id", "order_sku_id"),
        CheckConstraint("quantity > 0", name="quantity"),
    )

    id: Mapped[int] = identity()
    shipment_id: Mapped[int] = mapped_column(ForeignKey("shipment.id"))
    order_sku_id: Mapped[int] = mapped_column(ForeignKey("order_sku.id"))
    quantity: Mapped[int]

    order_sku: Mapped[OrderSku] = relationship()


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


class OrderDownload(Base):
    """A digital good handed over: the file behind a signed link that expires."""

    __tablename__ = "order_download"
    __table_args__ = (
        UniqueConstraint("order_sku_id"),
        Index("ix_order_download_order_id", "order_id"),
    )

    id: Mapped[int] = identity()
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))
    order_sku_id: Mapped[int] = mapped_column(ForeignKey("order_sku.id"))
    title: Mapped[str]
    file_name: Mapped[str]
    expires_at: Mapped[datetime]
    downloads: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = created()

    order: Mapped[Order] = relationship(viewonly=True)
