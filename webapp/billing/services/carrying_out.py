"""Asks Stripe for the changes written down, and writes what became of what they touch.

Whoever dies in between leaves a promise that a job keeps under the same key, so that Stripe does
it once.
"""

import logging
import time
from contextlib import suppress
from datetime import timedelta
from typing import Any

from sqlalchemy import and_, or_, select, update

from webapp.billing.errors import NoSuchOperation
from webapp.billing.models import (
    ENDED,
    BillingCustomer,
    BillingOperation,
    Invoice,
    InvoiceStatus,
    OperationKind,
    OperationState,
    Subscription,
)
from webapp.billing.services import leaving
from webapp.billing.services.asking import OF_INVOICES, OF_SUBSCRIPTIONS, REQUESTS
from webapp.billing.services.sync import Ref, RefKind, sync_now
from webapp.core import clock
from webapp.core.db import db
from webapp.payments import gateway
from webapp.payments.errors import NoSuchStripeObject, StripeRefused, StripeUnavailable

logger = logging.getLogger(__name__)


# Longer than any request to Stripe may take: after this whoever was asking has died.
LEASE = timedelta(seconds=90)
PATIENCE_SECONDS = 8.0
# Nobody expects their card to be charged days after they asked for it.
PAY_WITHIN = timedelta(days=1)
LOOK_AGAIN_SECONDS = 0.05


def carry_out(operation_id: int) -> OperationState:
    """Ask Stripe for it, then write what became of what it touches; commits.

    What was asked before of the same object and waits still goes first: somebody who changed their
    mind while Stripe was away gets what they wanted last. So does the payment of the invoice for
    which a subscription is to end.
    One asks at a time: who comes second waits for a moment and gets the first one's answer.
    Raises StripeUnavailable when there was none: it stays requested and the job asks again.
    Raises NoSuchOperation.
    """
    for earlier in _list_earlier(operation_id):
        carry_out(earlier)
    return _carry_out_one(operation_id)


def _list_earlier(operation_id: int) -> list[int]:
    operation = db.session.get(BillingOperation, operation_id)
    if operation is None:
        raise NoSuchOperation(operation_id)
    before = and_(BillingOperation.target == operation.target, BillingOperation.id < operation_id)
    cause = operation.params.get("while_open")
    pays = and_(
        BillingOperation.target == cause, BillingOperation.kind == OperationKind.PAY_INVOICE
    )
    return list(
        db.session.scalars(
            select(BillingOperation.id)
            .where(
                or_(before, pays) if cause else before,
                BillingOperation.state == OperationState.REQUESTED,
            )
            .order_by(BillingOperation.id)
        )
    )


def _carry_out_one(operation_id: int) -> OperationState:
    operation = _claim(operation_id) or _wait_for_other(operation_id)
    if operation.state is not OperationState.REQUESTED:
        return operation.state
    customer_id = db.session.get_one(BillingCustomer, operation.customer_id).stripe_customer_id
    refs = _touched(operation, customer_id)
    try:
        error = _request(operation)
        _see(refs)
    except Exception:
        db.session.rollback()
        _release(operation_id)
        raise
    _close(operation_id, error)
    db.session.commit()
    return db.session.get_one(BillingOperation, operation_id).state


def _claim(operation_id: int) -> BillingOperation | None:
    now = clock.now()
    claimed: BillingOperation | None = db.session.scalar(
        update(BillingOperation)
        .where(
            BillingOperation.id == operation_id,
            BillingOperation.state == OperationState.REQUESTED,
            BillingOperation.due_at <= now,
        )
        .values(due_at=now + LEASE, attempts=BillingOperation.attempts + 1)
        .returning(BillingOperation)
        .execution_options(populate_existing=True)
    )
    db.session.commit()
    return claimed


def _wait_for_other(operation_id: int) -> BillingOperation:
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        operation = db.session.get(BillingOperation, operation_id, populate_existing=True)
        if operation is None:
            raise NoSuchOperation(operation_id)
        if operation.state is not OperationState.REQUESTED:
            return operation
        db.session.commit()
        if time.monotonic() > until:
            raise StripeUnavailable("Stripe is being asked and has not answered yet.")
        time.sleep(LOOK_AGAIN_SECONDS)


def _release(operation_id: int) -> None:
    db.session.execute(
        update(BillingOperation)
        .where(BillingOperation.id == operation_id)
        .values(due_at=clock.now())
    )
    db.session.commit()


def _request(operation: BillingOperation) -> str | None:
    """Make the request; returns Stripe's sentence if it was refused."""
    kind, target, key = operation.kind, operation.target, operation.idempotency_key
    params = dict(operation.params)
    if kind is OperationKind.PAY_INVOICE and operation.created_at < clock.now() - PAY_WITHIN:
        return "Stripe could not be reached for a day. Nothing was charged; please try again."
    # Ends the transaction: none is open while Stripe is asked.
    db.session.commit()
    try:
        if _has_still_cause(params):
            REQUESTS[kind](target, params, key)
    except StripeRefused as refused:
        logger.warning("stripe refused a change", extra={"operation": kind.value, "target": target})
        return refused.sentence
    return None


def _has_still_cause(params: dict[str, Any]) -> bool:
    """Whether the invoice it is asked for is still open: it may have been paid unheard.

    Raises StripeUnavailable while a bank is being asked for its money.
    """
    if not params.get("while_open"):
        return True
    invoice = gateway.get_invoice(params["while_open"])
    if invoice.status == InvoiceStatus.OPEN and invoice.processing:
        raise StripeUnavailable("A bank was asked for the money and has not answered yet.")
    return invoice.status == InvoiceStatus.OPEN


def _see(refs: list[Ref]) -> None:
    """Write what became of it. What is gone was refused, and there is nothing more to see."""
    with suppress(NoSuchStripeObject):
        sync_now(*refs)


def _close(operation_id: int, error: str | None) -> None:
    operation = db.session.get_one(BillingOperation, operation_id, with_for_update=True)
    if operation.state is not OperationState.REQUESTED:
        return
    done = error is None or _is_so_anyway(operation)
    operation.state = OperationState.DONE if done else OperationState.REFUSED
    operation.error = None if done else error
    operation.finished_at = clock.now()
    if not done:
        leaving.note_refusal(operation)


def _is_so_anyway(operation: BillingOperation) -> bool:
    """Whether what was refused is the case already: an invoice that was paid in the meantime."""
    if operation.kind is not OperationKind.PAY_INVOICE:
        return False
    found = select(Invoice.status).where(Invoice.stripe_id == operation.target)
    return db.session.scalar(found) is InvoiceStatus.PAID


def _touched(operation: BillingOperation, customer_id: str | None) -> list[Ref]:
    """What is to be fetched afterwards, so that everybody sees the change at once."""
    kind, target = operation.kind, operation.target
    if kind in OF_SUBSCRIPTIONS:
        cause = operation.params.get("while_open")
        invoice = [Ref(RefKind.INVOICE, cause)] if cause else []
        return [Ref(RefKind.SUBSCRIPTION, target), *invoice]
    if kind in OF_INVOICES:
        owner = (
            select(Subscription.stripe_id)
            .join(Invoice, Invoice.subscription_id == Subscription.id)
            .where(Invoice.stripe_id == target)
        )
        of = [Ref(RefKind.SUBSCRIPTION, each) for each in db.session.scalars(owner)]
        return [Ref(RefKind.INVOICE, target), *of]
    live = (
        select(Subscription.stripe_id)
        .join(BillingCustomer, BillingCustomer.id == Subscription.customer_id)
        .where(
            BillingCustomer.stripe_customer_id == customer_id,
            Subscription.status.not_in(ENDED),
        )
    )
    of = [Ref(RefKind.SUBSCRIPTION, each) for each in db.session.scalars(live)]
    return [Ref(RefKind.CUSTOMER, str(customer_id)), *of]
