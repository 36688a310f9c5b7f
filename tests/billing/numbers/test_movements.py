"""Whatever happened and in whatever order it was told: movements add up to the difference."""

from datetime import date, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete
from sqlalchemy.orm import Session

from tests.billing.numbers.lives import (
    BEGAN,
    DISCOUNTS,
    Life,
    begin,
    make_discounts,
    tell,
    tell_lives,
)
from tests.factories.billing import make_customer, make_subscription
from webapp.billing.models import BillingDiscount, SubscriptionPoint
from webapp.billing.queries.numbers import Kind, Roll, Span
from webapp.billing.queries.numbers.flows import list_flows, roll_of, standing_of
from webapp.billing.services.idling import mark_idle

JANUARY = Span(date(2025, 1, 1), date(2025, 1, 31))
SOON = timedelta(days=3)

CHANGES = st.one_of(
    st.just({}),
    st.sampled_from(["active", "past_due", "unpaid"]).map(lambda status: {"status": status}),
    st.integers(1, 3).map(lambda quantity: {"quantity": quantity}),
    st.sampled_from(["price_month", "price_year"]).map(lambda price: {"price": price}),
    st.booleans().map(lambda paused: {"paused": paused}),
    st.lists(st.sampled_from(sorted(DISCOUNTS)), max_size=2, unique=True).map(
        lambda names: {"discounts": tuple(names)}
    ),
)
# Half of all events share their second with the one before.
WAITS = st.one_of(st.just(0), st.integers(1, 40 * 86400)).map(lambda each: timedelta(seconds=each))


@st.composite
def lives(draw: st.DrawFn) -> list[Life]:
    found = []
    for number in range(draw(st.integers(1, 3))):
        # The third is the first customer's second subscription.
        life = Life(f"sub_{number}", f"cus_{number % 2}").step(draw(WAITS))
        for _ in range(draw(st.integers(1, 7))):
            life.step(draw(WAITS), **draw(CHANGES))
        if draw(st.booleans()):
            reason = draw(st.sampled_from(["cancellation_requested", "payment_failed"]))
            life.step(draw(WAITS), status="canceled", reason=reason)
        found.append(life)
    return found


def roll(span: Span) -> Roll:
    flows = list_flows(span)
    return roll_of([f for f in flows if not f.within], [f for f in flows if f.within])


def forget(session: Session) -> None:
    session.execute(delete(SubscriptionPoint))


@given(told=lives(), first=st.integers(0, 150), days=st.integers(1, 90), seed=st.integers(0, 9999))
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_movements_sum_to_the_difference_in_any_order(
    session: Session, told: list[Life], first: int, days: int, seed: int
) -> None:
    if session.get(BillingDiscount, "di_once") is None:
        make_discounts()
    forget(session)
    tell_lives(told)
    since = BEGAN.date() + timedelta(days=first)
    span = Span(since, since + timedelta(days=days - 1))
    found = roll(span)
    assert found.start.annual == sum(life.annual(span.before) for life in told)
    assert found.end.annual == sum(life.annual(span.end) for life in told)
    assert sum(each.annual for each in found.movements) == found.end.annual - found.start.annual
    assert sum(each.monthly for each in found.movements) == found.end.mrr - found.start.mrr
    paying = {life.customer for life in told if life.annual(span.end)}
    assert found.end.customers == len(paying)

    points = [point for life in told for point in life.points]
    Random(seed).shuffle(points)
    flows = sorted(map(repr, list_flows(span)))
    forget(session)
    for point in points:
        tell([point])
        mark_idle([point["stripe_subscription_id"]])
    assert sorted(map(repr, list_flows(span))) == flows


def kinds(found: Roll) -> dict[Kind, int]:
    return {each.kind: each.annual for each in found.movements if each.count}


@pytest.mark.parametrize(
    ("steps", "moved"),
    [
        ([], {Kind.NEW: 22800}),
        ([{"quantity": 2}], {Kind.NEW: 22800, Kind.EXPANSION: 22800}),
        ([{"price": "price_year"}], {Kind.NEW: 22800, Kind.CONTRACTION: -3800}),
        ([{"status": "past_due"}], {Kind.NEW: 22800}),
        ([{"discounts": ("di_once",)}], {Kind.NEW: 22800}),
        ([{"discounts": ("di_forever",)}], {Kind.NEW: 22800, Kind.CONTRACTION: -4560}),
        (
            [{"status": "canceled", "reason": "cancellation_requested"}],
            {Kind.NEW: 22800, Kind.VOLUNTARY: -22800},
        ),
        (
            [{"status": "canceled", "reason": "payment_failed"}],
            {Kind.NEW: 22800, Kind.INVOLUNTARY: -22800},
        ),
        (
            [{"status": "past_due"}, {"status": "unpaid"}, {"status": "canceled"}],
            {Kind.NEW: 22800, Kind.INVOLUNTARY: -22800},
        ),
        (
            [{"paused": True}, {"paused": False}],
            {Kind.NEW: 22800, Kind.VOLUNTARY: -22800, Kind.REACTIVATION: 22800},
        ),
        (
            [{"status": "past_due"}, {"paused": True}],
            {Kind.NEW: 22800, Kind.INVOLUNTARY: -22800},
        ),
    ],
)
def test_each_movement_has_its_name(
    session: Session, steps: list[dict[str, Any]], moved: dict[Kind, int]
) -> None:
    make_discounts()
    life = begin()
    for changes in steps:
        life.step(SOON, **changes)
    tell_lives([life])
    assert kinds(roll(JANUARY)) == moved


def test_a_customer_who_subscribes_anew_comes_back_and_a_trial_is_worth_nothing_yet(
    session: Session,
) -> None:
    first = begin(1, customer="cus_1").step(SOON, status="canceled")
    again = begin(2, BEGAN + timedelta(days=9), "cus_1")
    trial = Life("sub_3", "cus_3").step(status="trialing")
    tell_lives([first, again, trial])
    found = roll(JANUARY)
    assert kinds(found) == {Kind.NEW: 22800, Kind.VOLUNTARY: -22800, Kind.REACTIVATION: 22800}
    assert (found.end.customers, found.end.mrr) == (1, 1900)


def test_what_was_bought_twice_by_mistake_moves_nothing(session: Session) -> None:
    customer = make_customer(stripe_customer_id="cus_1")
    make_subscription(customer, stripe_id="sub_2", duplicate=True)
    ended = begin(2, BEGAN + SOON, "cus_1").step(SOON, status="canceled")
    tell_lives([begin(1), ended])
    found = roll(JANUARY)
    assert (kinds(found), found.end.mrr) == ({Kind.NEW: 22800}, 1900)


def test_a_discount_that_runs_out_brings_its_money_back_on_that_day_without_an_event(
    session: Session,
) -> None:
    make_discounts()
    tell_lives([begin().step(SOON, discounts=("di_amount",))])
    ends = (BEGAN + timedelta(days=40)).date()
    assert roll(Span(ends - SOON, ends - timedelta(days=1))).end.mrr == 1400
    found = roll(Span(ends, ends))
    assert (found.start.mrr, found.end.mrr, kinds(found)) == (1400, 1900, {Kind.EXPANSION: 6000})


def test_a_point_that_arrives_late_changes_the_past_as_if_it_had_been_there(
    session: Session,
) -> None:
    life = begin().step(SOON).step(SOON, quantity=2).step(SOON, quantity=1).step(SOON)
    late = life.points.pop(3)
    tell_lives([life])
    mark_idle(["sub_1"])
    assert kinds(roll(JANUARY)) == {Kind.NEW: 22800}
    tell([late])
    assert mark_idle(["sub_1"]) == 1
    assert kinds(roll(JANUARY)) == {
        Kind.NEW: 22800,
        Kind.EXPANSION: 22800,
        Kind.CONTRACTION: -22800,
    }
    that_day = (BEGAN + SOON * 2).date()
    assert standing_of(list_flows(Span(that_day, that_day))).mrr == 3800
