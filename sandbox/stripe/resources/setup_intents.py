"""SetupIntents: a card made ready for later charges, after its bank has had its say."""

from dataclasses import replace

from sandbox.stripe import cards, errors
from sandbox.stripe.ids import letters
from sandbox.stripe.listing import listed
from sandbox.stripe.resources import payment_methods, setup_attempts
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World, check_metadata, merged_metadata

KIND = "setup_intent"
_OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")
#: Cards that are kept without a word and refused when they are charged.
_FAILS_LATER = frozenset({"4000000000000341", "4000008260003178"})
_UNAUTHENTICATED = replace(cards.UNAUTHENTICATED, code="setup_intent_authentication_failure")
_UNSUPPORTED = (
    "confirmation_token",
    "customer_account",
    "flow_directions",
    "on_behalf_of",
    "payment_method_data",
    "single_use",
)


def new_setup(world: World, params: Json, types: list[str]) -> Row:
    """Keep an intent that still needs a payment method."""
    automatic = params.get("automatic_payment_methods") or {"enabled": True}
    body: Json = {
        "application": None,
        "attach_to_self": params.get("attach_to_self"),
        "automatic_payment_methods": {"allow_redirects": "always", **automatic},
        "cancellation_reason": None,
        "client_secret": None,
        "customer": params.get("customer"),
        "customer_account": None,
        "description": params.get("description"),
        "excluded_payment_method_types": None,
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "mandate": None,
        "metadata": params.get("metadata") or {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {
                "mandate_options": None,
                "network": None,
                "request_three_d_secure": "automatic",
            }
        },
        "payment_method_types": types,
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": params.get("usage", "off_session"),
    }
    row = world.add(KIND, body)
    row.body["client_secret"] = f"{row.id}_secret_{letters(25)}"
    world.save(row)
    world.emit("setup_intent.created", row)
    return row


def confirm(
    world: World, intent: Row, method: Row, return_url: str | None = None
) -> cards.Decline | None:
    """Ask the bank whether the card may be kept. The status says how it went."""
    world.change(intent, {"payment_method": method.id, "last_setup_error": None})
    if method.body["type"] == "card":
        if cards.test_card(method.private["number"]).authenticate:
            _ask_holder(world, intent, method, return_url)
            return None
        refusal = _refusal(method)
        if refusal:
            _fail(world, intent, method, refusal)
            return refusal
    _succeed(world, intent, method)
    return None


def answer_bank(world: World, setup: Row, agreed: bool) -> cards.Decline | None:
    """What the holder told the bank on the authentication page."""
    method = world.get("payment_method", setup.body["payment_method"])
    world.change(setup, {"next_action": None})
    refusal = _refusal(method) if agreed else _UNAUTHENTICATED
    if refusal:
        _fail(world, setup, method, refusal)
        return refusal
    _succeed(world, setup, method, asked=True)
    return None


def _refusal(method: Row) -> cards.Decline | None:
    """Why the bank will not have this card kept; some are kept and fail when charged."""
    number = method.private["number"]
    return None if number in _FAILS_LATER else cards.test_card(number).decline


def _ask_holder(world: World, setup: Row, method: Row, return_url: str | None) -> None:
    page = f"{world.base_url}/c/authenticate/{setup.id}"
    changes = {
        "status": "requires_action",
        "next_action": {
            "type": "redirect_to_url",
            "redirect_to_url": {"return_url": return_url, "url": page},
        },
        "latest_attempt": setup_attempts.note(world, setup, method, "requires_action").id,
    }
    world.change(setup, changes)
    world.emit("setup_intent.requires_action", setup)


def _succeed(world: World, setup: Row, method: Row, *, asked: bool = False) -> None:
    if setup.body["usage"] == "off_session":
        method.private["set_up"] = True
        world.save(method)
    customer = world.find("customer", setup.body["customer"])
    if customer:
        payment_methods.attach_to(world, method, customer)
    attempt = setup_attempts.note(world, setup, method, "succeeded")
    if asked:
        setup_attempts.authenticated(world, attempt)
    world.change(setup, {"latest_attempt": attempt.id, "next_action": None, "status": "succeeded"})
    world.emit("setup_intent.succeeded", setup)


def _fail(world: World, setup: Row, method: Row, decline: cards.Decline) -> None:
    error = decline.told(method.body)
    attempt = setup_attempts.note(world, setup, method, "failed", error)
    changes = {
        "last_setup_error": error,
        "latest_attempt": attempt.id,
        "payment_method": None,
        "status": "requires_payment_method",
    }
    world.change(setup, changes)
    world.emit("setup_intent.setup_failed", setup)


def cancel_setup(world: World, setup: Row, reason: str | None) -> None:
    changes = {"cancellation_reason": reason, "next_action": None, "status": "canceled"}
    world.change(setup, changes)
    world.emit("setup_intent.canceled", setup)


# Routes


@route("POST", "/v1/setup_intents")
def create(call: Call) -> Row:
    world, params = call.world, call.params
    errors.unsupported(params, _UNSUPPORTED)
    check_metadata(params.get("metadata") or {})
    if params.get("customer"):
        world.named("customer", params["customer"], "customer")
    setup = new_setup(world, params, ["card"])
    if params.get("payment_method"):
        _take(world, setup, params["payment_method"])
    if params.get("confirm"):
        _confirm(world, setup, params)
    return setup


def _take(world: World, setup: Row, id: str) -> None:
    method = payment_methods.usable(world, id)
    if method.body["customer"] not in (None, setup.body["customer"]):
        raise errors.invalid(
            f"The payment method {method.id} belongs to another customer than the SetupIntent.",
            "payment_method",
        )
    world.change(setup, {"payment_method": method.id, "status": "requires_confirmation"})


def _confirm(world: World, setup: Row, params: Json) -> None:
    if params.get("payment_method") and setup.body["payment_method"] is None:
        _take(world, setup, params["payment_method"])
    if not setup.body["payment_method"]:
        raise errors.invalid(
            "You cannot confirm this SetupIntent because it's missing a payment method. You can "
            "either update the SetupIntent with a payment method and then confirm it again, or "
            "confirm it again directly with a payment method or ConfirmationToken.",
            code="setup_intent_unexpected_state",
        )
    method = world.get("payment_method", setup.body["payment_method"])
    decline = confirm(world, setup, method, params.get("return_url"))
    if decline:
        raise payment_methods.card_error(
            decline, keep=True, setup_intent=setup.body, payment_method=method.body
        )


def _require_open(setup: Row, verb: str) -> None:
    if setup.body["status"] not in _OPEN:
        raise errors.ApiError(
            400,
            f"You cannot {verb} this SetupIntent because it has a status of "
            f"{setup.body['status']}.",
            code="setup_intent_unexpected_state",
            setup_intent=setup.body,
        )
    if setup.private.get("session"):
        raise errors.invalid(
            f"You cannot {verb} this SetupIntent because it was created by a Checkout Session. "
            "To cancel it, expire the Checkout Session instead.",
            code="setup_intent_unexpected_state",
        )


@route("POST", "/v1/setup_intents/{id}/confirm")
def confirm_(call: Call, id: str) -> Row:
    errors.unsupported(call.params, _UNSUPPORTED)
    setup = call.world.get(KIND, id, "intent")
    _require_open(setup, "confirm")
    if call.params.get("payment_method"):
        _take(call.world, setup, call.params["payment_method"])
    _confirm(call.world, setup, call.params)
    return setup


@route("POST", "/v1/setup_intents/{id}/cancel")
def cancel(call: Call, id: str) -> Row:
    setup = call.world.get(KIND, id, "intent")
    _require_open(setup, "cancel")
    cancel_setup(call.world, setup, call.params.get("cancellation_reason"))
    return setup


@route("GET", "/v1/setup_intents/{id}")
def retrieve(call: Call, id: str) -> Row:
    return call.world.get(KIND, id, "intent")


@route("POST", "/v1/setup_intents/{id}")
def update(call: Call, id: str) -> Row:
    world, params = call.world, call.params
    errors.unsupported(params, _UNSUPPORTED)
    setup = world.get(KIND, id, "intent")
    changes = call.pick("attach_to_self", "customer", "description")
    if params.get("customer"):
        world.named("customer", params["customer"], "customer")
    if "metadata" in params:
        changes["metadata"] = merged_metadata(setup.body["metadata"], params["metadata"])
    world.change(setup, changes)
    if params.get("payment_method"):
        _require_open(setup, "update")
        _take(world, setup, params["payment_method"])
    return setup


@route("GET", "/v1/setup_intents")
def list_(call: Call) -> Json:
    equal = ("attach_to_self", "customer", "payment_method")
    return listed(call, KIND, "/v1/setup_intents", equal)
