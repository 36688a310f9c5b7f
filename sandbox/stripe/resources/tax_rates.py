"""Tax rates that a shop keeps itself and names on its line items."""

from sandbox.stripe import errors
from sandbox.stripe.listing import listed
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import check_metadata, merged_metadata

_PLAIN = (
    "active",
    "country",
    "description",
    "display_name",
    "jurisdiction",
    "state",
    "tax_type",
)


@route("POST", "/v1/tax_rates")
def create(call: Call) -> Row:
    params = call.params
    check_metadata(params.get("metadata") or {})
    if not 0 <= params["percentage"] <= 100:
        raise errors.invalid("Invalid percentage: must be between 0 and 100.", "percentage")
    body: Json = {
        "active": True,
        "country": None,
        "description": None,
        "effective_percentage": params["percentage"],
        "flat_amount": None,
        "inclusive": params["inclusive"],
        "jurisdiction": None,
        "jurisdiction_level": None,
        "metadata": params.get("metadata") or {},
        "percentage": params["percentage"],
        "rate_type": "percentage",
        "state": None,
        "tax_type": None,
        **call.pick(*_PLAIN),
    }
    row = call.world.add("tax_rate", body)
    call.world.emit("tax_rate.created", row)
    return row


@route("GET", "/v1/tax_rates/{id}")
def retrieve(call: Call, id: str) -> Row:
    return call.world.get("tax_rate", id, "tax_rate")


@route("POST", "/v1/tax_rates/{id}")
def update(call: Call, id: str) -> Row:
    row = call.world.get("tax_rate", id, "tax_rate")
    changes = call.pick(*_PLAIN)
    if "metadata" in call.params:
        changes["metadata"] = merged_metadata(row.body["metadata"], call.params["metadata"])
    previous = call.world.change(row, changes)
    call.world.emit("tax_rate.updated", row, previous)
    return row


@route("GET", "/v1/tax_rates")
def list_(call: Call) -> Json:
    return listed(call, "tax_rate", "/v1/tax_rates", ("active", "inclusive"))
