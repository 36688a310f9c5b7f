"""What credited orders brought: their totals less what was paid back since, by currency."""

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, cast, func, select

from webapp.orders.models import Order, OrderRefund, RefundState


def kept_amount() -> ColumnElement[int]:
    """The expression for what is left of an order's total, in a statement over ``Order``."""
    refunded = (
        select(func.coalesce(func.sum(OrderRefund.amount), 0))
        .where(OrderRefund.order_id == Order.id, OrderRefund.state == RefundState.SUCCEEDED)
        .correlate(Order)
        .scalar_subquery()
    )
    return cast(Order.total_amount - refunded, BigInteger)


def kept_sum() -> ColumnElement[int]:
    return cast(func.sum(kept_amount()), BigInteger)


def add_up(sums: dict[str, int], row: Any) -> None:
    """Add a row's ``amount`` to the sum of its ``currency``."""
    sums[row.currency] = sums.get(row.currency, 0) + int(row.amount)
