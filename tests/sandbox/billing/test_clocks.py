"""Test clocks: a customer's own months, while the rest of the sandbox stands still."""

from typing import Any

import pytest
import stripe

from sandbox.stripe.machine import Machine
from tests.sandbox.billing.desk import DAY, Desk, at, period

START = at("2030-01-31 08:00")


def clock(desk: Desk) -> str:
    return desk.api.test_helpers.test_clocks.create({"frozen_time": START, "name": "Far"}).id


def advance(desk: Desk, id: str, to: int) -> stripe.test_helpers.TestClock:
    """Set the clock going, and let the machine go on, as its ticker would."""
    going = desk.api.test_helpers.test_clocks.advance(id, {"frozen_time": to})
    assert going.status == "advancing"
    desk.machine.tick()
    return desk.api.test_helpers.test_clocks.retrieve(id)


def test_a_customer_lives_in_the_time_of_their_clock(desk: Desk) -> None:
    id = clock(desk)
    price = desk.price()
    far = desk.subscribe(desk.customer(test_clock=id), price)
    near = desk.subscribe(desk.customer(), price)
    assert (far.created, far.test_clock, period(far)[0]) == (START, id, "2030-01-31 08:00:00")
    assert near.created == desk.now
    there = advance(desk, id, START + 100 * DAY)
    assert (there.status, there.frozen_time) == ("ready", START + 100 * DAY)
    assert [invoice.created for invoice in desk.invoices(far)] == [
        START,
        at("2030-02-28 08:00"),
        at("2030-03-31 08:00"),
        at("2030-04-30 08:00"),
    ]
    assert {invoice.status for invoice in desk.invoices(far)} == {"paid"}
    assert len(desk.invoices(near)) == 1
    told = desk.told()
    assert told[-1] == "test_helpers.test_clock.ready"
    assert told.index("test_helpers.test_clock.advancing") < told.index("invoice.upcoming")
    # What is done by hand afterwards is done in that time too.
    assert desk.api.subscriptions.cancel(far.id).ended_at == START + 100 * DAY


def test_the_sandboxs_own_clock_leaves_test_clocks_alone(desk: Desk) -> None:
    id = clock(desk)
    far = desk.subscribe(desk.customer(test_clock=id), desk.price())
    desk.pass_(days=2000)
    assert len(desk.invoices(far)) == 1


def test_a_clock_goes_forward_only_and_once_at_a_time(desk: Desk) -> None:
    id = clock(desk)
    clocks = desk.api.test_helpers.test_clocks
    with pytest.raises(stripe.InvalidRequestError, match="later time"):
        clocks.advance(id, {"frozen_time": START})
    clocks.advance(id, {"frozen_time": START + DAY})
    with pytest.raises(stripe.RateLimitError, match="underway"):
        clocks.advance(id, {"frozen_time": START + 2 * DAY})
    desk.machine.tick()
    assert clocks.retrieve(id).status == "ready"


def test_a_clock_that_was_on_its_way_arrives_after_a_restart(desk: Desk) -> None:
    id = clock(desk)
    subscription = desk.subscribe(desk.customer(test_clock=id), desk.price())
    desk.api.test_helpers.test_clocks.advance(id, {"frozen_time": START + 40 * DAY})
    desk.close()
    again = Machine(desk.folder)
    again.tick()
    again.store.close()
    desk.__post_init__()
    assert desk.api.test_helpers.test_clocks.retrieve(id).status == "ready"
    assert len(desk.invoices(subscription)) == 2


def test_who_lives_in_a_clock_is_listed_when_asked_for(desk: Desk) -> None:
    id = clock(desk)
    price = desk.price()
    there, here = desk.customer(test_clock=id), desk.customer()
    far, near = desk.subscribe(there, price), desk.subscribe(here, price)

    def ids(what: Any, **params: Any) -> list[str]:
        return [row.id for row in what.list(params).data]

    assert ids(desk.api.customers) == [here]
    assert ids(desk.api.customers, test_clock=id) == [there]
    assert ids(desk.api.subscriptions) == [near.id]
    assert ids(desk.api.subscriptions, test_clock=id) == [far.id]
    assert ids(desk.api.test_helpers.test_clocks) == [id]


def test_a_clock_takes_its_customers_with_it(desk: Desk) -> None:
    id = clock(desk)
    customer = desk.customer(test_clock=id)
    subscription = desk.subscribe(customer, desk.price())
    assert desk.api.test_helpers.test_clocks.delete(id).deleted is True
    assert desk.api.customers.retrieve(customer).deleted is True
    assert desk.status(subscription) == "canceled"
