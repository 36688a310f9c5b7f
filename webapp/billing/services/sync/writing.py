"""Writes one customer's findings: rows, then what follows from them, all under their lock."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy.dialects.postgresql import insert

from webapp.billing.models import (
    ENDED,
    BillingCheckout,
    BillingCustomer,
    BillingDiscount,
    CheckoutState,
    Invoice,
    InvoiceStatus,
    Subscription,
)
from webapp.billing.services import dunning, entitling, notices
from webapp.billing.services.sync.attempts import write_attempts
from webapp.billing.services.sync.columns import invoice_columns, subscription_columns
from webapp.billing.services.sync.doubles import give_back_double, mark_doubles
from webapp.billing.services.sync.fetching import Findings
from webapp.billing.services.sync.known import Known
from webapp.core import clock
from webapp.core.db import db
from webapp.core.state import current_fork
from webapp.payments import gateway

# Who was erased paid, but with no card that is known any more.
NO_CARD: dict[str, Any] = dict.fromkeys(("payment_method", "card_brand", "card_last4"))
FINAL = frozenset({InvoiceStatus.PAID, InvoiceStatus.VOID})


def write(customer: BillingCustomer, findings: Findings, known: Known, ticket: int) -> None:
    """Write what was found of a customer; flushes. The caller holds the lock of ``customer``."""
    owner = customer.stripe_customer_id
    before = _standing(customer, known)
    subscriptions = _write_subscriptions(
        customer, [s for s in findings.subscriptions.values() if s.customer == owner], known, ticket
    )
    # Which card is shown hangs on those that live now.
    _write_customer(customer, findings.customers.get(str(owner)), known, ticket)
    invoices = _write_invoices(
        customer,
        [found for found in findings.invoices.values() if found.customer == owner],
        findings,
        known,
        ticket,
    )
    for session in findings.sessions.values():
        if session.customer == owner:
            _write_session(customer, session)
    _follow(customer, subscriptions, invoices, known)
    in_order = all(invoice.id not in known.troubled for invoice, _ in invoices)
    if before is None or before != _standing(customer, known) or not in_order:
        entitling.settle(customer)


def _standing(customer: BillingCustomer, known: Known) -> frozenset[tuple[object, ...]] | None:
    """Return what access depends on, so that most renewals leave it alone.

    None where it must be worked out anew anyhow: it isn't there, or a pause begins with the end of
    what was paid.
    """
    rows = known.subscriptions[customer.id].values()
    if customer.user_id not in known.entitlements or any(row.pause_behavior for row in rows):
        return None
    return frozenset(
        (row.stripe_id, row.status, row.duplicate, row.plan_price_id, row.stripe_product_id)
        for row in rows
    )


def _follow(
    customer: BillingCustomer,
    subscriptions: Iterable[Subscription],
    invoices: Iterable[tuple[Invoice, bool]],
    known: Known,
) -> None:
    for invoice, newly_paid in invoices:
        # What was never refused has no case: most invoices, so that nothing is asked for them.
        if invoice.id in known.troubled:
            dunning.follow_invoice(invoice)
        notices.follow_invoice(invoice, newly_paid=newly_paid)
        give_back_double(customer, invoice)
    for subscription in subscriptions:
        dunning.follow_subscription(subscription)
        notices.follow_subscription(subscription)


def _write_customer(
    customer: BillingCustomer, found: gateway.Customer | None, known: Known, ticket: int
) -> None:
    if found is None or customer.synced_ticket > ticket or customer.is_erased:
        return
    customer.synced_ticket, customer.synced_at = ticket, clock.now()
    if found.deleted:
        customer.deleted_at = customer.deleted_at or clock.now()
        return
    customer.email = found.email or customer.email
    customer.payment_method_id = found.default_payment_method
    rows = known.subscriptions[customer.id].values()
    live = next((row for row in rows if row.status not in ENDED and not row.duplicate), None)
    if live is None or live.default_payment_method in (None, found.default_payment_method):
        _show_card(customer, found.card)


def _show_card(customer: BillingCustomer, card: gateway.Card | None) -> None:
    """Keep the card that the next invoice will be charged to, as people know it."""
    customer.card_brand = card.brand if card else None
    customer.card_last4 = card.last4 if card else None
    customer.card_exp_month = card.exp_month if card else None
    customer.card_exp_year = card.exp_year if card else None


def _write_subscriptions(
    customer: BillingCustomer, found: list[gateway.StripeSubscription], known: Known, ticket: int
) -> list[Subscription]:
    """Write a customer's subscriptions, those that ended first: only one may live."""
    rows = known.subscriptions[customer.id]
    fresh = [each for each in found if not _is_stale(rows.get(each.id), each, ticket)]
    for each in sorted(fresh, key=lambda s: (s.ended_at is None, s.started_at, s.id)):
        if each.id in rows:
            columns = subscription_columns(each, ticket, known.prices.get(each.price_id))
            _set(rows[each.id], columns)
    db.session.flush()
    new = [each for each in fresh if each.id not in rows]
    mark_doubles(customer, rows, new, known.prices, ticket)
    for each in fresh:
        _keep_discounts(each.discounts)
        if each.trial_start and customer.trial_used_at is None:
            customer.trial_used_at = each.trial_start
        if each.card and each.ended_at is None and not rows[each.id].duplicate:
            _show_card(customer, each.card)
    return [rows[each.id] for each in fresh]


def _is_stale(row: Subscription | None, found: gateway.StripeSubscription, ticket: int) -> bool:
    if row is None:
        return False
    reopens = row.status in ENDED and found.status not in ENDED
    return reopens or row.synced_ticket > ticket


def _set(row: Subscription | Invoice, columns: Mapping[str, Any]) -> None:
    for name, value in columns.items():
        setattr(row, name, value)


def _keep_discounts(discounts: Iterable[gateway.Discount]) -> None:
    rows = [
        {
            "id": each.id,
            "coupon_id": each.coupon,
            "percent_off": each.percent_off,
            "amount_off": each.amount_off,
            "duration": each.duration,
            "start": each.start,
            "end": each.end,
        }
        for each in discounts
    ]
    if rows:
        statement = insert(BillingDiscount).values(rows)
        db.session.execute(
            statement.on_conflict_do_update(
                index_elements=["id"], set_={"end": statement.excluded.end}
            )
        )


def _write_invoices(
    customer: BillingCustomer,
    found: list[gateway.StripeInvoice],
    findings: Findings,
    known: Known,
    ticket: int,
) -> list[tuple[Invoice, bool]]:
    """Write invoices and their attempts; returns each row and whether it was paid just now."""
    written: list[tuple[Invoice, bool]] = []
    tried = []
    for each in sorted(found, key=lambda invoice: invoice.created):
        row = known.invoices.get(each.id)
        if row is not None and _is_settled(row, each, ticket):
            written.append((row, False))
            continue
        newly_paid = each.status == InvoiceStatus.PAID and (
            row is None or row.status is not InvoiceStatus.PAID
        )
        if row is None:
            row = known.invoices[each.id] = Invoice(stripe_id=each.id, customer_id=customer.id)
            db.session.add(row)
        subscription = known.subscriptions[customer.id].get(each.subscription or "")
        _set(row, invoice_columns(each, ticket, subscription.id if subscription else None))
        charges = findings.charges.get(each.id, [])
        if customer.is_erased:
            row.hosted_invoice_url = row.invoice_pdf = None
            charges = [replace(charge, **NO_CARD) for charge in charges]
        written.append((row, newly_paid))
        tried.append((row, each, charges))
    db.session.flush()
    known.troubled |= write_attempts(tried)
    return written


def _is_settled(row: Invoice, found: gateway.StripeInvoice, ticket: int) -> bool:
    """Whether what was found is older than what is known, or comes after the end."""
    ended_otherwise = row.status in FINAL and found.status != row.status
    return row.synced_ticket > ticket or ended_otherwise


def _write_session(customer: BillingCustomer, session: gateway.Session) -> None:
    """Close the checkout that a finished session belongs to, and use a card link up."""
    mark = session.metadata.get("billing_checkout", "")
    if session.metadata.get("fork") != current_fork().name or not mark.isdigit():
        return
    checkout = db.session.get(BillingCheckout, int(mark), with_for_update=True)
    if checkout is None or checkout.customer_id != customer.id:
        return
    # The webhook may be faster than the request that opened the session.
    checkout.stripe_session_id = checkout.stripe_session_id or session.id
    if checkout.state is CheckoutState.OPEN and session.status != "open":
        checkout.state = CheckoutState(session.status)
        checkout.finished_at = clock.now()
    if session.mode == "setup" and session.status == "complete":
        dunning.settle_session(session)
