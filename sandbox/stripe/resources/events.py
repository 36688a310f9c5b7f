"""Events, as a list to sweep; their delivery is no concern of this module."""

from sandbox.stripe.listing import listed
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World


def shown(world: World, row: Row) -> Json:
    return {**row.body, "pending_webhooks": world.machine.courier.pending(row.id)}


@route("GET", "/v1/events/{id}")
def retrieve(call: Call, id: str) -> Json:
    return shown(call.world, call.world.get("event", id))


@route("GET", "/v1/events")
def list_(call: Call) -> Json:
    where, values = [], []
    if "type" in call.params:
        where.append("json_extract(body, '$.type') GLOB ?")
        values.append(call.params["type"])
    if call.params.get("types"):
        where.append(
            f"json_extract(body, '$.type') IN ({','.join('?' * len(call.params['types']))})"
        )
        values.extend(call.params["types"])
    if "delivery_success" in call.params:
        undelivered = "id IN (SELECT event FROM deliveries WHERE state != 'delivered')"
        where.append(("NOT " if call.params["delivery_success"] else "") + undelivered)
    return listed(
        call,
        "event",
        "/v1/events",
        where=where,
        values=values,
        show=lambda row: shown(call.world, row),
    )
