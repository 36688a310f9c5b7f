"""The doctor: what must always be true of the data, each as a query that finds what breaks it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from webapp.core import clock
from webapp.core.db import db
from webapp.core.state import current_fork
from webapp.orders.services.settlement import find_unordered_sessions
from webapp.payments.errors import StripeRefused, StripeUnavailable

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Invariant:
    """``finds`` selects one row for each thing that breaks the rule; its first column names it."""

    name: str
    rule: str
    finds: str


INVARIANTS = [
    Invariant(
        "paid_session_has_one_order",
        "Every completed checkout has exactly one order.",
        """SELECT 'checkout:' || c.id, count(o.id) FROM checkout c
           LEFT JOIN "order" o ON o.checkout_id = c.id
           WHERE c.state = 'complete' GROUP BY c.id HAVING count(o.id) <> 1""",
    ),
    Invariant(
        "order_has_payment",
        "Every order has its payment.",
        """SELECT 'order:' || o.id FROM "order" o
           LEFT JOIN order_payment p ON p.order_id = o.id WHERE p.id IS NULL""",
    ),
    Invariant(
        "order_total_is_sum_of_parts",
        "An order's total is items - discounts + shipping + tax, and its lines sum to its items.",
        """SELECT 'order:' || o.id, o.total_amount FROM "order" o
           JOIN (SELECT order_id, sum(unit_amount * quantity) AS items, sum(total_amount) AS nets,
                        sum(discount_amount) AS discounts
                 FROM order_sku GROUP BY order_id) l ON l.order_id = o.id
           WHERE o.needs_action IS DISTINCT FROM 'unknown_checkout'
             AND (l.items <> o.items_amount OR l.discounts <> o.discount_amount
                  OR l.nets <> o.items_amount - o.discount_amount
                  OR o.total_amount <> o.items_amount - o.discount_amount + o.shipping_amount
                     + CASE WHEN o.tax_included THEN 0 ELSE o.tax_amount END)""",
    ),
    Invariant(
        "order_total_is_amount_taken",
        "What Stripe took is the order's total, or the order waits for a person.",
        """SELECT 'order:' || o.id, o.total_amount, p.amount FROM "order" o
           JOIN order_payment p ON p.order_id = o.id
           WHERE (p.amount, p.currency) <> (o.total_amount, o.currency)
             AND o.needs_action IS NULL""",
    ),
    Invariant(
        "order_has_history",
        "An order's status is the newest entry of its history.",
        """SELECT 'order:' || o.id, o.status, s.status FROM "order" o
           LEFT JOIN LATERAL (SELECT status FROM order_status WHERE order_id = o.id
                              ORDER BY id DESC LIMIT 1) s ON true
           WHERE s.status IS DISTINCT FROM o.status""",
    ),
    Invariant(
        "order_numbers_have_no_gaps",
        "Order numbers follow each other without gaps.",
        """SELECT 'number:' || number, previous FROM (
             SELECT number, lag(number) OVER (ORDER BY number) AS previous FROM "order") n
           WHERE previous IS NOT NULL AND number <> previous + 1""",
    ),
    Invariant(
        "stock_is_not_negative",
        "No tracked sku is below zero or promised beyond what is on hand.",
        """SELECT 'sku:' || sku_id, on_hand, reserved FROM sku_inventory
           WHERE reserved < 0
              OR (tracked AND NOT backorder AND (on_hand < 0 OR reserved > on_hand))""",
    ),
    Invariant(
        "reserved_is_sum_of_reservations",
        "A sku's reserved pieces are the sum of what checkouts hold.",
        """SELECT 'sku:' || i.sku_id, i.reserved, coalesce(h.held, 0) FROM sku_inventory i
           LEFT JOIN (SELECT sku_id, sum(quantity) AS held FROM stock_reservation
                      WHERE state = 'held' GROUP BY sku_id) h ON h.sku_id = i.sku_id
           WHERE i.reserved <> coalesce(h.held, 0)""",
    ),
    Invariant(
        "no_hold_without_reason",
        "Only a live checkout or an order still to be fulfilled holds stock.",
        """SELECT 'reservation:' || r.id FROM stock_reservation r
           JOIN checkout c ON c.id = r.checkout_id LEFT JOIN "order" o ON o.checkout_id = c.id
           WHERE r.state = 'held' AND c.state NOT IN ('opening', 'open', 'processing')
             AND (o.id IS NULL OR o.status NOT IN ('accepted', 'needs_action'))""",
    ),
    Invariant(
        "checkouts_are_settled",
        "No checkout is past its release time by more than a quarter of an hour.",
        """SELECT 'checkout:' || id, state FROM checkout
           WHERE state IN ('opening', 'open', 'processing')
             AND release_at < CAST(:now AS timestamptz) - interval '15 minutes'""",
    ),
    Invariant(
        "erasures_are_done",
        "Nobody waits more than a day longer than promised to be forgotten.",
        """SELECT 'user:' || id, erase_after FROM "user"
           WHERE erased_at IS NULL
             AND erase_after < CAST(:now AS timestamptz) - interval '1 day'""",
    ),
    Invariant(
        "staff_is_known",
        "Everybody with a role has a verified address and an account that isn't closed.",
        """SELECT 'user:' || id, role FROM "user"
           WHERE role IS NOT NULL AND (email_verified_at IS NULL OR closed_at IS NOT NULL)""",
    ),
    Invariant(
        "outbox_keeps_its_deadlines",
        "No job waits past its deadline.",
        """SELECT 'job:' || id, path, state FROM job
           WHERE state IN ('queued', 'running') AND deadline_at < :now""",
    ),
    Invariant(
        "no_failed_jobs",
        "No job has failed for good without a person looking at it.",
        "SELECT 'job:' || id, path, error FROM job WHERE state = 'failed'",
    ),
    Invariant(
        "no_parked_events",
        "No event of Stripe's is parked or older than a quarter of an hour.",
        """SELECT id, type, state FROM stripe_event WHERE state = 'parked'
           OR (state = 'pending' AND received_at < CAST(:now AS timestamptz)
               - interval '15 minutes')""",
    ),
    Invariant(
        "fulfilled_order_has_confirmation",
        "Every order past acceptance whose buyer is known has its confirmation mail.",
        """SELECT 'order:' || o.id, o.status FROM "order" o
           LEFT JOIN mail m ON m.dedupe_key = 'order_confirmation:' || o.id
           WHERE o.status IN ('in_fulfilment', 'partially_shipped', 'shipped', 'delivered')
             AND m.id IS NULL AND o.email <> ''""",
    ),
    Invariant(
        "money_of_ended_orders_goes_back",
        "The whole payment of a cancelled or refunded order is given back or on its way.",
        """SELECT 'order:' || o.id, p.amount, coalesce(r.promised, 0) FROM "order" o
           JOIN order_payment p ON p.order_id = o.id
           LEFT JOIN (SELECT order_id, sum(amount) AS promised FROM order_refund
                      WHERE state <> 'failed' GROUP BY order_id) r ON r.order_id = o.id
           WHERE o.status IN ('cancelled', 'refunded') AND coalesce(r.promised, 0) < p.amount""",
    ),
    Invariant(
        "refunds_are_asked_for",
        "No refund waits for more than a quarter of an hour to be asked of Stripe.",
        """SELECT 'refund:' || id, order_id, amount FROM order_refund
           WHERE state = 'requested'
             AND created_at < CAST(:now AS timestamptz) - interval '15 minutes'""",
    ),
    Invariant(
        "nothing_paid_back_is_sent",
        "No parcel leaves after the whole payment was given back.",
        """SELECT 'order:' || o.id, s.id FROM "order" o
           JOIN order_payment p ON p.order_id = o.id AND p.amount > 0
           JOIN shipment s ON s.order_id = o.id
           JOIN (SELECT order_id, sum(amount) AS promised, max(created_at) AS last
                 FROM order_refund WHERE state <> 'failed' GROUP BY order_id) r
             ON r.order_id = o.id
           WHERE r.promised >= p.amount AND s.shipped_at > r.last""",
    ),
    Invariant(
        "refunds_match_payment",
        "What a payment says was refunded is the sum of its succeeded refunds.",
        """SELECT 'order:' || p.order_id, p.amount_refunded, coalesce(r.done, 0)
           FROM order_payment p
           LEFT JOIN (SELECT order_id, sum(amount) AS done FROM order_refund
                      WHERE state = 'succeeded' GROUP BY order_id) r ON r.order_id = p.order_id
           WHERE p.amount_refunded <> coalesce(r.done, 0)""",
    ),
    Invariant(
        "history_ends_where_subscription_is",
        "A subscription is what the last event about it said, unless one still waits.",
        """SELECT 'subscription:' || s.id, s.status, p.status FROM subscription s
           JOIN LATERAL (SELECT status, stripe_price_id, quantity, at FROM subscription_point
                         WHERE stripe_subscription_id = s.stripe_id
                         ORDER BY at DESC, id DESC LIMIT 1) p ON true
           WHERE (s.status, s.stripe_price_id, s.quantity)
                 IS DISTINCT FROM (p.status, p.stripe_price_id, p.quantity)
             AND NOT EXISTS (SELECT 1 FROM subscription_point o
                             WHERE o.stripe_subscription_id = s.stripe_id AND o.at = p.at
                               AND (o.status, o.stripe_price_id, o.quantity)
                                   = (s.status, s.stripe_price_id, s.quantity))
             AND NOT EXISTS (SELECT 1 FROM stripe_event e
                             WHERE e.object_id = s.stripe_id AND e.state = 'pending')""",
    ),
    Invariant(
        "cases_chase_what_is_owed",
        "Every open case is about an open invoice.",
        """SELECT 'case:' || c.id, i.status FROM dunning_case c
           JOIN invoice i ON i.id = c.invoice_id
           WHERE c.state = 'open' AND i.status <> 'open'""",
    ),
    Invariant(
        "dunning_keeps_its_days",
        "No step of an open case waits for more than half an hour.",
        """SELECT 'case:' || id, next_due_at FROM dunning_case
           WHERE state = 'open'
             AND next_due_at < CAST(:now AS timestamptz) - interval '30 minutes'""",
    ),
    Invariant(
        "cases_come_to_an_end",
        "No case is open a day after its policy asked Stripe for the end.",
        """SELECT 'case:' || c.id, s.at FROM dunning_case c
           JOIN dunning_step s ON s.case_id = c.id AND s.action = 'end' AND s.state = 'done'
           WHERE c.state = 'open' AND s.at < CAST(:now AS timestamptz) - interval '1 day'""",
    ),
    Invariant(
        "closed_cases_are_silent",
        "No mail waits to be sent for a case that is closed.",
        """SELECT 'case:' || c.id, m.id FROM dunning_case c
           JOIN mail m ON m.subject_ref = 'case:' || c.id
           WHERE c.state <> 'open' AND m.state = 'pending'""",
    ),
    Invariant(
        "members_have_what_they_pay_for",
        "Who has a running subscription has its entitlement, and nobody else has one.",
        """SELECT 'user:' || coalesce(e.user_id, b.user_id), s.status FROM entitlement e
           FULL JOIN (subscription s JOIN billing_customer b ON b.id = s.customer_id)
             ON e.subscription_id = s.id
           WHERE (e.user_id IS NULL AND b.user_id IS NOT NULL AND NOT s.duplicate
                  AND s.pause_behavior IS NULL
                  AND s.status IN ('trialing', 'active', 'past_due', 'unpaid'))
              OR (e.user_id IS NOT NULL AND (s.id IS NULL
                  OR s.status NOT IN ('trialing', 'active', 'past_due', 'unpaid')))""",
    ),
    Invariant(
        "changes_are_asked_for",
        "No change waits for more than an hour to be asked of Stripe.",
        """SELECT 'operation:' || id, kind, target FROM billing_operation
           WHERE state = 'requested'
             AND created_at < CAST(:now AS timestamptz) - interval '1 hour'""",
    ),
    Invariant(
        "nobody_pays_twice",
        "A second subscription of one customer is ended within an hour.",
        """SELECT 'subscription:' || id, stripe_id FROM subscription
           WHERE duplicate AND status NOT IN ('canceled', 'incomplete_expired')
             AND created_at < CAST(:now AS timestamptz) - interval '1 hour'""",
    ),
    Invariant(
        "billing_is_as_at_stripe",
        "No difference found between Stripe and us is left to a person.",
        """SELECT kind || ':' || stripe_id, field, ours, theirs FROM billing_difference
           WHERE repaired_at IS NULL""",
    ),
]


def examine(*, ask_stripe: bool) -> dict[str, Any]:
    """Return ``{"fork", "healthy", "checked_at", "checks"}``.

    A check is ``{"name", "rule", "ok", "count", "broken_by"}``, which shows the first 20 rows.
    With ``ask_stripe`` the paid sessions of the last day are compared with our orders; when
    Stripe does not answer, that check's ``ok`` is None and the rest decides.
    """
    now = clock.now()
    checks = [_check(invariant, now) for invariant in INVARIANTS]
    if ask_stripe:
        checks.append(_check_stripe())
    return {
        "fork": current_fork().name,
        "healthy": all(check["ok"] is not False for check in checks),
        "checked_at": now.isoformat(),
        "checks": checks,
    }


def _check(invariant: Invariant, now: object) -> dict[str, Any]:
    rows = db.session.execute(text(invariant.finds), {"now": now}).all()
    return _result(invariant.name, invariant.rule, [list(row) for row in rows])


def _check_stripe() -> dict[str, Any]:
    name, rule = "stripe_has_no_unordered_payment", "Every session paid at Stripe has its order."
    try:
        missing = find_unordered_sessions(clock.now() - timedelta(days=1))
    except (StripeUnavailable, StripeRefused) as error:
        return _result(name, rule, []) | {"ok": None, "error": error.sentence}
    return _result(name, rule, [[session_id] for session_id in missing])


def _result(name: str, rule: str, rows: list[list[Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "rule": rule,
        "ok": not rows,
        "count": len(rows),
        "broken_by": rows[:SHOWN],
    }
