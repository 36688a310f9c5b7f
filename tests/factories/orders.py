"""Orders as they stand after a sale, written straight into the tables."""

from datetime import datetime, timedelta

from sqlalchemy import insert, select

from tests.plans import measure
from webapp.accounts.models import Member, User
from webapp.core import clock
from webapp.core.db import db
from webapp.orders.models import Order, OrderPayment, OrderSku, OrderState, OrderStatus

FIRST_NUMBER = 5001


def member_id_of(user: User) -> int:
    return db.session.scalars(select(Member.id).where(Member.user_id == user.id)).one()


def make_orders(
    count: int,
    email: str = "alice@example.com",
    *,
    member_id: int | None = None,
    first_number: int = FIRST_NUMBER,
    placed_at: datetime | None = None,
) -> list[int]:
    """Return the numbers of ``count`` committed orders with two lines each, the oldest first."""
    start = placed_at or clock.now() - timedelta(days=count)
    rows = [
        {
            "number": first_number + number,
            "email": email,
            "member_id": member_id,
            "currency": "usd",
            "items_amount": 7500,
            "total_amount": 7500,
            "placed_at": start + timedelta(days=number),
        }
        for number in range(count)
    ]
    made = db.session.execute(insert(Order).returning(Order.id, Order.number), rows).all()
    db.session.execute(insert(OrderSku), [line for id_, _ in made for line in _lines(id_)])
    db.session.execute(insert(OrderPayment), [_payment(id_, number) for id_, number in made])
    db.session.execute(
        insert(OrderStatus),
        [{"order_id": id_, "status": OrderState.ACCEPTED} for id_, _ in made],
    )
    db.session.commit()
    if count > 100:
        measure(db.session())
    return sorted(number for _, number in made)


def _lines(order_id: int) -> list[dict[str, object]]:
    amounts = {"unit_amount": 2500, "order_id": order_id}
    return [
        amounts | {"position": 1, "title": "Oak Bowl", "quantity": 2, "total_amount": 5000},
        amounts | {"position": 2, "title": "Ash Spoon", "quantity": 1, "total_amount": 2500},
    ]


def _payment(order_id: int, number: int) -> dict[str, object]:
    return {
        "order_id": order_id,
        "stripe_session_id": f"cs_test_made{number}",
        "stripe_payment_intent_id": f"pi_made{number}",
        "amount": 7500,
        "currency": "usd",
    }
