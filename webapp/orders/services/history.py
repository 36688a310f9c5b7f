"""What every change of an order shares: its lock, its history, its held pieces, its mails."""

import logging

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from webapp.catalog.services import stock
from webapp.core.db import db
from webapp.messaging.errors import InvalidAddress, InvalidHeader
from webapp.messaging.services import post
from webapp.orders.errors import NoSuchOrder
from webapp.orders.models import (
    Order,
    OrderState,
    OrderStatus,
    ReservationState,
    StockReservation,
)
from webapp.orders.queries import show_order

logger = logging.getLogger(__name__)


def lock_order(order_id: int) -> Order:
    """Return the order, locked for a change, with fresh lines, payment, refunds and parcels.

    Raises NoSuchOrder.
    """
    order = db.session.scalar(
        select(Order)
        .where(Order.id == order_id)
        .options(
            selectinload(Order.lines),
            selectinload(Order.payment),
            selectinload(Order.refunds),
            selectinload(Order.shipments),
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if order is None:
        raise NoSuchOrder("There is no such order.")
    return order


def append_status(order: Order, status: OrderState, actor: str, note: str = "") -> None:
    """Append to the history; the order row repeats its newest entry."""
    order.status = status
    db.session.add(OrderStatus(order_id=order.id, status=status, actor=actor, note=note))
    db.session.flush()


def held_reservations(checkout_id: int | None) -> list[StockReservation]:
    """Return the pieces still promised to a checkout in sku order, locked."""
    return list(
        db.session.scalars(
            select(StockReservation)
            .where(
                StockReservation.checkout_id == checkout_id,
                StockReservation.state == ReservationState.HELD,
            )
            .order_by(StockReservation.sku_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    )


def release_held(checkout_id: int | None) -> None:
    """Take back every promise of pieces that will not be sent."""
    for held in held_reservations(checkout_id):
        held.state = ReservationState.RELEASED
        stock.release(held.sku_id, held.quantity)
    db.session.flush()


def tell_buyer(kind: str, order: Order, dedupe: str, **context: object) -> None:
    """Post a mail about the order as it is now, once per ``dedupe``.

    An address no mail can go to holds nothing up: the doctor names the order without its mail.
    """
    db.session.flush()
    db.session.expire(order)
    view = show_order(order)
    try:
        post(
            kind,
            order.email,
            {"order": view, "status_url": view.status_url, **context},
            dedupe_key=f"{kind}:{dedupe}",
            subject_ref=f"order:{order.id}",
        )
    except (InvalidAddress, InvalidHeader) as error:
        logger.warning("mail not posted", extra={"order": order.id, "why": error.code})
