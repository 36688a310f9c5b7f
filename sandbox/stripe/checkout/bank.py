"""The bank's own page, on which the holder of a card says whether it is really them."""

from urllib.parse import urlencode

from sandbox.stripe.checkout import expiry, form, pay
from sandbox.stripe.checkout.page import closed, respond
from sandbox.stripe.checkout.showing import shown
from sandbox.stripe.hosted import Visit, page, render, sentence
from sandbox.stripe.messages import Response
from sandbox.stripe.resources import payment_intents, setup_intents
from sandbox.stripe.store import Row
from sandbox.stripe.world import World

_KINDS = "payment_intent setup_intent"


@page("GET", "/c/authenticate/*", _KINDS, "payment")
def ask(world: World, intent: Row, _visit: Visit) -> Response:
    if intent.body["status"] != "requires_action":
        return _answered()
    method = world.get("payment_method", intent.body["payment_method"])
    pays = intent.kind == "payment_intent"
    text = render("bank.html", intent=intent.body, pays=pays, card=method.body["card"])
    return Response.html(200, text)


@page("POST", "/c/authenticate/*", _KINDS, "payment")
def answer(world: World, intent: Row, visit: Visit) -> Response:
    agreed = visit.sent.get("outcome") == "complete"
    session = world.find("checkout.session", intent.private.get("session"))
    if session is None:
        return _answer_alone(world, intent, agreed)
    expiry.expire_if_due(world, session)
    if session.body["status"] == "complete":
        return Response.redirect(form.success_url(session))
    if session.body["status"] != "open" or intent.body["status"] != "requires_action":
        return closed(session) or shown(world, session, {}, {}, 200)
    return respond(world, session, {}, pay.answer_bank(world, session, intent, agreed))


def _answered() -> Response:
    return sentence(410, "Already answered", "There is nothing left to confirm.")


def _answer_alone(world: World, intent: Row, agreed: bool) -> Response:
    """The bank's answer to a payment or setup that no session made."""
    if intent.body["status"] != "requires_action":
        return _answered()
    back = intent.body["next_action"]["redirect_to_url"]["return_url"]
    if intent.kind == setup_intents.KIND:
        setup_intents.answer_bank(world, intent, agreed)
    else:
        payment_intents.answer_bank(world, intent, agreed)
        if intent.body["status"] == "succeeded":
            payment_intents.book(world, intent)
    if back:
        join = "&" if "?" in back else "?"
        return Response.redirect(f"{back}{join}{urlencode({intent.kind: intent.id})}")
    return sentence(200, "Thank you", "You can close this page.")
