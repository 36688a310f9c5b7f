"""Payment methods: cards and bank accounts, of which only the last four digits are shown."""

import hashlib
from datetime import UTC, datetime
from typing import Any

from sandbox.stripe import cards, errors
from sandbox.stripe.listing import listed
from sandbox.stripe.resources import customers
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World, check_metadata, merged_metadata

#: The bank debit that a currency is collected with; it is confirmed days after the purchase.
BANK_DEBITS = {
    "eur": "sepa_debit",
    "usd": "us_bank_account",
    "gbp": "bacs_debit",
    "cad": "acss_debit",
    "aud": "au_becs_debit",
}


def billing_details(sent: Json) -> Json:
    return {
        "address": customers.full_address(sent.get("address") or {}),
        "email": sent.get("email") or None,
        "name": sent.get("name") or None,
        "phone": sent.get("phone") or None,
        "tax_id": sent.get("tax_id"),
    }


def _fingerprint(number: str) -> str:
    return hashlib.sha256(number.encode()).hexdigest()[:16]


def new_method(world: World, type: str, details: Json, private: Json, billing: Json) -> Row:
    body: Json = {
        "allow_redisplay": "limited" if private.get("checkout") else "unspecified",
        "billing_details": billing,
        "customer": None,
        "customer_account": None,
        "metadata": {},
        "type": type,
        type: details,
    }
    return world.add("payment_method", body, private)


def new_card(world: World, number: str, month: int, year: int, billing: Json) -> Row:
    """Keep a card; the number stays in the private part, as at Stripe."""
    card = cards.test_card(number)
    details: Json = {
        "brand": card.brand,
        "checks": {
            "address_line1_check": "pass" if billing["address"]["line1"] else None,
            "address_postal_code_check": "pass" if billing["address"]["postal_code"] else None,
            "cvc_check": "pass",
        },
        "country": card.country,
        "display_brand": "american_express" if card.brand == "amex" else card.brand,
        "exp_month": month,
        "exp_year": year,
        "fingerprint": _fingerprint(number),
        "funding": card.funding,
        "generated_from": None,
        "last4": number[-4:],
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }
    return new_method(world, "card", details, {"number": number}, billing)


def new_bank_account(world: World, type: str, number: str, billing: Json) -> Row:
    """Keep a bank account to debit; `number` is an IBAN or an account number."""
    details: Json = {"fingerprint": _fingerprint(number), "last4": number[-4:]}
    match type:
        case "sepa_debit":
            generated = {"charge": None, "setup_attempt": None}
            details |= {
                "bank_code": number[4:12],
                "branch_code": "",
                "country": number[:2],
                "generated_from": generated,
            }
        case "us_bank_account":
            details |= {
                "account_holder_type": "individual",
                "account_type": "checking",
                "bank_name": "STRIPE TEST BANK",
                "financial_connections_account": None,
                "networks": {"preferred": "ach", "supported": ["ach"]},
                "routing_number": "110000000",
                "status_details": {},
            }
        case "bacs_debit":
            details |= {"sort_code": "108800"}
        case "acss_debit":
            details |= {
                "bank_name": "STRIPE TEST BANK",
                "institution_number": "000",
                "transit_number": "11000",
            }
        case "au_becs_debit":
            details |= {"bsb_number": "000000"}
    return new_method(world, type, details, {"number": number}, billing)


def usable(world: World, id: str, param: str = "payment_method") -> Row:
    """The method of this id; `pm_card_visa` and its like become a card of their own."""
    for prefix in ("pm_card_", "tok_"):
        if id.startswith(prefix) and id.removeprefix(prefix) in cards.BY_NAME:
            number = cards.BY_NAME[id.removeprefix(prefix)]
            return new_card(world, number, 12, 2034, billing_details({}))
    row = world.find("payment_method", id)
    if row is None:
        raise errors.invalid(f"No such PaymentMethod: '{id}'", param, "resource_missing")
    return row


def asks_alone(method: Row) -> bool:
    """Whether the card's bank insists on asking although its holder is away."""
    card = cards.test_card(method.private["number"])
    if _told_to_decline(method) == cards.ASKED.decline_code:
        return True
    known = method.private.get("set_up") or method.private["number"] in cards.ALREADY_SET_UP
    return card.authenticate and not (card.remembers and known)


def refusal(world: World, method: Row) -> cards.Decline | None:
    """Why the bank refuses a charge of this card now; None if it takes it."""
    told = _told_to_decline(method)
    if told and told != cards.ASKED.decline_code:
        _count_down(world, method)
        return cards.declined(told)
    now = datetime.fromtimestamp(world.now, UTC)
    card = method.body["card"]
    if (card["exp_year"], card["exp_month"]) < (now.year, now.month):
        return cards.EXPIRED
    return cards.test_card(method.private["number"]).decline


def _told_to_decline(method: Row) -> str | None:
    return (method.private.get("declines") or {}).get("code")


def _count_down(world: World, method: Row) -> None:
    declines = method.private["declines"]
    if declines["times"] is not None:
        declines["times"] -= 1
        if declines["times"] <= 0:
            method.private["declines"] = None
        world.save(method)


def decline_from_now(world: World, method: Row, code: str | None, times: int | None) -> None:
    """Let a card be refused with a decline code, always or so many times; None ends that."""
    method.private["declines"] = {"code": code, "times": times} if code else None
    world.save(method)


def attach_to(world: World, method: Row, customer: Row) -> None:
    previous = world.change(method, {"customer": customer.id})
    if previous:
        world.emit("payment_method.attached", method)


@route("POST", "/v1/payment_methods")
def create(call: Call) -> Row:
    params = call.params
    errors.unsupported(params, ("customer", "payment_method"))
    check_metadata(params.get("metadata") or {})
    billing = billing_details(params.get("billing_details") or {})
    type = params.get("type")
    if type == "card":
        row = _card(call.world, params.get("card") or {}, billing)
    elif type == "sepa_debit" and params.get("sepa_debit"):
        iban = params["sepa_debit"]["iban"].replace(" ", "").upper()
        row = new_bank_account(call.world, type, iban, billing)
    elif type is None:
        raise errors.invalid("Missing required param: type.", "type", "parameter_missing")
    else:
        raise errors.invalid(f"The sandbox cannot create a {type} here yet.", "type")
    if params.get("metadata"):
        call.world.change(row, {"metadata": params["metadata"]})
    return row


def _card(world: World, sent: Json, billing: Json) -> Row:
    if sent.get("token"):
        row = usable(world, sent["token"], "card[token]")
        world.change(row, {"billing_details": billing})
        return row
    number = cards.digits(str(sent.get("number", "")))
    fault = cards.fault(
        number,
        sent.get("exp_month"),
        sent.get("exp_year"),
        sent.get("cvc", "000"),
        world.machine.today(),
    )
    if fault:
        raise card_error(fault)
    return new_card(world, number, sent["exp_month"], sent["exp_year"], billing)


def card_error(decline: cards.Decline, keep: bool = False, **extra: Any) -> errors.ApiError:
    """The 402 for a card that was refused."""
    if decline.decline_code:
        extra["decline_code"] = decline.decline_code
    return errors.ApiError(
        402,
        decline.message,
        type="card_error",
        code=decline.code,
        param=decline.param,
        keep=keep,
        **extra,
    )


@route("GET", "/v1/payment_methods/{id}")
def retrieve(call: Call, id: str) -> Row:
    return usable(call.world, id)


@route("POST", "/v1/payment_methods/{id}")
def update(call: Call, id: str) -> Row:
    errors.unsupported(call.params, ("us_bank_account", "payto"))
    row = call.world.get("payment_method", id, "payment_method")
    changes = call.pick("allow_redisplay")
    if "billing_details" in call.params:
        sent = {**row.body["billing_details"], **call.params["billing_details"]}
        changes["billing_details"] = billing_details(sent)
    if "card" in call.params:
        card = {k: v for k, v in call.params["card"].items() if k in ("exp_month", "exp_year")}
        changes["card"] = {**row.body["card"], **card}
    if "metadata" in call.params:
        changes["metadata"] = merged_metadata(row.body["metadata"], call.params["metadata"])
    previous = call.world.change(row, changes)
    call.world.emit("payment_method.updated", row, previous)
    return row


@route("POST", "/v1/payment_methods/{id}/attach")
def attach(call: Call, id: str) -> Row:
    errors.unsupported(call.params, ("customer_account",))
    row = usable(call.world, id)
    wanted = call.params.get("customer")
    if not wanted:
        raise errors.invalid("Missing required param: customer.", "customer", "parameter_missing")
    customer = call.world.named("customer", wanted, "customer")
    call.world.live_with(customer)
    if row.body["customer"] not in (None, customer.id):
        raise errors.invalid(
            "The payment method you provided has already been attached to a customer.",
            "payment_method",
            "payment_method_unexpected_state",
        )
    attach_to(call.world, row, customer)
    return row


@route("POST", "/v1/payment_methods/{id}/detach")
def detach(call: Call, id: str) -> Row:
    row = call.world.get("payment_method", id, "payment_method")
    if row.body["customer"] is None:
        raise errors.invalid(
            "The payment method you provided is not attached to a customer so detachment is "
            "impossible."
        )
    customer = call.world.find("customer", row.body["customer"])
    previous = call.world.change(row, {"customer": None})
    call.world.emit("payment_method.detached", row, previous)
    if customer is not None and not customer.deleted:
        _forget_default(call.world, customer, row.id)
    return row


def _forget_default(world: World, customer: Row, id: str) -> None:
    """A card that is gone is nobody's default."""
    settings = customer.body["invoice_settings"]
    if settings["default_payment_method"] == id:
        changes = {"invoice_settings": {**settings, "default_payment_method": None}}
        world.emit("customer.updated", customer, world.change(customer, changes))
    for subscription in customers.subscriptions_of(world, customer):
        if subscription.body["default_payment_method"] == id:
            previous = world.change(subscription, {"default_payment_method": None})
            world.emit("customer.subscription.updated", subscription, previous)


@route("GET", "/v1/payment_methods")
def list_(call: Call) -> Json:
    equal = ("type", "customer", "allow_redisplay")
    return listed(call, "payment_method", "/v1/payment_methods", equal)
