"""Every try to collect an invoice, once: the charges of Stripe's, and tries that made none."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy.dialects.postgresql import insert

from webapp.billing.declines import kind_of
from webapp.billing.models import Invoice, InvoiceStatus, PaymentAttempt
from webapp.core import clock
from webapp.core.db import db
from webapp.payments import gateway

NEEDS_CONSENT = "authentication_required"
NO_CARD = "missing"


def write_attempts(
    tried: Iterable[tuple[Invoice, gateway.StripeInvoice, list[gateway.Charge]]],
) -> set[int]:
    """Add the attempts we don't know yet; returns the ids of invoices of which one failed."""
    rows = [row for invoice, found, charges in tried for row in _attempts(invoice, found, charges)]
    if rows:
        statement = insert(PaymentAttempt).on_conflict_do_nothing(index_elements=["charge_id"])
        db.session.execute(statement, rows)
    return {row["invoice_id"] for row in rows if not row["succeeded"]}


def _attempts(
    invoice: Invoice, found: gateway.StripeInvoice, charges: list[gateway.Charge]
) -> list[dict[str, Any]]:
    rows = [_attempt(invoice, charge) for charge in charges if not charge.pending]
    if _was_tried_in_vain(found) and not charges:
        rows.append(_attempt_without_charge(invoice, found))
    return rows


def _was_tried_in_vain(found: gateway.StripeInvoice) -> bool:
    return found.status == InvoiceStatus.OPEN and found.attempt_count > 0


def _attempt(invoice: Invoice, charge: gateway.Charge) -> dict[str, Any]:
    return {
        "invoice_id": invoice.id,
        "charge_id": charge.id,
        # A bank that refuses after days is not held against the days it took.
        "at": clock.now() if charge.slow and not charge.succeeded else charge.created,
        "amount": charge.amount,
        "succeeded": charge.succeeded,
        "decline_code": charge.decline_code,
        "decline_kind": None if charge.succeeded else kind_of(charge.decline_code),
        "payment_method_id": charge.payment_method,
        "card_brand": charge.card_brand,
        "card_last4": charge.card_last4,
    }


def _attempt_without_charge(invoice: Invoice, found: gateway.StripeInvoice) -> dict[str, Any]:
    """A bank that wants the customer's consent, or a customer without a card, makes no charge."""
    code = NEEDS_CONSENT if found.needs_action else NO_CARD
    return {
        "invoice_id": invoice.id,
        "charge_id": f"{found.id}:{code}",
        "at": found.finalized_at or found.created,
        "amount": found.amount_remaining,
        "succeeded": False,
        "decline_code": code,
        "decline_kind": kind_of(code),
        "payment_method_id": None,
        "card_brand": None,
        "card_last4": None,
    }
