"""Webhook endpoints: who wants to hear of which events, and the secret that signs them."""

import time
from urllib.parse import urlsplit

from sandbox.stripe import errors
from sandbox.stripe.ids import webhook_secret
from sandbox.stripe.listing import listed
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World, check_metadata, merged_metadata


def check_url(url: str, param: str = "url") -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise errors.invalid("Not a valid URL", param, "url_invalid")


def new_endpoint(world: World, params: Json, secret: str | None = None) -> Row:
    """Keep an endpoint; plain http is allowed here because everything is on loopback."""
    check_url(params["url"])
    check_metadata(params.get("metadata") or {})
    if not params["enabled_events"]:
        raise errors.invalid(
            "Invalid array: enabled_events must have at least one event.", "enabled_events"
        )
    body: Json = {
        "api_version": params.get("api_version"),
        "application": None,
        "description": params.get("description"),
        "enabled_events": params["enabled_events"],
        "metadata": params.get("metadata") or {},
        "status": "enabled",
        "url": params["url"],
    }
    kept = {"value": secret or webhook_secret(), "until": None}
    return world.add("webhook_endpoint", body, {"secrets": [kept]})


def current_secret(row: Row) -> str:
    return str(row.private["secrets"][-1]["value"])


def roll(world: World, row: Row, overlap_s: float) -> str:
    """A new secret; the old one signs beside it until the overlap ends. Returns the new one."""
    ends = time.time() + overlap_s
    for secret in row.private["secrets"]:
        secret["until"] = min(secret["until"] or ends, ends)
    row.private["secrets"].append({"value": webhook_secret(), "until": None})
    world.save(row)
    return current_secret(row)


@route("POST", "/v1/webhook_endpoints")
def create(call: Call) -> Json:
    errors.unsupported(call.params, ("connect",))
    row = new_endpoint(call.world, call.params)
    # The secret is shown once, in the answer to its creation.
    return {**row.body, "secret": current_secret(row)}


@route("GET", "/v1/webhook_endpoints/{id}")
def retrieve(call: Call, id: str) -> Row:
    return call.world.get("webhook_endpoint", id, "webhook_endpoint")


@route("POST", "/v1/webhook_endpoints/{id}")
def update(call: Call, id: str) -> Row:
    row = call.world.get("webhook_endpoint", id, "webhook_endpoint")
    changes = call.pick("description", "enabled_events", "url")
    if "url" in changes:
        check_url(changes["url"])
    if "disabled" in call.params:
        changes["status"] = "disabled" if call.params["disabled"] else "enabled"
    if "metadata" in call.params:
        changes["metadata"] = merged_metadata(row.body["metadata"], call.params["metadata"])
    call.world.change(row, changes)
    return row


@route("DELETE", "/v1/webhook_endpoints/{id}")
def delete(call: Call, id: str) -> Json:
    return call.world.delete(call.world.get("webhook_endpoint", id, "webhook_endpoint"))


@route("GET", "/v1/webhook_endpoints")
def list_(call: Call) -> Json:
    return listed(call, "webhook_endpoint", "/v1/webhook_endpoints")
