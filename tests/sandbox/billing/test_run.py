"""A year of many customers in one go: the books agree at its end, whatever failed on the way."""

import random

from sandbox.stripe.billing import subscribing
from sandbox.stripe.resources import customers, payment_methods
from sandbox.stripe.store import Json
from sandbox.stripe.world import World
from tests.sandbox.billing.desk import CARD, DAY, Desk

CODES = ["insufficient_funds", "do_not_honor", "lost_card", "authentication_required"]


def sign_up(world: World, price: str, trial: int) -> str:
    """A customer with a card and a subscription, the short way; returns the card."""
    customer = customers.new_customer(world, {"email": "bob@example.com"})
    billing = payment_methods.billing_details({})
    method = payment_methods.new_card(world, CARD, 12, 2050, billing)
    payment_methods.attach_to(world, method, customer)
    params: Json = {"customer": customer.id, "items": [{"price": price}]}
    params["default_payment_method"] = method.id
    if trial:
        params["trial_period_days"] = trial
    subscribing.create(world, params)
    return method.id


def test_the_books_agree_after_a_year_of_declines(desk: Desk) -> None:
    rng = random.Random(5)
    prices = [desk.price(900), desk.price(9000, "year")]
    with desk.machine.world(desk.account) as world:
        cards = [sign_up(world, prices[i % 2], trial=7 * (i % 3)) for i in range(12)]
    for _ in range(12):
        desk.spoil(rng.choice(cards), rng.choice(CODES), rng.choice([1, 2, None]))
        desk.pass_(days=31)
        desk.spoil(rng.choice(cards), None)
    desk.pass_(hours=2)
    with desk.machine.world(desk.account) as world:
        invoices, charges = world.rows("invoice"), world.rows("charge")
        subscriptions, events = world.rows("subscription"), world.rows("event")[::-1]
    paid = sum(row.body["amount_paid"] for row in invoices)
    taken = sum(row.body["amount_captured"] for row in charges)
    assert paid == taken > 0
    assert {row.body["status"] for row in invoices} == {"paid", "open"}
    assert {row.body["status"] for row in subscriptions} <= {"active", "past_due"}
    for subscription in subscriptions:
        own = [row for row in invoices if row.private["lane"] == subscription.id][::-1]
        billed = [
            line["period"]
            for row in own
            for line in row.body["lines"]["data"]
            if row.body["created"] < desk.now
        ]
        # Every period begins where the one before it ended.
        assert [p["start"] for p in billed[1:]] == [p["end"] for p in billed[:-1]]
        late = subscription.body["status"] == "past_due"
        assert late == (own[0].body["status"] == "open" or own[-1].body["status"] == "open")
    last: dict[str, Json] = {}
    for event in events:
        last[event.body["data"]["object"]["id"]] = event.body["data"]["object"]
    for row in (*invoices, *subscriptions):
        assert last[row.id] == row.body, "what was told last is what is so"
    times = [event.body["created"] for event in events]
    assert times == sorted(times)
    assert desk.now - times[-1] < 40 * DAY
