"""Subscriptions: a customer, what it pays for, and how that stands."""

from typing import Any

from sandbox.stripe import errors
from sandbox.stripe.billing import ending, pausing, subscribing
from sandbox.stripe.expand import includable
from sandbox.stripe.listing import listed
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World

_URL = "/v1/subscriptions"


@route("POST", _URL)
def create(call: Call) -> Row:
    return subscribing.create(call.world, call.params)


@route("GET", _URL + "/{id}")
def retrieve(call: Call, id: str) -> Row:
    return call.world.get("subscription", id)


@route("POST", _URL + "/{id}")
def update(call: Call, id: str) -> Row:
    return subscribing.update(call.world, call.world.get("subscription", id), call.params)


@route("DELETE", _URL + "/{id}")
def cancel(call: Call, id: str) -> Row:
    subscription = call.world.get("subscription", id)
    if subscription.body["ended_at"]:
        raise errors.missing("subscription", id)
    params, current = call.params, subscription.body["cancellation_details"]
    subscribing.cancel(
        call.world,
        subscription,
        details=ending.details_of(params.get("cancellation_details"), current),
        prorate=params.get("prorate", False),
        invoice_now=params.get("invoice_now", False),
    )
    return subscription


@route("POST", _URL + "/{id}/pause")
def pause(call: Call, id: str) -> Row:
    return pausing.pause(call.world, call.world.get("subscription", id), call.params)


@route("POST", _URL + "/{id}/resume")
def resume(call: Call, id: str) -> Row:
    return subscribing.resume(call.world, call.world.get("subscription", id), call.params)


@route("DELETE", _URL + "/{id}/discount")
def delete_discount(call: Call, id: str) -> Json:
    subscription = call.world.get("subscription", id)
    if not subscription.body["discounts"]:
        raise errors.invalid("No active discount for subscription: " + id)
    last = subscription.body["discounts"][-1]
    subscribing.update(call.world, subscription, {"discounts": None})
    gone = call.world.get("discount", last)
    return {**gone.body, "deleted": True}


@route("GET", _URL)
def list_(call: Call) -> Json:
    params = call.params
    errors.unsupported(params, ("automatic_tax", "customer_account", "plan"))
    where, values = _status(params.get("status"))
    if not params.get("customer") and not params.get("test_clock"):
        # What lives in a test clock's time is listed for those who ask for it.
        where.append("json_extract(body, '$.test_clock') IS NULL")
    if params.get("price"):
        where.append(
            "EXISTS (SELECT 1 FROM json_each(body, '$.items.data') "
            "WHERE json_extract(value, '$.price.id') = ?)"
        )
        values.append(params["price"])
    for edge in ("current_period_start", "current_period_end"):
        _period(params.get(edge), edge, where, values)
    equal = ("customer", "collection_method", "test_clock")
    return listed(call, "subscription", _URL, equal, where, values)


def _status(wanted: str | None) -> tuple[list[str], list[object]]:
    status = "json_extract(body, '$.status')"
    if wanted == "all":
        return [], []
    if wanted is None:
        return [f"{status} != 'canceled'"], []
    if wanted == "ended":
        return [f"{status} IN ('canceled', 'incomplete_expired')"], []
    return [f"{status} = ?"], [wanted]


def _period(wanted: Any, edge: str, where: list[str], values: list[object]) -> None:
    marks = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
    asked = wanted if isinstance(wanted, dict) else {"": wanted} if wanted is not None else {}
    for name, value in asked.items():
        where.append(f"json_extract(body, '$.items.data[0].{edge}') {marks.get(name, '=')} ?")
        values.append(value)


@includable("customer", "subscriptions")
def _of_customer(world: World, customer: Json) -> Json:
    rows = world.rows(
        "subscription",
        ["json_extract(body, '$.customer') = ?", "json_extract(body, '$.status') != 'canceled'"],
        [customer["id"]],
    )
    url = f"/v1/customers/{customer['id']}/subscriptions"
    data = [row.body for row in rows[:10]]
    return {"object": "list", "data": data, "has_more": len(rows) > 10, "url": url}
