"""Which mail an order is owed to: the last human click in the five days before it was placed.

Clicks of the mail that led this browser here come first, then those in any mail to the buyer's
address. Without a click the last human open counts, told apart: it was read, no more is known.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, or_, select, true
from sqlalchemy.dialects.postgresql import insert

from webapp.campaigns.codes import Code, read_code
from webapp.campaigns.models import (
    EmailOrder,
    EmailRecipient,
    OrderCredit,
    TrackingEvent,
    TrackingKind,
)
from webapp.core import clock
from webapp.core.db import db
from webapp.core.queue import Queue, enqueue
from webapp.orders.models import Checkout, Order

CREDIT = "jobs.campaigns.credit_order"
COUNTS = timedelta(days=5)
# By the first the click that led to the order has been judged; by the second also one that waited
# on a web server's disk, with Redis away, or behind many others.
LOOKS = {"credit": timedelta(seconds=90), "credit-late": timedelta(hours=1)}


def expect_credit(order_id: int) -> None:
    """Promise to look for the mail an order is owed to, if one was ever sent to its buyer.

    The caller commits. Promising twice is one promise.
    """
    order = db.session.get(Order, order_id)
    if order is None or not db.session.scalar(select(exists(_recipients(order)))):
        return
    for look, wait in LOOKS.items():
        enqueue(
            CREDIT,
            order_id,
            queue=Queue.TRACKING,
            subject=f"order:{order_id}",
            key=f"{look}:{order_id}",
            run_at=clock.now() + wait,
        )


def credit_order(order_id: int) -> OrderCredit | None:
    """Note the mail that an order is owed to, if any; flushes.

    Once noted it stays, but for a click that was heard of after the open.
    """
    order = db.session.get(Order, order_id)
    if order is None:
        return None
    for credit, kinds in (
        (OrderCredit.CLICK, [TrackingKind.CLICK]),
        (OrderCredit.OPEN, [TrackingKind.OPEN]),
    ):
        for who in _mine(order), _by_address(order):
            event = None if who is None else _last(order, kinds, who)
            if event is not None:
                _note(order_id, credit, event)
                return credit
    return None


def _recipients(order: Order) -> Select[Any]:
    mine = _mine(order)
    whose = _by_address(order) if mine is None else or_(mine, _by_address(order))
    return select(EmailRecipient.id).where(whose)


def _mine(order: Order) -> ColumnElement[bool] | None:
    """The recipient whose mail led the browser of the checkout here; the secret proves it."""
    code = _code_of(order)
    if code is None or code.recipient_id >= 1 << 63:
        return None
    return (
        (EmailRecipient.email_id == code.email_id)
        & (EmailRecipient.id == code.recipient_id)
        & (EmailRecipient.secret == code.secret)
    )


def _code_of(order: Order) -> Code | None:
    checkout = db.session.get(Checkout, order.checkout_id) if order.checkout_id else None
    return read_code(checkout.email_code) if checkout and checkout.email_code else None


def _by_address(order: Order) -> ColumnElement[bool]:
    return EmailRecipient.address == order.email.lower()


def _last(
    order: Order, kinds: Sequence[TrackingKind], who: ColumnElement[bool]
) -> TrackingEvent | None:
    """Return the last human event of these recipients before the order."""
    # Asked for each recipient by index: there may be a hundred mails to one buyer.
    each = (
        select(TrackingEvent.id, TrackingEvent.at)
        .where(
            TrackingEvent.email_id == EmailRecipient.email_id,
            TrackingEvent.recipient_id == EmailRecipient.id,
            TrackingEvent.kind.in_(kinds),
            TrackingEvent.human.is_(True),
            TrackingEvent.at.between(order.placed_at - COUNTS, order.placed_at),
        )
        .order_by(TrackingEvent.at.desc(), TrackingEvent.id.desc())
        .limit(1)
        .lateral()
    )
    newest = (
        select(each.c.id)
        .select_from(EmailRecipient)
        .join(each, true())
        .where(who)
        .order_by(each.c.at.desc(), each.c.id.desc())
        .limit(1)
    )
    return db.session.scalar(
        select(TrackingEvent).where(TrackingEvent.id == newest.scalar_subquery())
    )


def _note(order_id: int, credit: OrderCredit, event: TrackingEvent) -> None:
    values = {
        "order_id": order_id,
        "email_id": event.email_id,
        "recipient_id": event.recipient_id,
        "credit": credit,
        "link": event.link,
        "acted_at": event.at,
    }
    statement = insert(EmailOrder).values(values)
    statement = statement.on_conflict_do_update(
        index_elements=["order_id"],
        set_={name: statement.excluded[name] for name in values if name != "order_id"},
        where=(EmailOrder.credit == OrderCredit.OPEN)
        & (statement.excluded.credit == OrderCredit.CLICK),
    )
    db.session.execute(statement)
    db.session.flush()
