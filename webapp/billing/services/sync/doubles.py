"""A second subscription that got past every lock: the later one is ended and its money returned."""

import logging
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select

from webapp.billing.models import (
    ENDED,
    BillingCustomer,
    Invoice,
    InvoiceStatus,
    OperationKind,
    Subscription,
    SubscriptionStatus,
)
from webapp.billing.services import operations
from webapp.billing.services.sync.columns import subscription_columns
from webapp.core.audit import SYSTEM
from webapp.core.db import db
from webapp.payments import gateway

logger = logging.getLogger(__name__)


def mark_doubles(
    customer: BillingCustomer,
    known: dict[str, Subscription],
    new: list[gateway.StripeSubscription],
    prices: Mapping[str, int],
    ticket: int,
) -> None:
    """Add the ``new`` ones to ``known``; of all that live only the first to start is no double.

    Which came first is Stripe's word, not the order we heard of them in. Flushes.
    """
    added = [
        Subscription(
            stripe_id=each.id,
            customer_id=customer.id,
            **subscription_columns(each, ticket, prices.get(each.price_id)),
        )
        for each in new
    ]
    known |= {row.stripe_id: row for row in added}
    live = sorted((row for row in known.values() if row.status not in ENDED), key=_rank)
    found_out = [row for row in live[1:] if not row.duplicate]
    for row in found_out:
        row.duplicate = True
        logger.warning("double subscription", extra={"subscription": row.stripe_id})
    # The known ones first: the index allows one live row at a time.
    db.session.flush()
    db.session.add_all(added)
    db.session.flush()
    for row in live[1:]:
        _end(customer, row)
    for row in found_out:
        _give_back_all(customer, row)


def _rank(row: Subscription) -> tuple[bool, bool, datetime, str]:
    """What is being ended stays behind, as does one whose first payment isn't through."""
    is_begun = row.status is not SubscriptionStatus.INCOMPLETE
    return bool(row.duplicate), not is_begun, row.started_at, row.stripe_id


def _give_back_all(customer: BillingCustomer, row: Subscription) -> None:
    """Return what had been paid for it before it was known to be a double."""
    paid = select(Invoice).where(
        Invoice.subscription_id == row.id, Invoice.status == InvoiceStatus.PAID
    )
    for invoice in db.session.scalars(paid.order_by(Invoice.id)).all():
        give_back_double(customer, invoice)


def _end(customer: BillingCustomer, row: Subscription) -> None:
    operations.ask(
        OperationKind.CANCEL,
        customer,
        row.stripe_id,
        {"comment": "A second subscription of the same customer."},
        actor=SYSTEM,
        key=f"double:{row.stripe_id}",
    )


def give_back_double(customer: BillingCustomer, invoice: Invoice) -> None:
    """Return what was paid for a double; asked for once, however often it is synced."""
    subscription = db.session.get(Subscription, invoice.subscription_id or 0)
    if subscription is None or not subscription.duplicate or not invoice.payment_intent:
        return
    if invoice.status is InvoiceStatus.PAID and invoice.amount_paid > 0:
        operations.ask(
            OperationKind.REFUND,
            customer,
            invoice.stripe_id,
            {"payment_intent": invoice.payment_intent, "amount": invoice.amount_paid},
            actor=SYSTEM,
            key=f"double-refund:{invoice.stripe_id}",
        )
