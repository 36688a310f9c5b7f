"""The subscriptions and movements that a figure of recurring money is made of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row

from webapp.billing.queries.numbers import history
from webapp.billing.queries.numbers.flows import Kind, monthly
from webapp.billing.queries.numbers.spans import Span

# More than a page or a file ever asks for at once.
ALL = 10_000_000


@dataclass(frozen=True, slots=True)
class Part:
    """Which stretch of a list is wanted."""

    limit: int = ALL
    offset: int = 0


@dataclass(frozen=True, slots=True)
class MovementRow:
    """One movement. ``was`` and ``now`` are what the subscription costs in a month."""

    at: datetime
    kind: Kind
    subscription: str
    subscription_id: int | None
    email: str
    plan: str
    was: int
    now: int
    reason: str
    currency: str

    @property
    def change(self) -> int:
        return self.now - self.was


@dataclass(frozen=True, slots=True)
class PayingRow:
    """A subscription that money recurs of. ``at``: since when it costs that."""

    at: datetime
    subscription: str
    subscription_id: int | None
    email: str
    plan: str
    mrr: int
    annual: int
    currency: str


@dataclass(frozen=True, slots=True)
class CohortRow:
    """A customer of a cohort. ``mrr`` is 0 for one who had left."""

    at: datetime
    customer: str
    email: str
    first_mrr: int
    mrr: int
    currency: str


@dataclass(frozen=True, slots=True)
class Rows:
    """One part of a list, and how many rows all of it has; 0 where the part has none."""

    total: int
    found: Iterator[Any]


# Named only once the part is cut out: a page needs fifty names, not all.
_NAMED = """
    SELECT part.*, s.id AS subscription_id, coalesce(c.email, '') AS email,
        coalesce(plan.name, '') AS plan
    FROM part
    LEFT JOIN subscription AS s ON s.stripe_id = part.subscription
    LEFT JOIN billing_customer AS c ON c.stripe_customer_id = part.customer
    LEFT JOIN plan_price AS pp ON pp.stripe_price_id = part.price
    LEFT JOIN plan ON plan.id = pp.plan_id
"""
_MOVED = f"""
    , part AS (
        SELECT movement.*, count(*) OVER () AS total FROM movement
        WHERE currency = :currency AND at > :before AND kind = ANY (:kinds)
        ORDER BY at DESC, subscription LIMIT :limit OFFSET :offset
    ) {_NAMED} ORDER BY at DESC, subscription
"""
_PAYING = f"""
    , last AS (
        SELECT DISTINCT ON (subscription) subscription, customer, price, currency, at, annual
        FROM movement WHERE currency = :currency ORDER BY subscription, at DESC
    ), part AS (
        SELECT last.*, count(*) OVER () AS total FROM last WHERE annual > 0
        ORDER BY annual DESC, subscription LIMIT :limit OFFSET :offset
    ) {_NAMED} ORDER BY annual DESC, subscription
"""
_OF_COHORT = """
    , part AS (
        SELECT customer, currency, min(at) AS at, sum(delta)::bigint AS annual,
            (array_agg(delta ORDER BY at, delta DESC, subscription))[1] AS first,
            count(*) OVER () AS total
        FROM movement
        WHERE currency = :currency
            AND date_trunc('month', first_at AT TIME ZONE 'UTC')::date = :cohort
        GROUP BY customer, currency ORDER BY min(at), customer LIMIT :limit OFFSET :offset
    )
    SELECT part.*, coalesce(c.email, '') AS email FROM part
    LEFT JOIN billing_customer AS c ON c.stripe_customer_id = part.customer
    ORDER BY part.at, part.customer
"""


def list_movements(span: Span, currency: str, kinds: Sequence[Kind], part: Part) -> Rows:
    """Return the movements of these kinds within the span, the newest first."""
    names = [kind.value for kind in kinds]
    rows = _ask(_MOVED, span, currency, part, before=span.before, kinds=names)
    return _of(rows, _movement)


def list_paying(span: Span, currency: str, part: Part) -> Rows:
    """Return the subscriptions that the MRR at the span's end consists of, the dearest first."""
    return _of(_ask(_PAYING, span, currency, part), _paying)


def list_cohort(span: Span, currency: str, cohort: date, part: Part) -> Rows:
    """Return the customers who first paid in the month ``cohort``, and what they pay at the end."""
    return _of(_ask(_OF_COHORT, span, currency, part, cohort=cohort), _of_cohort)


def _ask(query: str, span: Span, currency: str, part: Part, **values: Any) -> list[Row[Any]]:
    bound = {"currency": currency, "limit": part.limit, "offset": part.offset, **values}
    return list(history.ask(query, span.end, **bound))


def _of(rows: Sequence[Row[Any]], make: Any) -> Rows:
    return Rows(rows[0].total if rows else 0, (make(row) for row in rows))


def _movement(row: Row[Any]) -> MovementRow:
    return MovementRow(
        at=row.at,
        kind=Kind(row.kind),
        subscription=row.subscription,
        subscription_id=row.subscription_id,
        email=row.email,
        plan=row.plan,
        was=monthly(row.annual - row.delta),
        now=monthly(row.annual),
        reason=_reason(row),
        currency=row.currency,
    )


def _reason(row: Row[Any]) -> str:
    if row.delta > 0:
        return ""
    if row.paused or row.status == "paused":
        return "paused"
    return row.cancellation_reason or ("" if row.annual else row.status)


def _paying(row: Row[Any]) -> PayingRow:
    return PayingRow(
        at=row.at,
        subscription=row.subscription,
        subscription_id=row.subscription_id,
        email=row.email,
        plan=row.plan,
        mrr=monthly(row.annual),
        annual=row.annual,
        currency=row.currency,
    )


def _of_cohort(row: Row[Any]) -> CohortRow:
    return CohortRow(
        at=row.at,
        customer=row.customer,
        email=row.email,
        first_mrr=monthly(row.first),
        mrr=monthly(row.annual),
        currency=row.currency,
    )
