"""What became of everybody, in words that two runs of one seed share: no ids, days for times."""

from datetime import datetime
from typing import Any

from sandbox.clock_run.site import Site

QUERIES = {
    "subscriptions": """
        SELECT c.email, p.slug, s.interval, s.status, s.quantity, s.unit_amount, s.started_at,
               s.current_period_end, s.trial_end, s.cancel_at_period_end, s.ended_at,
               s.cancellation_reason, s.pause_behavior, s.duplicate, s.annual_amount
        FROM subscription s JOIN billing_customer c ON c.id = s.customer_id
             LEFT JOIN plan_price pp ON pp.id = s.plan_price_id
             LEFT JOIN plan p ON p.id = pp.plan_id
    """,
    # Parts of a period are charged by the second: two runs may differ by a cent.
    "invoices": """
        SELECT c.email, i.status, i.billing_reason, i.attempt_count, i.issued_at, i.paid_at,
               CASE WHEN i.billing_reason <> 'subscription_update' THEN i.total END AS total
        FROM invoice i JOIN billing_customer c ON c.id = i.customer_id
    """,
    "attempts": """
        SELECT c.email, a.succeeded, a.decline_code, a.decline_kind, a.at
        FROM payment_attempt a JOIN invoice i ON i.id = a.invoice_id
             JOIN billing_customer c ON c.id = i.customer_id
    """,
    "cases": """
        SELECT c.email, d.state, d.decline_kind, d.channel, d.step_key, d.opened_at, d.closed_at,
               d.walled_at, (SELECT string_agg(s.key || ' ' || s.state, ', ' ORDER BY s.key)
                FROM dunning_step s WHERE s.case_id = d.id) AS steps
        FROM dunning_case d JOIN billing_customer c ON c.id = d.customer_id
    """,
    "points": """
        SELECT c.email, s.event_type, s.status, s.unit_amount, s.quantity, s.paused, s.at
        FROM subscription_point s JOIN billing_customer c
             ON c.stripe_customer_id = s.stripe_customer_id
    """,
    "entitlements": """
        SELECT u.email, e.plan_slug, e.owing, e.walled_at FROM entitlement e
        JOIN "user" u ON u.id = e.user_id
    """,
    "operations": """
        SELECT c.email, o.kind, o.state FROM billing_operation o
        JOIN billing_customer c ON c.id = o.customer_id
    """,
    # A mail in doubt was sent as far as anybody is asked again.
    "mails": """
        SELECT recipient, kind, CASE state WHEN 'unknown' THEN 'sent' ELSE state END AS state
        FROM mail
    """,
}


def outcome_of(site: Site) -> dict[str, list[str]]:
    """Return each kind of row as sorted lines."""
    return {
        kind: sorted(" | ".join(map(_word, row.values())) for row in site.rows(query))
        for kind, query in QUERIES.items()
    }


def _word(value: Any) -> str:
    return value.date().isoformat() if isinstance(value, datetime) else str(value)
