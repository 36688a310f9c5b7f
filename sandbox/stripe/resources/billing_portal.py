"""The customer portal: who may open it, for how long, and what it lets them do."""

from sandbox.stripe import errors
from sandbox.stripe.listing import listed
from sandbox.stripe.portal import features, flows
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World, check_metadata, merged_metadata

CONFIGURATION = "billing_portal.configuration"
SESSION = "billing_portal.session"
_PATH = "/v1/billing_portal/configurations"


def default_configuration(world: World) -> Row:
    """The one a shopkeeper saves in the dashboard: everything is allowed."""
    rows = world.rows(CONFIGURATION, ["json_extract(body, '$.is_default') = 1"])
    if rows:
        return rows[0]
    return _new_configuration(world, {"features": features.GENEROUS}, is_default=True)


def _new_configuration(world: World, params: Json, *, is_default: bool = False) -> Row:
    profile = params.get("business_profile") or {}
    login = bool((params.get("login_page") or {}).get("enabled"))
    body: Json = {
        "active": True,
        "application": None,
        "business_profile": _profile({}, profile),
        "default_return_url": params.get("default_return_url"),
        "features": features.merged(features.NOTHING, params["features"]),
        "is_default": is_default,
        "login_page": {"enabled": login, "url": None},
        "metadata": params.get("metadata") or {},
        "name": params.get("name"),
        "updated": world.now,
    }
    return world.add(CONFIGURATION, body)


def _profile(current: Json, sent: Json) -> Json:
    names = ("headline", "privacy_policy_url", "terms_of_service_url")
    return {name: sent.get(name, current.get(name)) for name in names}


def _check(world: World, params: Json) -> None:
    check_metadata(params.get("metadata") or {})
    errors.check_url(params.get("default_return_url"), "default_return_url")
    if (params.get("login_page") or {}).get("enabled"):
        raise errors.invalid("The sandbox does not support `login_page` yet.", "login_page")
    features.check(world, params.get("features") or {})


@route("POST", "/v1/billing_portal/configurations")
def create_configuration(call: Call) -> Row:
    _check(call.world, call.params)
    row = _new_configuration(call.world, call.params)
    call.world.emit("billing_portal.configuration.created", row)
    return row


@route("GET", "/v1/billing_portal/configurations/{id}")
def retrieve_configuration(call: Call, id: str) -> Row:
    return call.world.get(CONFIGURATION, id, "configuration")


@route("POST", "/v1/billing_portal/configurations/{id}")
def update_configuration(call: Call, id: str) -> Row:
    world, params = call.world, call.params
    row = world.get(CONFIGURATION, id, "configuration")
    _check(world, params)
    if row.body["is_default"] and params.get("active") is False:
        raise errors.invalid("You can't deactivate your default configuration.", "active")
    changes = call.pick("active", "default_return_url", "name")
    if "business_profile" in params:
        changes["business_profile"] = _profile(
            row.body["business_profile"], params["business_profile"]
        )
    if "features" in params:
        changes["features"] = features.merged(row.body["features"], params["features"])
    if "metadata" in params:
        changes["metadata"] = merged_metadata(row.body["metadata"], params["metadata"])
    previous = world.change(row, {**changes, "updated": world.now})
    world.emit("billing_portal.configuration.updated", row, previous)
    return row


@route("GET", "/v1/billing_portal/configurations")
def list_configurations(call: Call) -> Json:
    return listed(call, CONFIGURATION, _PATH, ("active", "is_default"))


@route("POST", "/v1/billing_portal/sessions")
def create_session(call: Call) -> Row:
    world, params = call.world, call.params
    errors.unsupported(params, ("after_expiration", "customer_account", "on_behalf_of"))
    if not params.get("customer"):
        raise errors.invalid("Missing required param: customer.", "customer", "parameter_missing")
    customer = world.named("customer", params["customer"], "customer")
    errors.check_url(params.get("return_url"), "return_url")
    if params.get("configuration"):
        configuration = world.named(CONFIGURATION, params["configuration"], "configuration")
        if not configuration.body["active"]:
            raise errors.invalid(
                f"The configuration {configuration.id} is inactive.", "configuration"
            )
    else:
        configuration = default_configuration(world)
    sent = params.get("flow_data")
    flow = flows.checked(world, customer, configuration.body["features"], sent) if sent else None
    return_url = params.get("return_url") or configuration.body["default_return_url"]
    body: Json = {
        "configuration": configuration.id,
        "customer": customer.id,
        "customer_account": None,
        "flow": flow,
        "locale": params.get("locale"),
        "on_behalf_of": None,
        "return_url": return_url,
    }
    # A link is looked at in real time, whatever clock its customer lives by.
    made = world.machine.clock.now()
    session = world.add(SESSION, body, {"opened": None, "seen": made})
    session.body["url"] = f"{world.base_url}/c/portal/{session.id}"
    world.save(session)
    world.emit("billing_portal.session.created", session)
    return session
