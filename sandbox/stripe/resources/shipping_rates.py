"""Shipping rates: what a way of sending costs and how long it takes."""

from sandbox.stripe import errors
from sandbox.stripe.listing import listed
from sandbox.stripe.resources.prices import checked_currency
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World, check_metadata, merged_metadata


def new_shipping_rate(world: World, params: Json, path: str = "") -> Row:
    """Keep a rate; used by the route and by inline `shipping_rate_data`."""
    check_metadata(params.get("metadata") or {})
    fixed = params.get("fixed_amount")
    name = f"{path}[fixed_amount]" if path else "fixed_amount"
    if not fixed:
        raise errors.invalid(f"Missing required param: {name}.", name, "parameter_missing")
    errors.unsupported(fixed, ("currency_options",))
    if fixed["amount"] < 0:
        raise errors.invalid("Invalid non-negative integer", f"{name}[amount]")
    estimate = params.get("delivery_estimate")
    body: Json = {
        "active": True,
        "delivery_estimate": estimate
        and {"maximum": estimate.get("maximum"), "minimum": estimate.get("minimum")},
        "display_name": params["display_name"],
        "fixed_amount": {
            "amount": fixed["amount"],
            "currency": checked_currency(fixed["currency"], f"{name}[currency]"),
        },
        "metadata": params.get("metadata") or {},
        "tax_behavior": params.get("tax_behavior", "unspecified"),
        "tax_code": params.get("tax_code"),
        "type": "fixed_amount",
    }
    return world.add("shipping_rate", body)


@route("POST", "/v1/shipping_rates")
def create(call: Call) -> Row:
    return new_shipping_rate(call.world, call.params)


@route("GET", "/v1/shipping_rates/{id}")
def retrieve(call: Call, id: str) -> Row:
    return call.world.get("shipping_rate", id, "shipping_rate_token")


@route("POST", "/v1/shipping_rates/{id}")
def update(call: Call, id: str) -> Row:
    errors.unsupported(call.params, ("fixed_amount",))
    row = call.world.get("shipping_rate", id, "shipping_rate_token")
    changes = call.pick("active", "tax_behavior")
    if "metadata" in call.params:
        changes["metadata"] = merged_metadata(row.body["metadata"], call.params["metadata"])
    call.world.change(row, changes)
    return row


@route("GET", "/v1/shipping_rates")
def list_(call: Call) -> Json:
    where, values = [], []
    if call.params.get("currency"):
        where.append("json_extract(body, '$.fixed_amount.currency') = ?")
        values.append(call.params["currency"])
    return listed(call, "shipping_rate", "/v1/shipping_rates", ("active",), where, values)
