"""Which of one second's events came last."""

from datetime import timedelta
from itertools import permutations

from sqlalchemy.orm import Session

from tests.billing.numbers.lives import BEGAN, Life, begin, tell
from webapp.billing.queries.numbers import last_days
from webapp.billing.queries.numbers.flows import list_flows, standing_of
from webapp.billing.queries.numbers.ties import replaced

DAY = timedelta(days=1)


def annual() -> int:
    return standing_of(list_flows(last_days(1, BEGAN.date() + DAY * 9))).annual


def test_updates_of_one_second_are_chained_by_what_each_replaced(session: Session) -> None:
    life = begin().step(DAY, quantity=2).step(quantity=3).step().step(quantity=1)
    tell(life.points)
    assert annual() == 22800


def test_no_naming_of_the_events_changes_which_came_last(session: Session) -> None:
    told = begin().step(DAY, quantity=2).step(status="past_due").step(quantity=3).points
    for number, order in enumerate(permutations(range(3))):
        named = [
            point
            | {
                "event_id": f"evt_{number}_{order[place - 2] if place > 1 else place + 5}",
                "stripe_subscription_id": f"sub_{number}",
            }
            for place, point in enumerate(told)
        ]
        tell(named)
    assert annual() == 6 * 3 * 22800


def test_what_was_made_and_ended_within_a_second_is_worth_nothing(session: Session) -> None:
    tell(begin().step(status="canceled").points)
    assert annual() == 0


def test_a_chain_whose_beginning_has_not_come_yet_is_still_a_chain(session: Session) -> None:
    life = Life("sub_1", "cus_1").step().step(DAY, status="active").step(DAY, quantity=4)
    life.step(DAY, quantity=5).step(quantity=6)
    tell(point for place, point in enumerate(life.points) if place != 2)
    assert annual() == 6 * 22800


def test_stripes_words_of_what_was_replaced_are_understood() -> None:
    before = {
        "status": "trialing",
        "items": {"data": [{"price": {"id": "price_1"}, "quantity": 2}]},
        "pause_collection": None,
        "discounts": ["di_1"],
        "cancellation_details": {"reason": None, "comment": None},
        "trial_end": 1767225600,
        "latest_invoice": "in_1",
    }
    assert {name: str(value) for name, value in replaced(before).items()} == {
        "status": "trialing",
        "price": "price_1",
        "quantity": "2",
        "paused": "False",
        "discounts": "['di_1']",
        "reason": "None",
        "trial_end": "2026-01-01 00:00:00+00:00",
    }
    assert replaced({"plan": {"id": "price_2"}, "pause_collection": {"behavior": "void"}}) == {
        "price": "price_2",
        "paused": True,
    }
