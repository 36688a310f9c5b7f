"""The room of orders: find one, read its whole story, ship it, refund it, cancel it."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from flask import request
from sqlalchemy import ColumnElement, func, select, union
from sqlalchemy.orm import joinedload, selectinload

from admin.base import Column, Filter, Money, Room, action, signature
from admin.timeline import payment_of, tell
from webapp.accounts.permissions import Permission
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.money import format_money, parse_amount
from webapp.messaging.models import MailState
from webapp.messaging.queries import list_mails
from webapp.messaging.services import STUCK, post, send_again
from webapp.orders.carriers import CARRIERS
from webapp.orders.models import (
    NeedsAction,
    Order,
    OrderPayment,
    OrderSku,
    OrderState,
    RefundState,
    Shipment,
)
from webapp.orders.queries import address_lines, view_order
from webapp.orders.services import fulfilment, refunds
from webapp.orders.services.history import lock_order

OPEN = (OrderState.ACCEPTED, OrderState.IN_FULFILMENT, OrderState.PARTIALLY_SHIPPED)
CONFIRMATION = "order_confirmation"

WHY_ACTION = {
    NeedsAction.OUT_OF_STOCK: (
        "The money arrived after the stock was gone. Refund it, or restock and accept the order."
    ),
    NeedsAction.AMOUNT_MISMATCH: (
        "Stripe took another amount than the cart came to. Compare the two, then accept or refund."
    ),
    NeedsAction.UNKNOWN_CHECKOUT: (
        "A payment arrived that no checkout of this shop asked for. Look it up at Stripe."
    ),
    NeedsAction.PAID_TWICE: "This cart was paid twice. The second payment should go back.",
}


def unshipped(order: Order) -> list[OrderSku]:
    """Return the lines of which pieces still have to leave the house."""
    return [
        line
        for line in order.lines
        if line.kind == "physical" and line.shipped_quantity < line.quantity
    ]


def refundable(order: Order) -> int:
    """Return what Stripe holds of the order and nobody has asked back yet, in minor units."""
    paid = payment_of(order)
    if paid is None:
        return 0
    ours = sum(each.amount for each in order.refunds if each.state != RefundState.FAILED)
    return max(0, paid.amount - max(ours, paid.amount_refunded))


def _can_ship(order: Order) -> bool:
    return order.status in fulfilment.SHIPPABLE and bool(unshipped(order))


def _narrow(value: str) -> ColumnElement[bool]:
    if value == "open":
        return Order.status.in_(OPEN)
    return Order.status == OrderState(value)


class Orders(Room):
    """Paid sales."""

    noun = "order"
    search_hint = "Number, email or tracking number"
    columns = (
        Column("number", "Order", "text", lambda order: f"#{order.number}", sort=Order.id),
        Column("status", "Status", "pill", sort=Order.status),
        Column("email", "Customer"),
        Column("placed_at", "Placed", "moment", sort=Order.placed_at),
        Column("pieces", "Items", "number"),
        Column(
            "total",
            "Total",
            "money",
            lambda order: Money(order.total_amount, order.currency),
            sort=Order.total_amount,
        ),
        Column("refunded", "Refunded", "money"),
    )
    filters = (
        Filter(
            "status",
            "Status",
            [
                ("open", "To be shipped"),
                *(
                    (state.value, state.value.replace("_", " ").capitalize())
                    for state in OrderState
                ),
            ],
            _narrow,
        ),
    )
    details_template = "admin/orders/order.html"

    def search(self, text: str) -> ColumnElement[bool]:
        """Match by number, whole or beginning of an address, or tracking number.

        A union of small selects lets each use its own index, where an OR would read every order.
        """
        bare = text.removeprefix("#")
        found = [
            select(Shipment.order_id).where(Shipment.tracking_number == text),
            select(Order.id).where(_by_email(text.lower())),
        ]
        if bare.isascii() and bare.isdigit() and len(bare) < 19:
            found.append(select(Order.id).where(Order.number == int(bare)))
        return Order.id.in_(union(*found))

    def gather(self, rows: Sequence[Order]) -> Mapping[Any, Mapping[str, Any]]:
        ids = [order.id for order in rows]
        pieces = dict(
            db.session.execute(
                select(OrderSku.order_id, func.sum(OrderSku.quantity))
                .where(OrderSku.order_id.in_(ids))
                .group_by(OrderSku.order_id)
            ).all()
        )
        paid = select(OrderPayment.order_id, OrderPayment.amount_refunded)
        given = paid.where(OrderPayment.order_id.in_(ids), OrderPayment.amount_refunded > 0)
        refunded = dict(db.session.execute(given).all())
        return {
            order.id: {
                "pieces": pieces.get(order.id, 0),
                "refunded": Money(refunded[order.id], order.currency)
                if order.id in refunded
                else None,
            }
            for order in rows
        }

    def load(self, key: Any) -> Order | None:
        return db.session.scalar(
            select(Order)
            .where(Order.id == key)
            .options(
                joinedload(Order.payment),
                joinedload(Order.shipping_address),
                joinedload(Order.billing_address),
                joinedload(Order.shipping_method),
                selectinload(Order.lines),
                selectinload(Order.discounts),
                selectinload(Order.history),
                selectinload(Order.shipments).selectinload(Shipment.lines),
                selectinload(Order.refunds),
                selectinload(Order.downloads),
            )
            .execution_options(populate_existing=True)
        )

    def title_of(self, row: Order) -> str:
        return f"Order #{row.number}"

    def detail(self, row: Order) -> dict[str, Any]:
        left = refundable(row)
        return {
            "story": tell(row),
            "unshipped": unshipped(row),
            "can_ship": self.allows(Permission.ORDERS_SHIP) and _can_ship(row),
            "can_refund": self.allows(Permission.ORDERS_REFUND) and left > 0,
            "can_cancel": self.allows(Permission.ORDERS_REFUND)
            and row.status in fulfilment.CANCELLABLE,
            "refundable": left,
            "why_action": _why(row),
            "carriers": CARRIERS,
            "wish": secrets.token_hex(8),
            "ship_to": address_lines(row.shipping_address) if row.shipping_address else [],
            "bill_to": address_lines(row.billing_address) if row.billing_address else [],
        }

    @action(
        "Ship",
        permission=Permission.ORDERS_SHIP,
        verb="shipped",
        button=False,
    )
    def ship(self, row: Order) -> str:
        carrier = _typed("carrier", 80)
        if not carrier:
            raise DomainError("Name the carrier that takes the parcel.")
        shipment = fulfilment.ship(
            row.id,
            carrier,
            _typed("tracking_number", 120),
            _quantities(row),
            signature(),
            seen_parcels=_seen_parcels(),
        )
        number = f", tracking {shipment.tracking_number}" if shipment.tracking_number else ""
        return f"Order #{row.number} is shipped by {carrier}{number}. The customer gets a mail."

    @action(
        "Mark delivered",
        permission=Permission.ORDERS_SHIP,
        verb="delivered",
        when=fulfilment.can_be_delivered,
    )
    def deliver(self, row: Order) -> str:
        fulfilment.mark_delivered(row.id, signature())
        return f"Order #{row.number} is marked as delivered."

    @action("Refund", permission=Permission.ORDERS_REFUND, verb="refund_requested", button=False)
    def refund(self, row: Order) -> str:
        typed = _typed("amount", 40)
        amount = parse_amount(typed, row.currency) if typed else None
        if amount is not None and not 0 < amount <= refundable(row):
            most = format_money(refundable(row), row.currency)
            raise DomainError(f"Refund something between nothing and {most}, what is left of it.")
        whole = amount is None or amount == refundable(row)
        wish = _typed("wish", 40) or None
        refunds.request_refund(row.id, amount, _typed("reason", 200), signature(), wish)
        if whole and "restock" in request.form:
            fulfilment.restock_lines(lock_order(row.id))
        return f"The refund for order #{row.number} is on its way to Stripe."

    @action(
        "Cancel order",
        permission=Permission.ORDERS_REFUND,
        verb="cancelled",
        tone="danger",
        button=False,
    )
    def cancel(self, row: Order) -> str:
        fulfilment.cancel(row.id, signature(), restock="restock" in request.form)
        return f"Order #{row.number} is cancelled."

    @action(
        "Accept and fulfil",
        permission=Permission.ORDERS_REFUND,
        verb="accepted",
        tone="primary",
        when=fulfilment.can_be_accepted,
    )
    def accept(self, row: Order) -> str:
        fulfilment.accept(row.id, signature())
        return f"Order #{row.number} is accepted and goes into fulfilment."

    @action(
        "Send confirmation again",
        permission=Permission.MAILS_SEND,
        verb="confirmation_resent",
        when=lambda order: order.status is not OrderState.NEEDS_ACTION,
    )
    def confirm_again(self, row: Order) -> str:
        """Send the stuck confirmation, or, where it did arrive, a new one."""
        if row.status is OrderState.NEEDS_ACTION:
            raise DomainError("An order that needs action is not confirmed yet. Accept it first.")
        sent = [m for m in list_mails(f"order:{row.id}") if m.kind == CONFIRMATION]
        stuck = [m for m in sent if m.state in STUCK]
        under_way = [m for m in sent if m not in stuck and m.state is not MailState.SENT]
        if under_way:
            raise DomainError("The confirmation is on its way already.")
        if stuck:
            send_again(stuck[-1].id)
        else:
            view = view_order(row.id)
            post(
                CONFIRMATION,
                row.email,
                {"order": view, "status_url": view.status_url},
                dedupe_key=f"{CONFIRMATION}:{row.id}:{len(sent)}",
                subject_ref=f"order:{row.id}",
            )
        return f"The confirmation goes to {row.email} once more."


def _by_email(text: str) -> ColumnElement[bool]:
    if "@" in text and "." in text.rpartition("@")[2]:
        return Order.email == text
    return Order.email.contains(text, autoescape=True)


def _why(order: Order) -> str | None:
    if order.status is not OrderState.NEEDS_ACTION or order.needs_action is None:
        return None
    return WHY_ACTION.get(order.needs_action)


def _typed(name: str, length: int) -> str:
    """Return one posted line without control characters."""
    text = "".join(c for c in request.form.get(name, "") if c.isprintable())
    return text.strip()[:length]


def _seen_parcels() -> int | None:
    """Return how many parcels the page showed that the form was sent from."""
    text = _typed("parcels", 6)
    return int(text) if text.isascii() and text.isdigit() else None


def _quantities(order: Order) -> dict[int, int] | None:
    """Return the pieces per line that were typed; None: everything that is left."""
    typed: dict[int, int] = {}
    given = False
    for line in unshipped(order):
        text = request.form.get(f"quantity-{line.id}")
        if text is None:
            continue
        given = True
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise DomainError(f"{line.title}: type how many pieces go into the parcel.")
        if int(text):
            typed[line.id] = int(text)
    if given and not typed:
        raise DomainError("Put at least one piece into the parcel.")
    return typed if given else None
