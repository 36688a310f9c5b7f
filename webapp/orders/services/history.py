"""An order's status is an appended history; the order row repeats its newest entry."""

from sqlalchemy import select

from webapp.core.db import db
from webapp.orders.errors import NoSuchOrder
from webapp.orders.models import Order, OrderState, OrderStatus


def lock_order(order_id: int) -> Order:
    """Return the order, locked for a change. Raises NoSuchOrder."""
    order = db.session.scalar(
        select(Order)
        .where(Order.id == order_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if order is None:
        raise NoSuchOrder("There is no such order.")
    return order


def append_status(order: Order, status: OrderState, actor: str, note: str = "") -> None:
    order.status = status
    db.session.add(OrderStatus(order_id=order.id, status=status, actor=actor, note=note))
    db.session.flush()
