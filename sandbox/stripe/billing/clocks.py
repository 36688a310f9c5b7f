"""Test clocks: customers who live in a time of their own, which moves when it is told to."""

from sandbox.stripe import errors, timers
from sandbox.stripe.billing.periods import DAY
from sandbox.stripe.store import Json, Row
from sandbox.stripe.timers import timer
from sandbox.stripe.world import TEST_CLOCK, World


def create(world: World, frozen_time: int, name: str | None) -> Row:
    body: Json = {
        "deletes_after": world.now + 30 * DAY,
        "frozen_time": frozen_time,
        "name": name,
        "status": "ready",
        "status_details": {},
    }
    row = world.add(TEST_CLOCK, body)
    world.emit("test_helpers.test_clock.created", row)
    return row


def advance(world: World, clock: Row, target: int) -> Json:
    """Set a clock going; the machine does what is due on the way, and it is ready at the end.

    Returns the clock as it sets out.
    """
    if clock.body["status"] != "ready":
        raise errors.ApiError(
            429,
            "Test clock advancement underway. Wait until its status is `ready` to advance again.",
            code="lock_timeout",
        )
    if target <= clock.body["frozen_time"]:
        raise errors.invalid(
            "Invalid frozen_time: a test clock can only be advanced to a later time.", "frozen_time"
        )
    details = {"advancing": {"target_frozen_time": target}}
    previous = world.change(clock, {"status": "advancing", "status_details": details})
    world.emit("test_helpers.test_clock.advancing", clock, previous)
    world.clock, world.at = "", None
    world.set_timer(clock.id, timers.ADVANCE, world.now)
    world.machine.ring()
    return dict(clock.body)


@timer(timers.ARRIVE)
def _arrive(world: World, id: str) -> None:
    clock = world.find(TEST_CLOCK, id)
    if clock is None or clock.body.get("status") != "advancing":
        return
    target = clock.body["status_details"]["advancing"]["target_frozen_time"]
    clock.private.pop("at", None)
    changes = {"frozen_time": target, "status": "ready", "status_details": {}}
    previous = world.change(clock, changes)
    world.emit("test_helpers.test_clock.ready", clock, previous)


def delete(world: World, clock: Row) -> Json:
    """A clock takes its customers and their subscriptions with it."""
    where = ["json_extract(body, '$.test_clock') = ?"]
    for subscription in world.rows("subscription", where, [clock.id]):
        world.change(subscription, {"status": "canceled", "ended_at": world.now})
    for customer in world.rows("customer", where, [clock.id]):
        world.delete(customer)
    world.machine.store.run(
        "DELETE FROM timers WHERE account=? AND (clock=? OR id=?)",
        (world.account, clock.id, clock.id),
    )
    world.emit("test_helpers.test_clock.deleted", clock)
    return world.delete(clock)
