"""How Postgres goes about a long history: by the index of what tells, and never all of it."""

from datetime import date

from sqlalchemy import text
from sqlalchemy.orm import Session

from tests.plans import explained, measure
from webapp.billing.queries.numbers import Span
from webapp.billing.queries.numbers.flows import list_flows, standing_of
from webapp.billing.services.idling import mark_idle

SPAN = Span(date(2025, 6, 1), date(2025, 6, 30))


def fill(session: Session, subscriptions: int, points: int) -> None:
    """Give each subscription its beginning, and a renewal an hour that changes nothing."""
    session.execute(
        text("""
        INSERT INTO subscription_point (event_id, event_type, stripe_subscription_id,
            stripe_customer_id, at, status, stripe_price_id, "interval", interval_count, currency,
            unit_amount, quantity, paused, discounts, previous, idle)
        SELECT 'evt_' || i || '_' || k, 'customer.subscription.updated', 'sub_' || i, 'cus_' || i,
            '2025-01-01'::timestamptz + k * interval '1 hour', 'active', 'price_1', 'month', 1,
            'usd', 1000, 1, false, '[]', '{}', false
        FROM generate_series(1, :subscriptions) i, generate_series(1, :points) k
        """),
        {"subscriptions": subscriptions, "points": points},
    )
    measure(session)


def test_points_that_repeat_the_one_before_are_passed_by(session: Session) -> None:
    fill(session, 60, 200)
    unmarked = list_flows(SPAN)
    marked = mark_idle([f"sub_{number}" for number in range(1, 61)])
    assert marked == 60 * 199
    measure(session)
    with explained(session.connection(), "FROM subscription_point") as plans:
        flows = list_flows(SPAN)
    assert len(plans) == 2  # crowded seconds, and the movements
    for plan in plans:
        assert "ix_subscription_point_telling" in plan, plan
        assert "Seq Scan on subscription_point" not in plan, plan
    assert flows == unmarked
    assert standing_of(flows).mrr == 60_000


def test_marking_reads_the_points_of_its_subscriptions_alone(session: Session) -> None:
    fill(session, 1000, 10)
    with explained(session.connection(), "UPDATE subscription_point") as plans:
        assert mark_idle(["sub_7"]) == 9
        assert mark_idle(["sub_7"]) == 0
    assert all("Seq Scan on subscription_point" not in plan for plan in plans), plans
