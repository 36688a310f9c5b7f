"""PaymentIntents: one purchase's money through its attempts, from first try to success."""

from sandbox.stripe import cards, errors, intent_body, money
from sandbox.stripe.billing import paying
from sandbox.stripe.ids import letters
from sandbox.stripe.listing import listed
from sandbox.stripe.resources import charges, customers, payment_methods, prices
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World, check_metadata, merged_metadata

_OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")
_SENT = (
    "capture_method",
    "customer",
    "description",
    "receipt_email",
    "setup_future_usage",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
)
_UNSUPPORTED = (
    "amount_details",
    "application_fee_amount",
    "confirmation_token",
    "customer_account",
    "hooks",
    "mandate",
    "mandate_data",
    "on_behalf_of",
    "payment_details",
    "payment_method_data",
    "transfer_data",
)


def shipping_of(sent: Json | None) -> Json | None:
    if not sent:
        return None
    return {
        "address": customers.full_address(sent.get("address") or {}),
        "carrier": sent.get("carrier"),
        "name": sent.get("name"),
        "phone": sent.get("phone"),
        "tracking_number": sent.get("tracking_number"),
    }


def new_intent(world: World, amount: int, currency: str, params: Json, types: list[str]) -> Row:
    """Keep an intent that still needs a payment method."""
    sent = {name: params[name] for name in _SENT if params.get(name) is not None}
    sent |= {
        "metadata": params.get("metadata") or {},
        "shipping": shipping_of(params.get("shipping")),
    }
    body = {**intent_body.new_body(amount, currency, types), **sent}
    row = world.add("payment_intent", body, {})
    row.body["client_secret"] = f"{row.id}_secret_{letters(25)}"
    world.save(row)
    world.emit("payment_intent.created", row)
    return row


def confirm(
    world: World, intent: Row, method: Row, return_url: str | None = None
) -> cards.Decline | None:
    """Try to take the money. The intent's status says how it went; a refusal is returned."""
    _use(world, intent, method)
    if method.body["type"] != "card":
        _debit(world, intent, method)
        return None
    if cards.test_card(method.private["number"]).authenticate:
        _ask_holder(world, intent, return_url)
        return None
    return _charge(world, intent, method)


def confirm_alone(world: World, intent: Row, method: Row) -> cards.Decline | None:
    """Try to take the money while its owner is away: a bank that wants to ask is `cards.ASKED`.

    What becomes of the intent then is the caller's to say.
    """
    _use(world, intent, method)
    if method.body["type"] != "card":
        _debit(world, intent, method)
        return None
    if payment_methods.asks_alone(method):
        return cards.ASKED
    return _charge(world, intent, method)


def _use(world: World, intent: Row, method: Row) -> None:
    intent.private["tried"] = method.id
    world.change(
        intent, {"payment_method": method.id, "last_payment_error": None, "next_action": None}
    )


def wait_for_holder(world: World, intent: Row) -> None:
    """Keep a payment open until its holder comes and answers the bank."""
    _ask_holder(world, intent, None)


def _ask_holder(world: World, intent: Row, return_url: str | None) -> None:
    page = f"{world.base_url}/c/authenticate/{intent.id}"
    redirect = {"return_url": return_url, "url": page}
    changes = {
        "status": "requires_action",
        "next_action": {"type": "redirect_to_url", "redirect_to_url": redirect},
    }
    world.change(intent, changes)
    world.emit("payment_intent.requires_action", intent)


def answer_bank(world: World, intent: Row, agreed: bool) -> cards.Decline | None:
    """What the holder told the bank on the authentication page."""
    method = world.get("payment_method", intent.body["payment_method"])
    world.change(intent, {"next_action": None})
    if agreed:
        decline = _charge(world, intent, method, asked=True)
        if decline is None and intent.body["setup_future_usage"]:
            method.private["set_up"] = True
            world.save(method)
    else:
        decline = cards.UNAUTHENTICATED
        _fail(world, intent, method, None, decline)
    _tell_invoice(world, intent, decline)
    return decline


def _tell_invoice(world: World, intent: Row, decline: cards.Decline | None) -> None:
    if intent.private.get("invoice"):
        paying.intent_answered(world, intent, decline)


def _charge(world: World, intent: Row, method: Row, asked: bool = False) -> cards.Decline | None:
    charge = charges.new_charge(world, intent, method)
    if asked:
        charges.authenticated(charge)
        world.save(charge)
    decline = payment_methods.refusal(world, method)
    if decline:
        blocked = cards.test_card(method.private["number"]).blocked
        charges.refuse(world, charge, decline, blocked)
        _fail(world, intent, method, charge, decline)
        return decline
    captured = intent.body["capture_method"] != "manual"
    charges.succeed(world, charge, captured)
    world.change(intent, {"latest_charge": charge.id})
    if captured:
        _succeeded(world, intent, intent.body["amount"])
    else:
        changes = {"status": "requires_capture", "amount_capturable": intent.body["amount"]}
        world.change(intent, changes)
        world.emit("payment_intent.amount_capturable_updated", intent)
    return None


def _succeeded(world: World, intent: Row, amount: int) -> None:
    changes = {
        "amount_capturable": 0,
        "amount_received": amount,
        "last_payment_error": None,
        "next_action": None,
        "status": "succeeded",
    }
    world.change(intent, changes)
    world.emit("payment_intent.succeeded", intent)


def _fail(
    world: World, intent: Row, method: Row, charge: Row | None, decline: cards.Decline
) -> None:
    error = decline.told(method.body)
    changes = {
        "last_payment_error": error,
        "payment_method": None,
        "status": "requires_payment_method",
    }
    if charge is not None:
        error["charge"] = charge.id
        changes["latest_charge"] = charge.id
    world.change(intent, changes)
    world.emit("payment_intent.payment_failed", intent)


def _debit(world: World, intent: Row, method: Row) -> None:
    """A bank debit takes days: the charge waits, and so does the intent."""
    charge = charges.new_charge(world, intent, method)
    world.change(intent, {"status": "processing", "latest_charge": charge.id})
    world.emit("payment_intent.processing", intent)
    world.emit("charge.pending", charge)


def settle(world: World, intent: Row, succeeded: bool) -> None:
    """The bank's late answer to a debit."""
    charge = world.get("charge", intent.body["latest_charge"])
    if succeeded:
        charges.succeed(world, charge, captured=True)
        _succeeded(world, intent, intent.body["amount"])
        _tell_invoice(world, intent, None)
        return
    charges.refuse(world, charge, cards.DEBIT_FAILED)
    method = world.get("payment_method", intent.body["payment_method"])
    _fail(world, intent, method, charge, cards.DEBIT_FAILED)
    _tell_invoice(world, intent, cards.DEBIT_FAILED)


def book(world: World, intent: Row) -> None:
    """Put the money on the balance, the last thing that happens to a payment."""
    charge = world.get("charge", intent.body["latest_charge"])
    if charge.body["captured"] and not charge.body["balance_transaction"]:
        charges.book(world, charge)


def cancel_intent(world: World, intent: Row, reason: str | None) -> None:
    changes = {
        "amount_capturable": 0,
        "canceled_at": world.now,
        "cancellation_reason": reason,
        "next_action": None,
        "status": "canceled",
    }
    world.change(intent, changes)
    world.emit("payment_intent.canceled", intent)


# Routes


@route("POST", "/v1/payment_intents")
def create(call: Call) -> Row:
    world, params = call.world, call.params
    errors.unsupported(params, _UNSUPPORTED)
    check_metadata(params.get("metadata") or {})
    currency = prices.checked_currency(params["currency"])
    check_amount(params["amount"], currency)
    if params.get("customer"):
        world.named("customer", params["customer"], "customer")
    intent = new_intent(world, params["amount"], currency, params, _types(currency))
    if params.get("payment_method"):
        method = payment_methods.usable(world, params["payment_method"])
        changes = {"payment_method": method.id, "status": "requires_confirmation"}
        world.change(intent, changes)
    if params.get("confirm"):
        _confirm(world, intent, params)
    return intent


def _types(currency: str) -> list[str]:
    debit = payment_methods.BANK_DEBITS.get(currency)
    return ["card", debit] if debit else ["card"]


def check_amount(amount: int, currency: str, param: str = "amount") -> None:
    if amount < 1:
        raise errors.invalid("Invalid positive integer", param, "parameter_invalid_integer")
    least = money.MINIMUM.get(currency, 1)
    if amount < least:
        raise errors.invalid(
            f"Amount must be at least {money.written(least, currency)} {currency}",
            param,
            "amount_too_small",
        )
    if amount > 99_999_999:
        raise errors.invalid(
            f"Amount must be no more than {money.written(99_999_999, currency)}",
            param,
            "amount_too_large",
        )


def _confirm(world: World, intent: Row, params: Json) -> None:
    id = params.get("payment_method") or intent.body["payment_method"]
    if not id:
        raise errors.invalid(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can "
            "either update the PaymentIntent with a payment method and then confirm it again, or "
            "confirm it again directly with a payment method or ConfirmationToken.",
            code="payment_intent_unexpected_state",
        )
    method = payment_methods.usable(world, intent.body["payment_method"] or id)
    if params.get("off_session"):
        decline = confirm_alone(world, intent, method)
        if decline is cards.ASKED:
            _fail(world, intent, method, None, decline)
    else:
        decline = confirm(world, intent, method, params.get("return_url"))
    _tell_invoice(world, intent, decline)
    if decline:
        extra = {"payment_intent": intent.body, "payment_method": method.body}
        if intent.body["latest_charge"]:
            extra["charge"] = intent.body["latest_charge"]
        raise payment_methods.card_error(decline, keep=True, **extra)
    if intent.body["status"] == "succeeded":
        book(world, intent)


def _unexpected(intent: Row, verb: str, statuses: tuple[str, ...]) -> errors.ApiError:
    return errors.ApiError(
        400,
        f"You cannot {verb} this PaymentIntent because it has a status of "
        f"{intent.body['status']}. Only a PaymentIntent with one of the following statuses may be "
        f"{verb.rstrip('e')}ed: {', '.join(statuses)}.".replace("cancelled", "canceled"),
        code="payment_intent_unexpected_state",
        payment_intent=intent.body,
    )


@route("POST", "/v1/payment_intents/{id}/confirm")
def confirm_(call: Call, id: str) -> Row:
    errors.unsupported(call.params, _UNSUPPORTED)
    intent = call.world.get("payment_intent", id, "intent")
    if intent.body["status"] not in _OPEN:
        raise _unexpected(intent, "confirm", _OPEN)
    if call.params.get("payment_method"):
        method = payment_methods.usable(call.world, call.params["payment_method"])
        call.world.change(intent, {"payment_method": method.id})
    _confirm(call.world, intent, call.params)
    return intent


@route("POST", "/v1/payment_intents/{id}/capture")
def capture(call: Call, id: str) -> Row:
    world = call.world
    errors.unsupported(call.params, ("amount_details", "transfer_data", "application_fee_amount"))
    intent = world.get("payment_intent", id, "intent")
    if intent.body["status"] != "requires_capture":
        raise _unexpected(intent, "capture", ("requires_capture",))
    held = int(intent.body["amount_capturable"])
    amount = int(call.params.get("amount_to_capture", held))
    if not 0 < amount <= held:
        most = money.written(held, intent.body["currency"])
        raise errors.invalid(
            f"The amount to capture must be at most {most}.",
            "amount_to_capture",
            "amount_too_large",
        )
    charge = world.get("charge", intent.body["latest_charge"])
    world.change(charge, {"captured": True, "amount_captured": amount})
    world.emit("charge.captured", charge)
    _succeeded(world, intent, amount)
    book(world, intent)
    return intent


@route("POST", "/v1/payment_intents/{id}/cancel")
def cancel(call: Call, id: str) -> Row:
    intent = call.world.get("payment_intent", id, "intent")
    allowed = (*_OPEN, "requires_capture")
    if intent.body["status"] not in allowed:
        raise _unexpected(intent, "cancel", allowed)
    if intent.private.get("session"):
        raise errors.invalid(
            "You cannot cancel this PaymentIntent because it was created by a Checkout Session. "
            "Expire the Checkout Session instead.",
            code="payment_intent_unexpected_state",
        )
    cancel_intent(call.world, intent, call.params.get("cancellation_reason"))
    return intent


@route("GET", "/v1/payment_intents/{id}")
def retrieve(call: Call, id: str) -> Row:
    return call.world.get("payment_intent", id, "intent")


@route("POST", "/v1/payment_intents/{id}")
def update(call: Call, id: str) -> Row:
    errors.unsupported(call.params, _UNSUPPORTED)
    intent = call.world.get("payment_intent", id, "intent")
    changes = call.pick(*_SENT)
    if "amount" in call.params:
        if intent.body["status"] not in _OPEN:
            raise _unexpected(intent, "update", _OPEN)
        check_amount(call.params["amount"], intent.body["currency"])
        changes["amount"] = call.params["amount"]
    if "shipping" in call.params:
        changes["shipping"] = shipping_of(call.params["shipping"])
    if "metadata" in call.params:
        changes["metadata"] = merged_metadata(intent.body["metadata"], call.params["metadata"])
    call.world.change(intent, changes)
    return intent


@route("GET", "/v1/payment_intents")
def list_(call: Call) -> Json:
    return listed(call, "payment_intent", "/v1/payment_intents", ("customer",))
