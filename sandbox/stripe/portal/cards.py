"""The customer's cards: added with the bank's word, made the one to charge, removed."""

from sandbox.stripe import cards
from sandbox.stripe.billing import subscribing
from sandbox.stripe.checkout.form import expiry_of
from sandbox.stripe.checkout.page import faults_of_card
from sandbox.stripe.messages import Response
from sandbox.stripe.portal import plans
from sandbox.stripe.portal.visiting import Portal, step
from sandbox.stripe.resources import payment_methods, setup_intents
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World


def shown(portal: Portal) -> list[Json]:
    """The cards for the page, the one that is charged first."""
    default = plans.default_method(portal.customer)
    used = {row.body["default_payment_method"] for row in plans.live(portal.world, portal.customer)}
    found = [
        {
            "id": row.id,
            "words": plans.method_words(row.body),
            "expires": _expiry(row.body),
            "default": row.id == default,
            # What a plan is paid with can be replaced, not taken away.
            "removable": row.id != default and row.id not in used,
        }
        for row in _methods(portal.world, portal.customer)
    ]
    return sorted(found, key=lambda card: not card["default"])


def _expiry(method: Json) -> str:
    card = method.get("card")
    return f"{card['exp_month']:02}/{card['exp_year'] % 100:02}" if card else ""


def _methods(world: World, customer: Row) -> list[Row]:
    return world.rows("payment_method", ["json_extract(body, '$.customer') = ?"], [customer.id])


@step("GET", "card", "payment_method_update")
def ask(portal: Portal) -> Response:
    """The form; or, on the way back from the bank, what became of the card."""
    setup = portal.world.find(setup_intents.KIND, portal.visit.query.get("setup_intent"))
    if setup is not None and setup.body["customer"] == portal.customer.id:
        if setup.body["status"] == "succeeded":
            make_default(portal.world, portal.customer, setup.body["payment_method"])
            return portal.finish("card")
        error = setup.body["last_setup_error"]
        if error:
            return _form(portal, {"payment": error["message"]}, 402)
    return _form(portal, {}, 200)


def _form(portal: Portal, faults: dict[str, str], status: int) -> Response:
    return portal.render("card", status, sent=portal.visit.sent, faults=faults)


@step("POST", "card", "payment_method_update")
def add(portal: Portal) -> Response:
    world, sent = portal.world, portal.visit.sent
    fault = fault_of(world, sent)
    if fault:
        return _form(portal, faults_of_card(fault.message, fault.param), 402)
    setup = setup_intents.new_setup(world, {"customer": portal.customer.id}, ["card"])
    method = typed_card(world, sent, portal.customer)
    back = world.base_url + portal.address("card")
    decline = setup_intents.confirm(world, setup, method, back)
    if decline:
        return _form(portal, faults_of_card(decline.message, decline.param), 402)
    if setup.body["status"] == "requires_action":
        return Response.redirect(setup.body["next_action"]["redirect_to_url"]["url"])
    make_default(world, portal.customer, method.id)
    return portal.finish("card")


def fault_of(world: World, sent: dict[str, str]) -> cards.Decline | None:
    """What is wrong with the card that was typed."""
    month, year = expiry_of(sent)
    number = cards.digits(sent.get("card_number", ""))
    return cards.fault(number, month, year, sent.get("cvc", ""), world.machine.today())


def typed_card(world: World, sent: dict[str, str], customer: Row | None) -> Row:
    """Keep the card that was typed; the caller has looked for faults."""
    month, year = expiry_of(sent)
    known = (
        {"email": customer.body["email"], "address": customer.body["address"]} if customer else {}
    )
    billing = payment_methods.billing_details({**known, "name": sent.get("name")})
    number = cards.digits(sent.get("card_number", ""))
    return payment_methods.new_card(world, number, month or 12, year or 2034, billing)


def make_default(world: World, customer: Row, method: str) -> None:
    """Charge this card from now on, for plans that have a card of their own too."""
    settings = {**customer.body["invoice_settings"], "default_payment_method": method}
    previous = world.change(customer, {"invoice_settings": settings})
    if previous:
        world.emit("customer.updated", customer, previous)
    for row in plans.live(world, customer):
        if row.body["default_payment_method"] not in (None, method):
            subscribing.update(world, row, {"default_payment_method": method})


@step("POST", "default", "payment_method_update")
def choose(portal: Portal) -> Response:
    method = _own(portal)
    if method is None:
        return portal.go()
    make_default(portal.world, portal.customer, method.id)
    return portal.finish("default")


@step("POST", "remove", "payment_method_update")
def remove(portal: Portal) -> Response:
    method = _own(portal)
    removable = {card["id"] for card in shown(portal) if card["removable"]}
    if method is None or method.id not in removable:
        return portal.go()
    previous = portal.world.change(method, {"customer": None})
    portal.world.emit("payment_method.detached", method, previous)
    return portal.go(done="removed")


def _own(portal: Portal) -> Row | None:
    method = portal.world.find("payment_method", portal.visit.sent.get("method"))
    if method is None or method.body["customer"] != portal.customer.id:
        return None
    return method
