"""Cuts Stripe's events about a person down to ids, amounts and times."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import or_, select, update

from webapp.core.db import db
from webapp.core.privacy import ERASED, Tally, among, mentions
from webapp.payments.models import StripeEvent

KEPT = "Which fact of Stripe's led to what, by Stripe's own ids: bookkeeping of payments."
# What stays, wherever it stands; whatever Stripe may add is cut away without our knowing its name.
STAYS = frozenset(
    {
        *("id", "object", "type", "api_version", "created", "livemode", "data"),
        *("amount", "amount_captured", "amount_received", "amount_refunded", "amount_total"),
        *("currency", "status", "payment_status", "payment_intent", "charge", "refunds"),
        *("metadata", "fork", "checkout"),
        # What a subscription was at its moment: the history of recurring money is made of it.
        *("customer", "subscription", "parent", "subscription_details", "mode"),
        *("items", "price", "product", "recurring", "interval", "interval_count", "unit_amount"),
        *("quantity", "discounts", "current_period_start", "current_period_end", "start_date"),
        *("trial_start", "trial_end", "cancel_at", "cancel_at_period_end", "canceled_at"),
        *("ended_at", "pause_collection", "behavior", "resumes_at", "latest_invoice"),
        *("cancellation_details", "reason", "default_payment_method", "previous_attributes"),
    }
)
BATCH = 200


def scrub_events(
    subjects: Sequence[str],
    references: Sequence[str],
    addresses: Sequence[str],
    tally: Tally,
) -> None:
    """Scrub the events about ``subjects`` ("order:42"), about Stripe's ``references`` (sessions,
    payments), and those that name one of the ``addresses``.

    An event that still waits can be handled all the same: it is refetched by its ids.
    """
    about = StripeEvent.payload["data"]["object"]
    mine = [
        among(StripeEvent.subject, subjects),
        among(StripeEvent.object_id, references),
        among(about["payment_intent"].astext, references),
    ]
    if addresses:
        mine += [mentions(StripeEvent.payload, addresses), mentions(StripeEvent.error, addresses)]
    ids = db.session.scalars(select(StripeEvent.id).where(or_(*mine)).order_by(StripeEvent.id))
    found = ids.all()
    for start in range(0, len(found), BATCH):
        strip_events(found[start : start + BATCH])
    tally.anonymised("stripe_event", len(found), KEPT)


def strip_events(ids: Sequence[str]) -> None:
    """Leave nothing of these events but what ``STAYS`` names; flushes."""
    rows = db.session.execute(
        select(StripeEvent.id, StripeEvent.payload, StripeEvent.error)
        .where(StripeEvent.id.in_(ids))
        .with_for_update()
    ).all()
    changes = [
        {"id": row.id, "payload": strip(row.payload), "error": ERASED if row.error else None}
        for row in rows
    ]
    if changes:
        db.session.execute(update(StripeEvent), changes)


def strip(value: Any) -> Any:
    """Return JSON with nothing left in it but what ``STAYS`` names."""
    if isinstance(value, dict):
        return {key: strip(inner) for key, inner in value.items() if key in STAYS}
    if isinstance(value, list):
        return [strip(inner) for inner in value]
    return value
