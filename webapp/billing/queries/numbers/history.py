"""Every movement of recurring money, computed from the raw points each time it is asked for.

Nothing is kept that could grow old: a point that arrives late, or an older one replayed, changes
the past as if it had been there all along. Points that repeat the one before are passed by.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Result, bindparam, text

from webapp.billing.queries.numbers.ties import overruled
from webapp.core.db import db

# By its key each time: the planner takes a list of one discount for a hundred and would read all.
_DISCOUNT = """(
    SELECT * FROM billing_discount
    WHERE id = coalesce(named.discount ->> 'id', named.discount #>> '{}') OFFSET 0
)"""

# What a year costs at the terms of a moment: webapp.billing.pricing.annual_amount as SQL. One
# discount after another, each on what the one before it left.
_ANNUAL = """
    CASE WHEN turn.discounts = '[]' THEN turn.gross ELSE (
        WITH RECURSIVE held AS (
            SELECT row_number() OVER (ORDER BY named.place) AS place,
                d.percent_off::numeric AS percent_off, d.amount_off
            FROM jsonb_array_elements(turn.discounts) WITH ORDINALITY AS named(discount, place)
            CROSS JOIN LATERAL {discount} AS d
            WHERE d.duration <> 'once' AND (d."end" IS NULL OR d."end" > {at})
        ), reduced AS (
            SELECT 0::bigint AS place, turn.period AS amount
            UNION ALL
            SELECT held.place, reduced.amount - CASE
                WHEN held.percent_off IS NULL
                    THEN least(coalesce(held.amount_off, 0), reduced.amount)
                ELSE round(reduced.amount * held.percent_off / 100)::bigint END
            FROM reduced JOIN held ON held.place = reduced.place + 1
        )
        SELECT greatest(reduced.amount, 0) FROM reduced ORDER BY place DESC LIMIT 1
    ) * turn.times / turn.interval_count END
"""


def _annual(at: str) -> str:
    return _ANNUAL.replace("{discount}", _DISCOUNT).replace("{at}", at)


_TIMES = """CASE p."interval" WHEN 'year' THEN 1 WHEN 'week' THEN 52 WHEN 'day' THEN 365
                ELSE 12 END"""

# point: the last of each second; none of a subscription bought twice by mistake, which is ended and
# given back, so that no money recurs of it. turn: those at which something about the money changed,
# with the moment of the next. change: also the ends of discounts, at which no event comes. step:
# what a year of the subscription became dearer or cheaper by. movement: the same beside what all of
# the customer's subscriptions came to before it.
MOVEMENTS = f"""
    WITH point AS (
        SELECT DISTINCT ON (p.stripe_subscription_id, p.at)
            p.stripe_subscription_id AS subscription, p.stripe_customer_id AS customer, p.at,
            p.currency, p.stripe_price_id AS price, p.status, p.paused, p.cancellation_reason,
            p.unit_amount * p.quantity AS period,
            {_TIMES} AS times, p.interval_count,
            CASE WHEN p.status IN ('active', 'past_due') AND NOT p.paused
                THEN p.unit_amount * p.quantity * {_TIMES}
                    / p.interval_count ELSE 0 END AS gross,
            CASE WHEN p.status IN ('active', 'past_due') AND NOT p.paused
                THEN p.discounts ELSE '[]' END AS discounts
        FROM subscription_point AS p
        WHERE NOT p.idle AND p.at <= :until AND p.id <> ALL (:overruled)
            AND p.stripe_subscription_id NOT IN (SELECT stripe_id FROM subscription WHERE duplicate)
        ORDER BY p.stripe_subscription_id, p.at, CASE p.event_type
            WHEN 'customer.subscription.created' THEN 0
            WHEN 'customer.subscription.deleted' THEN 2 ELSE 1 END DESC, p.event_id DESC
    ), beside AS (
        SELECT point.*, lag(status) OVER one AS status_before,
            lag(gross) OVER one AS gross_before, lag(period) OVER one AS period_before,
            lag(discounts) OVER one AS discounts_before
        FROM point WINDOW one AS (PARTITION BY subscription ORDER BY at)
    ), turn AS (
        SELECT beside.*, lead(at) OVER (PARTITION BY subscription ORDER BY at) AS next_at
        FROM beside
        WHERE gross IS DISTINCT FROM gross_before OR discounts <> discounts_before
            OR (discounts <> '[]' AND period <> period_before)
    ), change AS (
        SELECT subscription, customer, at, currency, price, status, paused, cancellation_reason,
            status_before, {_annual("turn.at")} AS annual
        FROM turn
        UNION
        SELECT subscription, customer, ends.at, currency, price, status, paused,
            cancellation_reason, status_before, {_annual("ends.at")}
        FROM turn CROSS JOIN LATERAL (
            SELECT d."end" AS at
            FROM jsonb_array_elements(turn.discounts) AS named(discount)
            CROSS JOIN LATERAL {_DISCOUNT} AS d
            WHERE d.duration <> 'once' AND d."end" > turn.at AND d."end" <= :until
                AND (turn.next_at IS NULL OR d."end" < turn.next_at)
        ) AS ends
        WHERE turn.discounts <> '[]'
    ), step AS (
        SELECT change.*,
            annual - lag(annual, 1, 0::bigint) OVER (PARTITION BY subscription ORDER BY at) AS delta
        FROM change
    ), weighed AS (
        SELECT step.*, count(*) OVER earlier AS steps_before,
            coalesce(sum(delta) OVER earlier, 0)::bigint AS customer_before,
            first_value(at) OVER (PARTITION BY customer, currency ORDER BY at) AS first_at
        FROM step WHERE delta <> 0
        WINDOW earlier AS (
            PARTITION BY customer, currency ORDER BY at, delta DESC, subscription
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        )
    ), movement AS (
        SELECT weighed.*, CASE
            WHEN delta > 0 AND customer_before > 0 THEN 'expansion'
            WHEN delta > 0 AND steps_before = 0 THEN 'new'
            WHEN delta > 0 THEN 'reactivation'
            WHEN customer_before + delta > 0 THEN 'contraction'
            WHEN cancellation_reason IN ('payment_failed', 'payment_disputed')
                OR status = 'unpaid' OR (paused AND status_before = 'past_due')
                OR EXISTS (
                    SELECT FROM subscription AS s JOIN dunning_case AS c ON c.subscription_id = s.id
                    WHERE s.stripe_id = weighed.subscription AND c.state = 'lost'
                        AND c.closed_at BETWEEN weighed.at - interval '1 day'
                            AND weighed.at + interval '1 day'
                ) THEN 'involuntary'
            ELSE 'voluntary' END AS kind
        FROM weighed
    )
"""


def ask(query: str, until: datetime, **values: Any) -> Result[Any]:
    """Return what ``query`` makes of the ``movement`` rows up to ``until``."""
    # Room to sort and to hash in, instead of spilling to disk; compiling would take longer than
    # the query.
    db.session.execute(text("SET LOCAL work_mem = '128MB'"))
    db.session.execute(text("SET LOCAL jit = off"))
    statement = text(MOVEMENTS + query).bindparams(
        bindparam("overruled", type_=ARRAY(BigInteger)),
    )
    bound: Mapping[str, Any] = {"until": until, "overruled": overruled(until), **values}
    return db.session.execute(statement, bound)
