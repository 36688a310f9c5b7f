"""Money going back: decided here, asked of Stripe by a job, settled by what Stripe says."""

import uuid

from sqlalchemy import func, select

from webapp.core import clock
from webapp.core.db import db
from webapp.core.queue import enqueue
from webapp.core.state import current_fork
from webapp.orders.errors import InvalidRefund
from webapp.orders.models import Order, OrderPayment, OrderRefund, OrderState, RefundState
from webapp.orders.services.history import (
    append_status,
    lock_order,
    release_held,
    tell_buyer,
)
from webapp.payments import gateway
from webapp.payments.errors import StripeRefused

STATES = {
    "succeeded": RefundState.SUCCEEDED,
    "failed": RefundState.FAILED,
    "canceled": RefundState.FAILED,
}


def request_refund(
    order_id: int, amount: int | None, reason: str, actor: str, request: str | None = None
) -> OrderRefund:
    """Decide to give ``amount`` minor units back (None: all that is left). Flushes.

    ``request`` names the wish: the same one again, a form sent twice, finds its refund made.
    Raises InvalidRefund when it is more than is left, or nothing was paid through Stripe.
    """
    order = lock_order(order_id)
    payment = order.payment
    key = f"{current_fork().name}-refund-{order_id}-{request or uuid.uuid4()}"
    asked = next((each for each in order.refunds if each.idempotency_key == key), None)
    if asked is not None:
        return asked
    left = left_of(order)
    wanted = left if amount is None else amount
    if payment.stripe_payment_intent_id is None or left <= 0:
        raise InvalidRefund("There is nothing left of this payment to give back.")
    if not 0 < wanted <= left:
        raise InvalidRefund("A refund is more than 0 and at most what is left of the payment.")
    refund = OrderRefund(
        order_id=order.id,
        idempotency_key=key,
        amount=wanted,
        reason=reason,
        actor=actor,
    )
    db.session.add(refund)
    db.session.flush()
    db.session.expire(order, ["refunds"])
    enqueue(
        "jobs.orders.refund",
        refund.id,
        subject=f"order:{order.id}",
        key=f"refund:{refund.id}",
    )
    return refund


def left_of(order: Order) -> int:
    """Return what of the order's payment is neither given back nor on its way, minor units."""
    gone = sum(each.amount for each in order.refunds if each.state is not RefundState.FAILED)
    return order.payment.amount - gone


def carry_out(refund_id: int) -> None:
    """Ask Stripe for a decided refund, then settle; commits around the network.

    A refusal is final and shown on the order; anything else is raised for the job to try again.
    """
    refund = db.session.get_one(OrderRefund, refund_id)
    if refund.state is not RefundState.REQUESTED:
        return
    payment = db.session.scalars(
        select(OrderPayment).where(OrderPayment.order_id == refund.order_id)
    ).one()
    intent, amount, key = payment.stripe_payment_intent_id, refund.amount, refund.idempotency_key
    order_id = refund.order_id
    db.session.commit()
    if intent is None:
        return
    try:
        made = gateway.create_refund(intent, amount, key)
    except StripeRefused as error:
        _refuse(order_id, refund_id, error.sentence)
        db.session.commit()
        return
    _apply(order_id, [made])
    db.session.commit()


def _refuse(order_id: int, refund_id: int, sentence: str) -> None:
    lock_order(order_id)
    refund = db.session.get_one(OrderRefund, refund_id, populate_existing=True)
    if refund.state is RefundState.REQUESTED:
        refund.state = RefundState.FAILED
        refund.error = sentence


def settle_payment(payment_intent: str) -> str | None:
    """Refetch all refunds of a payment and write what they are; returns the order's subject.

    Also finds the refunds made in Stripe's own dashboard. Network first; flushes.
    """
    payment = db.session.scalar(
        select(OrderPayment).where(OrderPayment.stripe_payment_intent_id == payment_intent)
    )
    db.session.commit()
    if payment is None:
        return None
    order_id = payment.order_id
    _apply(order_id, gateway.list_refunds(payment_intent))
    return f"order:{order_id}"


def _apply(order_id: int, found: list[gateway.Refund]) -> None:
    order = lock_order(order_id)
    for each in found:
        refund = _row(order_id, each)
        succeeded_before = refund.state is RefundState.SUCCEEDED
        refund.state = _newer(refund, STATES.get(each.status, RefundState.PENDING))
        refund.stripe_refund_id = each.id
        db.session.flush()
        if refund.state is RefundState.SUCCEEDED and not succeeded_before:
            tell_buyer("order_refunded", order, str(refund.id), amount=refund.amount)
    _update_payment(order)


def _newer(refund: OrderRefund, told: RefundState) -> RefundState:
    """Return what a refund is after Stripe's answer, which may be older than what we know.

    One that succeeded can still fail (the card was closed), but is never pending again; what
    failed at Stripe stays failed.
    """
    if refund.state is RefundState.FAILED and refund.stripe_refund_id is not None:
        return RefundState.FAILED
    if refund.state is RefundState.SUCCEEDED and told is RefundState.PENDING:
        return RefundState.SUCCEEDED
    return told


def _row(order_id: int, found: gateway.Refund) -> OrderRefund:
    mine = OrderRefund.idempotency_key == (found.key or "")
    row = db.session.scalar(
        select(OrderRefund)
        .where(OrderRefund.order_id == order_id, (OrderRefund.stripe_refund_id == found.id) | mine)
        .execution_options(populate_existing=True)
    )
    if row is None:
        row = OrderRefund(
            order_id=order_id,
            idempotency_key=f"stripe:{found.id}",
            amount=found.amount,
            reason=found.reason,
            actor="stripe",
            state=RefundState.PENDING,
        )
        db.session.add(row)
    return row


def _update_payment(order: Order) -> None:
    payment = db.session.scalars(
        select(OrderPayment).where(OrderPayment.order_id == order.id)
    ).one()
    done = db.session.scalar(
        select(func.sum(OrderRefund.amount)).where(
            OrderRefund.order_id == order.id, OrderRefund.state == RefundState.SUCCEEDED
        )
    )
    refunded = int(done or 0)
    if refunded == payment.amount_refunded:
        return
    payment.amount_refunded = refunded
    db.session.flush()
    if refunded == payment.amount:
        _close(order)
    elif refunded:
        _note_part(order)


def _close(order: Order) -> None:
    """All the money is back: nothing will be sent, so nothing stays promised."""
    release_held(order.checkout_id)
    if order.status is not OrderState.CANCELLED:
        append_status(order, OrderState.REFUNDED, "system", note="Confirmed by Stripe")


def _note_part(order: Order) -> None:
    """Record the part given back; the order goes on with what it was doing."""
    before = order.status
    append_status(order, OrderState.PARTIALLY_REFUNDED, "system", note="Confirmed by Stripe")
    append_status(order, before, "system")


def list_unsettled_payments(limit: int = 100) -> list[str]:
    """Return PaymentIntents with a refund that Stripe has not decided, for the clock to ask."""
    return [
        intent
        for intent in db.session.scalars(
            select(OrderPayment.stripe_payment_intent_id)
            .join(OrderRefund, OrderRefund.order_id == OrderPayment.order_id)
            .where(OrderRefund.state == RefundState.PENDING, OrderRefund.created_at < clock.now())
            .distinct()
            .limit(limit)
        )
        if intent
    ]
