"""The hosted page: where a buyer reads the order, types a test card, pays, or walks away."""

from sandbox.stripe import money
from sandbox.stripe.checkout import choices, expiry, form, pay
from sandbox.stripe.checkout.expiry import DAY
from sandbox.stripe.checkout.showing import shown
from sandbox.stripe.hosted import Visit, page, sentence
from sandbox.stripe.messages import Response
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World

KIND, NOUN = "checkout.session", "checkout session"
_FIELD_OF_PARAM = {
    "number": "card_number",
    "exp_month": "expiry",
    "exp_year": "expiry",
    "cvc": "cvc",
}
_ENDED = {
    "payment": ("You've already paid this order.", "nothing was charged"),
    "setup": ("Your card is already saved.", "no card was saved"),
    "subscription": ("You're already subscribed.", "nothing was charged"),
}


@page("GET", "/c/pay/*", KIND, NOUN)
def show(world: World, session: Row, _visit: Visit) -> Response:
    expiry.expire_if_due(world, session)
    return closed(session) or shown(world, session, {}, {}, 200)


@page("POST", "/c/pay/*", KIND, NOUN)
def submit(world: World, session: Row, visit: Visit) -> Response:
    expiry.expire_if_due(world, session)
    if session.body["status"] == "complete":
        # The buyer clicked twice: the first click paid.
        return Response.redirect(form.success_url(session))
    if session.body["status"] != "open":
        return closed(session) or shown(world, session, {}, {}, 200)
    if visit.sent.get("action", "pay") != "pay":
        return _change(world, session, visit.sent)
    return _pay(world, session, visit.sent)


@page("GET", "/c/recover/*", KIND, NOUN)
def recover(world: World, old: Row, _visit: Visit) -> Response:
    """A new session in place of one that expired, if it was made to be recovered."""
    recovery = (old.body["after_expiration"] or {}).get("recovery") or {}
    if not recovery.get("url") or recovery["expires_at"] <= world.now:
        return sentence(410, "Too late", "This order can't be picked up again.")
    return Response.redirect(str(_recovered(world, old, recovery).body["url"]))


@page("GET", "/c/receipt/*", "charge", "receipt")
def receipt(_world: World, charge: Row, _visit: Visit) -> Response:
    amount = money.written(charge.body["amount_captured"], charge.body["currency"])
    return sentence(200, "Receipt", f"{amount} was paid. Charge {charge.id}.")


def _recovered(world: World, old: Row, recovery: Json) -> Row:
    body: Json = {
        **old.body,
        "after_expiration": None,
        "allow_promotion_codes": recovery["allow_promotion_codes"],
        "expires_at": world.now + DAY,
        "payment_intent": None,
        "recovered_from": old.id,
        "status": "open",
    }
    for name in ("id", "created"):
        body.pop(name)
    spent = ("buyer", "intent")
    private = {name: value for name, value in old.private.items() if name not in spent}
    fresh = world.add(KIND, body, private)
    fresh.body["url"] = f"{world.base_url}/c/pay/{fresh.id}"
    world.save(fresh)
    world.set_timer(fresh.id, "expire", fresh.body["expires_at"])
    return fresh


def closed(session: Row) -> Response | None:
    """The sentence for a session nobody can complete any more."""
    done, undone = _ENDED[session.body["mode"]]
    if session.body["status"] == "complete":
        link = form.success_url(session)
        return sentence(200, "All done here", done, link, "Back to the shop")
    if session.body["status"] == "expired":
        return sentence(
            410,
            "This checkout has expired",
            f"Too much time has passed, and {undone}. Please start again from the shop.",
            session.body["cancel_url"] or "",
            "Back to the shop",
        )
    return None


def _pay(world: World, session: Row, sent: dict[str, str]) -> Response:
    buyer = form.buyer_of(sent)
    faults = choices.choose(world, session, buyer)
    total = session.body["amount_total"]
    if not faults and sent.get("shown_total", str(total)) != str(total):
        # Nobody pays a figure they haven't seen.
        words = money.written(total, session.body["currency"])
        faults = {"total": f"The total is now {words}. Please look at it and pay again."}
    if faults:
        return shown(world, session, sent, faults, 422)
    return respond(world, session, sent, pay.pay(world, session, buyer))


def _change(world: World, session: Row, sent: dict[str, str]) -> Response:
    """A button other than Pay: another way to ship, or a code put on or taken off."""
    faults: dict[str, str] = {}
    option = sent.get("shipping_option")
    if option and not choices.choose_shipping(world, session, option):
        faults["shipping_option"] = "Choose one of the ways to ship."
    if sent["action"] == "remove_promotion":
        choices.apply_code(world, session, "")
        sent.pop("promotion_code", None)
    elif sent["action"] == "apply_promotion":
        code = sent.get("promotion_code", "")
        refusal = choices.apply_code(world, session, code) if code.strip() else "Enter a code."
        if refusal:
            faults["promotion_code"] = refusal
    return shown(world, session, sent, faults, 422 if faults else 200)


def respond(world: World, session: Row, sent: dict[str, str], outcome: pay.Outcome) -> Response:
    """Where a buyer goes after an attempt to complete."""
    match outcome:
        case pay.Completed():
            return Response.redirect(form.success_url(session))
        case pay.NeedsBank(intent):
            return Response.redirect(f"{world.base_url}/c/authenticate/{intent}")
        case pay.Declined(decline):
            return shown(world, session, sent, faults_of_card(decline.message, decline.param), 402)
        case pay.Invalid(faults):
            return shown(world, session, sent, faults, 422)


def faults_of_card(message: str, param: str | None) -> dict[str, str]:
    """A refusal above the fields of the card, and beside the one it is about."""
    faults = {"payment": message}
    if param in _FIELD_OF_PARAM:
        faults[_FIELD_OF_PARAM[param]] = message
    return faults
