"""The contestants of the bench of webhooks are given the same events, sorted by people."""

from typing import Any

from bench.billing.people import Member
from bench.billing.stream import Worked, split
from bench.load import Load, together


def told(type_: str, **about: Any) -> dict[str, Any]:
    return {"type": type_, "data": {"object": about}}


def test_events_go_to_their_groups_in_order_and_what_no_subscription_needs_is_left_out() -> None:
    made = told("customer.created", object="customer", id="cus_a")
    tried = told("charge.failed", object="charge", id="ch_1", customer="cus_a")
    paid = told("invoice.paid", object="invoice", id="in_1", customer="cus_a")
    warm = told("invoice.paid", object="invoice", id="in_2", customer="cus_b")
    other = told("invoice.paid", object="invoice", id="in_3", customer="cus_c")
    stream = split(
        [made, warm, tried, other, paid], ([Member(0, "cus_b")], [], [Member(1, "cus_a")])
    )
    assert stream.events == [made, paid]
    assert stream.warm == ([warm], [])
    assert stream.others == [other]


def test_slices_of_load_add_up_and_only_what_was_done_counts() -> None:
    slices = [Load(100, 2.0, 1, 2, 3), Load(50, 1.0, 5, 6, 7), Load(50, 1.0, 3, 4, 5)]
    load = together(slices)
    assert load == Load(200, 4.0, 3, 4, 5)
    assert Worked(load, done=100, seconds=4.0).rate == 25
