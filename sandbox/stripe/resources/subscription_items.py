"""Subscription items by themselves: one of a subscription's prices and how many of it."""

from sandbox.stripe import errors
from sandbox.stripe.billing import subscribing
from sandbox.stripe.listing import sublist
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World

_URL = "/v1/subscription_items"
_HOW = ("payment_behavior", "proration_behavior", "proration_date")


def _found(world: World, id: str) -> tuple[Row, Json]:
    """The subscription that holds an item, and the item."""
    stub = world.get("subscription_item", id, "subscription_item")
    subscription = world.get("subscription", stub.body["subscription"])
    for item in subscription.body["items"]["data"]:
        if item["id"] == id:
            return subscription, item
    raise errors.missing("subscription_item", id, "subscription_item")


def _change(call: Call, subscription: Row, item: Json) -> None:
    params = {key: call.params[key] for key in _HOW if key in call.params}
    subscribing.update(call.world, subscription, {**params, "items": [item]})


@route("POST", _URL)
def create(call: Call) -> Json:
    subscription = call.world.named("subscription", call.params["subscription"], "subscription")
    before = {item["id"] for item in subscription.body["items"]["data"]}
    apart = (*_HOW, "subscription")
    item = {key: value for key, value in call.params.items() if key not in apart}
    if item.get("price") in [it["price"]["id"] for it in subscription.body["items"]["data"]]:
        raise errors.invalid(
            f"An existing Subscription Item is already using price {item['price']}.", "price"
        )
    _change(call, subscription, item)
    found = [it for it in subscription.body["items"]["data"] if it["id"] not in before]
    return dict(found[0])


@route("GET", _URL + "/{id}")
def retrieve(call: Call, id: str) -> Json:
    return _found(call.world, id)[1]


@route("POST", _URL + "/{id}")
def update(call: Call, id: str) -> Json:
    subscription, _ = _found(call.world, id)
    apart = (*_HOW, "off_session")
    sent = {key: value for key, value in call.params.items() if key not in apart}
    _change(call, subscription, {**sent, "id": id})
    return _found(call.world, id)[1]


@route("DELETE", _URL + "/{id}")
def delete(call: Call, id: str) -> Json:
    subscription, _ = _found(call.world, id)
    _change(call, subscription, {"id": id, "deleted": True})
    return {"id": id, "object": "subscription_item", "deleted": True}


@route("GET", _URL)
def list_(call: Call) -> Json:
    subscription = call.world.named("subscription", call.params["subscription"], "subscription")
    url = f"{_URL}?subscription={subscription.id}"
    held = subscription.body["items"]["data"]
    return sublist(held, url, call.params, "subscription_item")
