"""The history of subscriptions as signed events told it, one row each, never changed."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy.dialects.postgresql import insert

from webapp.billing.models import SubscriptionPoint
from webapp.billing.services.idling import mark_idle
from webapp.billing.services.sync.references import Fact
from webapp.core.db import db
from webapp.payments import gateway

# What ``queries.numbers.ties`` reads of an event's previous attributes, level by level. Whatever
# else there is may be a member's own words, and these rows are kept for good.
READ: Mapping[str, Any] = {
    **{name: {} for name in ("status", "quantity", "trial_end")},
    "items": {"data": {"quantity": {}, "price": {"id": {}}, "plan": {"id": {}}}},
    "plan": {"id": {}},
    "pause_collection": {"behavior": {}},
    "discounts": {"id": {}},
    "cancellation_details": {"reason": {}},
}


def record_points(facts: Sequence[Fact], customers: Collection[str]) -> None:
    """Add what the facts say subscriptions of ``customers`` were; a known one adds nothing.

    These are snapshots: true of their moment however late they come, so no fetch is needed. The
    caller holds the customers' locks.
    """
    points = [_point(fact) for fact in facts if fact.tells_of_subscription]
    rows = [point for point in points if point["stripe_customer_id"] in customers]
    if rows:
        db.session.execute(insert(SubscriptionPoint).on_conflict_do_nothing(), rows)
        mark_idle({point["stripe_subscription_id"] for point in rows})


def _point(fact: Fact) -> dict[str, Any]:
    told = gateway.subscription_of(fact.object)
    return {
        "event_id": fact.id,
        "event_type": fact.type,
        "stripe_subscription_id": told.id,
        "stripe_customer_id": told.customer,
        "at": fact.created,
        "status": told.status,
        "stripe_price_id": told.price_id,
        "interval": told.interval,
        "interval_count": told.interval_count,
        "currency": told.currency,
        "unit_amount": told.unit_amount,
        "quantity": told.quantity,
        "paused": told.pause_behavior is not None,
        "discounts": list(told.discount_ids),
        "cancellation_reason": told.cancellation_reason,
        "trial_end": told.trial_end,
        "previous": told_before(fact.data.get("previous_attributes") or {}),
    }


def told_before(previous: Mapping[str, Any]) -> dict[str, Any]:
    """Return what figures need of Stripe's ``previous_attributes``."""
    return {name: _only(previous[name], shape) for name, shape in READ.items() if name in previous}


def _only(value: Any, shape: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping):
        return {name: _only(value[name], shape[name]) for name in shape if name in value}
    return [_only(each, shape) for each in value] if isinstance(value, list) else value
