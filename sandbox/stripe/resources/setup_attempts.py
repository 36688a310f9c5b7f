"""Setup attempts: how each try to make a card ready went."""

from sandbox.stripe.listing import listed
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World

_SHOWN = (
    "brand",
    "checks",
    "country",
    "exp_month",
    "exp_year",
    "fingerprint",
    "funding",
    "last4",
    "wallet",
)


def note(world: World, setup: Row, method: Row, status: str, error: Json | None = None) -> Row:
    """Write down how the attempt under way stands, or a new one."""
    attempt = world.find("setup_attempt", setup.body["latest_attempt"])
    if attempt is not None and attempt.body["status"] == "requires_action":
        world.change(attempt, {"status": status, "setup_error": error})
        return attempt
    body: Json = {
        "application": None,
        "attach_to_self": setup.body["attach_to_self"],
        "customer": setup.body["customer"],
        "customer_account": None,
        "flow_directions": None,
        "on_behalf_of": None,
        "payment_method": method.id,
        "payment_method_details": _details(method),
        "setup_error": error,
        "setup_intent": setup.id,
        "status": status,
        "usage": setup.body["usage"],
    }
    return world.add("setup_attempt", body)


def _details(method: Row) -> Json:
    type = method.body["type"]
    if type != "card":
        return {type: {}, "type": type}
    card = {name: method.body["card"][name] for name in _SHOWN}
    card |= {"network": method.body["card"]["brand"], "three_d_secure": None}
    return {"card": card, "type": type}


def authenticated(world: World, attempt: Row) -> None:
    """Note on a card's attempt that its holder was asked."""
    attempt.body["payment_method_details"]["card"]["three_d_secure"] = {
        "authentication_flow": "challenge",
        "electronic_commerce_indicator": "05",
        "result": "authenticated",
        "result_reason": None,
        "transaction_id": "5a3d4d2c-8f0e-4a11-9c3e-6f1d2b7f9e10",
        "version": "2.2.0",
    }
    world.save(attempt)


@route("GET", "/v1/setup_attempts")
def list_(call: Call) -> Json:
    return listed(call, "setup_attempt", "/v1/setup_attempts", ("setup_intent",))
