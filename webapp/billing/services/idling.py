"""Marks the points of a subscription that repeat the one before, so that figures pass them by."""

from collections.abc import Collection
from typing import Any, cast

from sqlalchemy import ARRAY, CursorResult, Text, bindparam, text

from webapp.core.db import db

# Alone in its second, as is the one before, and the same in all that figures read: every figure is
# the same without it. In a second of several points each may be the last, so all of them count.
_MARK = text("""
    UPDATE subscription_point AS p SET idle = found.repeats
    FROM (
        SELECT id, coalesce(
            crowd = 1 AND lag(crowd) OVER life = 1 AND told = lag(told) OVER life, false
        ) AS repeats
        FROM (
            SELECT id, stripe_subscription_id, at, event_id,
                count(*) OVER (PARTITION BY stripe_subscription_id, at) AS crowd,
                jsonb_build_array(stripe_customer_id, status, stripe_price_id, "interval",
                    interval_count, currency, unit_amount, quantity, paused, discounts,
                    cancellation_reason, trial_end) AS told
            FROM subscription_point WHERE stripe_subscription_id = ANY (:subscriptions)
        ) AS point
        WINDOW life AS (PARTITION BY stripe_subscription_id ORDER BY at, event_id)
    ) AS found
    WHERE p.id = found.id AND p.idle <> found.repeats
""").bindparams(bindparam("subscriptions", type_=ARRAY(Text)))

_LOCK = text("""
    SELECT id FROM billing_customer WHERE stripe_customer_id IN (
        SELECT stripe_customer_id FROM subscription_point
        WHERE stripe_subscription_id = ANY (:subscriptions)
    ) ORDER BY id FOR UPDATE
""").bindparams(bindparam("subscriptions", type_=ARRAY(Text)))


def mark_idle(subscriptions: Collection[str]) -> int:
    """Mark anew the points of these subscriptions (Stripe's ids); returns how many it changed.

    To be called after points were added: a late one may make the one after it tell something.
    Points that were never marked only cost time. Whoever adds to a subscription at once waits here
    for the other's end, so the last to mark sees the points of both.
    """
    bound = {"subscriptions": sorted(subscriptions)}
    db.session.execute(_LOCK, bound)
    found = db.session.execute(_MARK, bound)
    return cast("CursorResult[Any]", found).rowcount
