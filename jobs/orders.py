"""What orders do outside a request; every function finds its work in Postgres and may run twice."""

import logging
import uuid
from datetime import timedelta

from webapp.campaigns.services import worth
from webapp.core import clock
from webapp.core.db import db
from webapp.core.queue import Queue, enqueue
from webapp.orders.services import fulfilment, joining, refunds, settlement

logger = logging.getLogger(__name__)


def fulfil(order_id: int) -> None:
    fulfilment.fulfil(order_id)
    enqueue(
        "jobs.campaigns.begin_sequences",
        "order_placed",
        order_id,
        queue=Queue.BULK,
        subject=f"order:{order_id}",
        key=f"order_placed:{order_id}",
    )
    worth.expect_credit(order_id)
    db.session.commit()


def refund(refund_id: int) -> None:
    refunds.carry_out(refund_id)


def join_guest_orders(user_id: str) -> None:
    """Give a member what was bought as a guest with their address, once it is verified."""
    joining.join_guest_orders(uuid.UUID(str(user_id)))
    db.session.commit()


def settle_checkouts() -> None:
    """Finish or take back checkouts that are past their time or were left half-opened."""
    for checkout_id in settlement.list_overdue_checkouts():
        try:
            settlement.close_checkout(checkout_id)
            db.session.commit()
        except Exception as error:
            _put_off("checkout not settled", error)


def settle_refunds() -> None:
    """Ask Stripe about refunds it had not decided."""
    for intent in refunds.list_unsettled_payments():
        try:
            refunds.settle_payment(intent)
            db.session.commit()
        except Exception as error:
            _put_off("refund not settled", error)


def sweep_paid_sessions(hours: int = 1) -> None:
    """Ask Stripe for paid sessions without an order: webhooks may be lost, money may not."""
    for session_id in settlement.find_unordered_sessions(clock.now() - timedelta(hours=hours)):
        logger.warning("sweep found a paid session without an order")
        try:
            settlement.settle_session(session_id)
            db.session.commit()
        except Exception as error:
            _put_off("paid session not settled", error)


def _put_off(message: str, error: Exception) -> None:
    """Leave one thing for the next round, so that it doesn't stop the others."""
    db.session.rollback()
    logger.error(message, exc_info=error)


def sweep_paid_sessions_deep() -> None:
    """The same over the three days for which Stripe retries a webhook."""
    sweep_paid_sessions(hours=80)
