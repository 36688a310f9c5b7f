"""Counting the uses of discount codes: as strict as stock, and given back like it."""

from sqlalchemy import func, or_, select, update

from webapp.core.db import db
from webapp.orders.models import Cart, Checkout, DiscountCode
from webapp.orders.pricing import Quote
from webapp.orders.queries import LIVE, count_uses


def count_codes(quote: Quote) -> list[str]:
    """Count one use of each code of the quote; returns the codes that had none left.

    The rows stay locked until the commit, so that uses beyond a limit can't slip past each other.
    """
    used_up = []
    for each in sorted(quote.discounts, key=lambda each: each.discount_code_id):
        room = or_(DiscountCode.total_limit.is_(None), DiscountCode.used < DiscountCode.total_limit)
        counted = db.session.execute(
            update(DiscountCode)
            .where(DiscountCode.id == each.discount_code_id, room)
            .values(used=DiscountCode.used + 1)
            .returning(DiscountCode.id)
        ).first()
        if counted is None:
            used_up.append(each.code)
    return used_up


def give_codes_back(quote: Quote) -> None:
    for each in sorted(quote.discounts, key=lambda each: each.discount_code_id):
        db.session.execute(
            update(DiscountCode)
            .where(DiscountCode.id == each.discount_code_id)
            .values(used=func.greatest(DiscountCode.used - 1, 0))
        )


def list_spent_codes(quote: Quote, checkout: Checkout, email: str | None) -> list[str]:
    """Return the quote's codes that this customer has used as often as allowed.

    Orders and other open checkouts of the address count. Call it with the codes' rows locked.
    """
    ids = [each.discount_code_id for each in quote.discounts]
    limited = select(DiscountCode).where(
        DiscountCode.id.in_(ids), DiscountCode.customer_limit.isnot(None)
    )
    return [
        code.code
        for code in db.session.scalars(limited)
        if not email
        or count_uses(code.id, email) + _count_open(code.id, email, checkout)
        >= (code.customer_limit or 0)
    ]


def _count_open(discount_code_id: int, email: str, checkout: Checkout) -> int:
    count = db.session.scalar(
        select(func.count())
        .select_from(Checkout)
        .join(Cart, Cart.id == Checkout.cart_id)
        .where(
            Cart.email == email,
            Checkout.state.in_(LIVE),
            Checkout.id != checkout.id,
            Checkout.quote["discounts"].contains([{"discount_code_id": discount_code_id}]),
        )
    )
    return int(count or 0)
