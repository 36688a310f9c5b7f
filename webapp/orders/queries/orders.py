"""Reading orders as their buyers see them, on the status page and in every mail."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from webapp.accounts.models import Address
from webapp.core.db import db
from webapp.core.shop import get_shop
from webapp.core.signing import sign, unsign
from webapp.core.state import current_config
from webapp.orders.countries import CITY_FIRST, country_names
from webapp.orders.errors import NoSuchOrder
from webapp.orders.models import (
    NeedsAction,
    Order,
    OrderBillingAddress,
    OrderPayment,
    OrderShippingAddress,
    OrderState,
)


@dataclass(frozen=True, slots=True)
class OrderLineView:
    id: int
    title: str
    options_text: str
    code: str
    quantity: int
    shipped_quantity: int
    unit_amount: int
    total_amount: int


@dataclass(frozen=True, slots=True)
class AmountView:
    code: str
    amount: int


@dataclass(frozen=True, slots=True)
class StatusView:
    status: str
    at: datetime
    note: str


@dataclass(frozen=True, slots=True)
class ShipmentView:
    carrier: str
    tracking_number: str
    tracking_url: str
    shipped_at: datetime


@dataclass(frozen=True, slots=True)
class DownloadView:
    title: str
    url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class RefundView:
    amount: int
    at: datetime


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order as its buyer sees it, on the status page and in every mail."""

    id: int
    number: int
    status: str
    placed_at: datetime
    email: str
    currency: str
    lines: list[OrderLineView]
    items_amount: int
    discounts: list[AmountView]
    discount_amount: int
    shipping_name: str | None
    shipping_amount: int
    tax_name: str
    tax_amount: int
    tax_included: bool
    total_amount: int
    shipping_address: list[str]
    history: list[StatusView]
    shipments: list[ShipmentView]
    downloads: list[DownloadView]
    refunds: list[RefundView]
    needs_action: str | None
    status_url: str


NEEDS_ACTION_SENTENCES = {
    NeedsAction.OUT_OF_STOCK: "Your payment arrived after the items were gone. We are on it and "
    "will write to you.",
    NeedsAction.AMOUNT_MISMATCH: "The payment differs from the order. We are looking into it and "
    "will write to you.",
    NeedsAction.UNKNOWN_CHECKOUT: "Your payment arrived without its cart. We are looking into it "
    "and will write to you.",
    NeedsAction.PAID_TWICE: "This cart was paid twice. The second payment goes back to you.",
}


def get_order(order_id: int) -> Order:
    """Return an order with all its parts in a bounded number of statements."""
    order = db.session.scalar(
        select(Order)
        .where(Order.id == order_id)
        .options(
            selectinload(Order.lines),
            selectinload(Order.discounts),
            selectinload(Order.shipping_method),
            selectinload(Order.shipping_address),
            selectinload(Order.history),
            selectinload(Order.shipments),
            selectinload(Order.downloads),
            selectinload(Order.refunds),
        )
    )
    if order is None:
        raise NoSuchOrder("There is no such order.")
    return order


def view_order(order_id: int) -> OrderView:
    """Return the order as its buyer sees it. Raises NoSuchOrder."""
    return show_order(get_order(order_id))


def show_order(order: Order) -> OrderView:
    address = order.shipping_address
    waiting = order.needs_action if order.status is OrderState.NEEDS_ACTION else None
    return OrderView(
        id=order.id,
        number=order.number,
        status=order.status.value,
        placed_at=order.placed_at,
        email=order.email,
        currency=order.currency,
        lines=[
            OrderLineView(
                id=line.id,
                title=line.title,
                options_text=line.options_text,
                code=line.code,
                quantity=line.quantity,
                shipped_quantity=line.shipped_quantity,
                unit_amount=line.unit_amount,
                total_amount=line.unit_amount * line.quantity,
            )
            for line in order.lines
        ],
        items_amount=order.items_amount,
        discounts=[AmountView(each.code, each.amount) for each in order.discounts],
        discount_amount=order.discount_amount,
        shipping_name=order.shipping_method.name if order.shipping_method else None,
        shipping_amount=order.shipping_amount,
        tax_name=order.tax_name,
        tax_amount=order.tax_amount,
        tax_included=order.tax_included,
        total_amount=order.total_amount,
        shipping_address=address_lines(address) if address else [],
        history=[StatusView(step.status.value, step.at, step.note) for step in order.history],
        shipments=[
            ShipmentView(s.carrier, s.tracking_number, s.tracking_url, s.shipped_at)
            for s in order.shipments
        ],
        downloads=[
            DownloadView(
                d.title, f"{_base()}/orders/download/{sign('download', d.id)}", d.expires_at
            )
            for d in order.downloads
        ],
        refunds=[RefundView(r.amount, r.created_at) for r in order.refunds if r.state != "failed"],
        needs_action=NEEDS_ACTION_SENTENCES[waiting] if waiting else None,
        status_url=f"{_base()}/orders/status/{status_token(order.id)}",
    )


Postal = OrderShippingAddress | OrderBillingAddress | Address


def address_lines(address: Postal) -> list[str]:
    """Return the address as its own country's post writes it, the country by name."""
    country = country_names(get_shop().locale).get(address.country, address.country)
    parts = [address.name, address.line1, address.line2, _town(address), country]
    return [part for part in parts if part]


def _town(address: Postal) -> str:
    if address.country in CITY_FIRST:
        region = f"{address.state} {address.postal_code}".strip()
        return ", ".join(filter(None, [address.city, region]))
    return " ".join(filter(None, [address.postal_code, address.city, address.state]))


def _base() -> str:
    return current_config().base_url.rstrip("/")


def status_token(order_id: int) -> str:
    """Return the token of the guest's link to an order; it does not expire."""
    return sign("order-status", order_id)


def order_id_of(token: str) -> int:
    """Return the order id in a status token. Raises InvalidToken."""
    return int(unsign("order-status", token))


def find_order_by_session(session_id: str) -> Order | None:
    return db.session.scalar(
        select(Order)
        .join(OrderPayment, OrderPayment.order_id == Order.id)
        .where(OrderPayment.stripe_session_id == session_id)
    )
