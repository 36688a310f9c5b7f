"""Test clocks: months in seconds for the customers who live in them."""

from sandbox.stripe import errors
from sandbox.stripe.billing import clocks
from sandbox.stripe.listing import listed
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import TEST_CLOCK

_URL = "/v1/test_helpers/test_clocks"


@route("POST", _URL)
def create(call: Call) -> Row:
    errors.unsupported(call.params, ("customer",))
    return clocks.create(call.world, call.params["frozen_time"], call.params.get("name"))


@route("GET", _URL + "/{id}")
def retrieve(call: Call, id: str) -> Row:
    return call.world.get(TEST_CLOCK, id, "test_clock")


@route("POST", _URL + "/{id}/advance")
def advance(call: Call, id: str) -> Json:
    clock = call.world.get(TEST_CLOCK, id, "test_clock")
    return clocks.advance(call.world, clock, call.params["frozen_time"])


@route("DELETE", _URL + "/{id}")
def delete(call: Call, id: str) -> Json:
    return clocks.delete(call.world, call.world.get(TEST_CLOCK, id, "test_clock"))


@route("GET", _URL)
def list_(call: Call) -> Json:
    return listed(call, TEST_CLOCK, _URL)
