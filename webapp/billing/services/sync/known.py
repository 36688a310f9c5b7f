"""What our rows say of the customers of a batch, read at once before anything is written."""

import uuid
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select

from webapp.billing.models import (
    BillingCustomer,
    DunningCase,
    Entitlement,
    Invoice,
    PaymentAttempt,
    PlanPrice,
    Subscription,
)
from webapp.billing.services.sync.fetching import Findings
from webapp.core.db import db


@dataclass(slots=True)
class Known:
    """Rows by Stripe's ids, subscriptions by our customer's id first.

    ``troubled`` are the ids of invoices that have a case or an attempt that failed.
    ``entitlements`` by the member's id are held so that the session answers for them too.
    """

    subscriptions: dict[int, dict[str, Subscription]]
    invoices: dict[str, Invoice]
    prices: dict[str, int]
    troubled: set[int]
    entitlements: dict[uuid.UUID, Entitlement]


def read_known(customers: Collection[BillingCustomer], findings: Findings) -> Known:
    """Lock and read what the findings are about; the caller holds the customers' locks."""
    invoices = _lock_invoices(findings)
    users = [customer.user_id for customer in customers if customer.user_id]
    entitlements = select(Entitlement).where(Entitlement.user_id.in_(users))
    return Known(
        subscriptions=_lock_subscriptions(customers),
        invoices=invoices,
        prices=_read_prices(findings),
        troubled=_find_troubled([invoice.id for invoice in invoices.values()]),
        entitlements={row.user_id: row for row in db.session.scalars(entitlements)},
    )


def _lock_subscriptions(
    customers: Collection[BillingCustomer],
) -> dict[int, dict[str, Subscription]]:
    found: dict[int, dict[str, Subscription]] = defaultdict(dict)
    rows = (
        select(Subscription)
        .where(Subscription.customer_id.in_([customer.id for customer in customers]))
        .order_by(Subscription.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    for row in db.session.scalars(rows):
        found[row.customer_id][row.stripe_id] = row
    return found


def _lock_invoices(findings: Findings) -> dict[str, Invoice]:
    if not findings.invoices:
        return {}
    rows = (
        select(Invoice)
        .where(Invoice.stripe_id.in_(findings.invoices))
        .order_by(Invoice.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {row.stripe_id: row for row in db.session.scalars(rows)}


def _read_prices(findings: Findings) -> dict[str, int]:
    sold = {found.price_id for found in findings.subscriptions.values()}
    if not sold:
        return {}
    rows = select(PlanPrice.stripe_price_id, PlanPrice.id).where(
        PlanPrice.stripe_price_id.in_(sold)
    )
    return {str(stripe_id): id_ for stripe_id, id_ in db.session.execute(rows)}


def _find_troubled(invoice_ids: list[int]) -> set[int]:
    if not invoice_ids:
        return set()
    failed = select(PaymentAttempt.invoice_id).where(
        PaymentAttempt.invoice_id.in_(invoice_ids), ~PaymentAttempt.succeeded
    )
    chased = select(DunningCase.invoice_id).where(DunningCase.invoice_id.in_(invoice_ids))
    return set(db.session.scalars(failed.union(chased)))
