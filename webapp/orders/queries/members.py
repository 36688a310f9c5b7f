"""Reading a member's orders as the account shows them: a page at a time, in two statements."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from webapp.accounts.models import Member
from webapp.core.db import db
from webapp.orders.models import Order, OrderSku
from webapp.orders.queries.orders import OrderView, view_order

MEMBER_PAGE_SIZE = 20


@dataclass(frozen=True, slots=True)
class OrderCard:
    """An order as a line of a list; ``title`` is its first item."""

    number: int
    status: str
    placed_at: datetime
    currency: str
    total_amount: int
    title: str
    pieces: int


def list_member_orders(
    user_id: uuid.UUID, skip: int = 0, limit: int = MEMBER_PAGE_SIZE
) -> list[OrderCard]:
    """Return a user's orders, the newest first."""
    newest = (
        select(Order.id)
        .join(Member, Member.id == Order.member_id)
        .where(Member.user_id == user_id)
        .order_by(Order.id.desc())
        .offset(skip)
        .limit(limit)
        .subquery()
    )
    lines = (
        select(
            OrderSku.order_id,
            func.sum(OrderSku.quantity).label("pieces"),
            func.min(OrderSku.title).filter(OrderSku.position == 1).label("title"),
        )
        .where(OrderSku.order_id.in_(select(newest.c.id)))
        .group_by(OrderSku.order_id)
        .subquery()
    )
    rows = db.session.execute(
        select(
            Order.number,
            Order.status,
            Order.placed_at,
            Order.currency,
            Order.total_amount,
            lines.c.title,
            lines.c.pieces,
        )
        .join(newest, newest.c.id == Order.id)
        .outerjoin(lines, lines.c.order_id == Order.id)
        .order_by(Order.id.desc())
    )
    return [
        OrderCard(
            number=row.number,
            status=row.status.value,
            placed_at=row.placed_at,
            currency=row.currency,
            total_amount=row.total_amount,
            title=row.title or "",
            pieces=int(row.pieces or 0),
        )
        for row in rows
    ]


def count_member_orders(user_id: uuid.UUID) -> int:
    total = db.session.scalar(
        select(func.count())
        .select_from(Order)
        .join(Member, Member.id == Order.member_id)
        .where(Member.user_id == user_id)
    )
    return int(total or 0)


def find_member_order(user_id: uuid.UUID, number: int) -> OrderView | None:
    """Return one of the user's own orders by its number; None for anybody else's."""
    order_id = db.session.scalar(
        select(Order.id)
        .join(Member, Member.id == Order.member_id)
        .where(Order.number == number, Member.user_id == user_id)
    )
    return view_order(order_id) if order_id is not None else None
