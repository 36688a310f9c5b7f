"""Stripe's objects as the columns of our rows."""

from typing import Any

from webapp.billing.models import Interval, InvoiceStatus, SubscriptionStatus
from webapp.billing.pricing import COUNTED, Reduction, annual_amount
from webapp.core import clock
from webapp.payments import gateway


def subscription_columns(
    found: gateway.StripeSubscription, ticket: int, plan_price_id: int | None
) -> dict[str, Any]:
    """Return the columns of ``Subscription`` that Stripe decides."""
    same = (
        *("item_id", "interval_count", "currency", "unit_amount", "quantity", "started_at"),
        *("current_period_start", "current_period_end", "trial_start", "trial_end"),
        *("cancel_at_period_end", "cancel_at", "canceled_at", "ended_at", "cancellation_reason"),
        *("pause_behavior", "pause_resumes_at", "default_payment_method", "latest_invoice"),
        "livemode",
    )
    return {
        **{name: getattr(found, name) for name in same},
        "status": SubscriptionStatus(found.status),
        "interval": Interval(found.interval),
        "stripe_price_id": found.price_id,
        "stripe_product_id": found.product_id,
        "plan_price_id": plan_price_id,
        "discounts": [_discount(each) for each in found.discounts],
        "annual_amount": _annual_amount(found),
        "synced_ticket": ticket,
        "synced_at": clock.now(),
    }


def _discount(found: gateway.Discount) -> dict[str, Any]:
    return {
        "id": found.id,
        "percent_off": found.percent_off,
        "amount_off": found.amount_off,
        "duration": found.duration,
        "end": found.end.isoformat() if found.end else None,
    }


def _annual_amount(found: gateway.StripeSubscription) -> int:
    if SubscriptionStatus(found.status) not in COUNTED or found.pause_behavior:
        return 0
    reductions = [
        Reduction(each.percent_off, each.amount_off, each.duration, each.end)
        for each in found.discounts
    ]
    return annual_amount(
        found.unit_amount,
        found.quantity,
        Interval(found.interval),
        found.interval_count,
        reductions,
        clock.now(),
    )


def invoice_columns(
    found: gateway.StripeInvoice, ticket: int, subscription_id: int | None
) -> dict[str, Any]:
    """Return the columns of ``Invoice`` that Stripe decides."""
    same = (
        *("number", "billing_reason", "currency", "subtotal", "total", "amount_due"),
        *("amount_paid", "amount_remaining", "attempt_count", "next_payment_attempt"),
        *("period_start", "period_end", "finalized_at", "paid_at", "voided_at"),
        *("marked_uncollectible_at", "hosted_invoice_url", "invoice_pdf", "payment_intent"),
        "processing",
        "livemode",
    )
    return {
        **{name: getattr(found, name) for name in same},
        "status": InvoiceStatus(found.status),
        "subscription_id": subscription_id,
        "issued_at": found.finalized_at or found.created,
        "lines": [_line(each) for each in found.lines],
        "synced_ticket": ticket,
        "synced_at": clock.now(),
    }


def _line(found: gateway.InvoiceLine) -> dict[str, Any]:
    return {
        "description": found.description,
        "quantity": found.quantity,
        "amount": found.amount,
        "proration": found.proration,
        "start": found.start.isoformat(),
        "end": found.end.isoformat(),
    }
