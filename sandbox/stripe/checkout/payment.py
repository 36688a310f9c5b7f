"""A session's money side: its intent, and the payment method made of what was typed."""

from sandbox.stripe import cards
from sandbox.stripe.checkout.buyer import Buyer, email_of, shipping_details
from sandbox.stripe.resources import customers, payment_intents, payment_methods
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World


def intent_of(world: World, session: Row, buyer: Buyer) -> Row:
    """The session's intent: made at the first attempt, used again at the next."""
    total = session.body["amount_total"]
    shipping = shipping_details(session, buyer)
    if shipping and session.body["phone_number_collection"]["enabled"]:
        shipping["phone"] = buyer.phone
    intent = world.find("payment_intent", session.body["payment_intent"])
    if intent is not None:
        changes: Json = {"amount": total, "next_action": None}
        if shipping:
            changes["shipping"] = payment_intents.shipping_of(shipping)
        world.change(intent, changes)
        return intent
    data = session.private["payment_intent_data"]
    sent = {**data, "customer": session.body["customer"]}
    if shipping:
        sent["shipping"] = shipping
    types = session.body["payment_method_types"]
    intent = payment_intents.new_intent(world, total, session.body["currency"], sent, types)
    intent.private["session"] = session.id
    world.save(intent)
    world.change(session, {"payment_intent": intent.id})
    return intent


def new_method(world: World, session: Row, buyer: Buyer) -> Row:
    """The card or bank account the buyer typed, kept as a payment method."""
    billing = _billing(world, session, buyer)
    type = method_type(session, buyer)
    if type == "card":
        number = cards.digits(buyer.card_number)
        # The form was checked before: a card without its dates never gets here.
        return payment_methods.new_card(
            world, number, buyer.exp_month or 12, buyer.exp_year or 2034, billing
        )
    account = buyer.account.replace(" ", "").upper()
    standard = "AT611904300234573201" if type == "sepa_debit" else "000123456789"
    return payment_methods.new_bank_account(world, str(type), account or standard, billing)


def _billing(world: World, session: Row, buyer: Buyer) -> Json:
    if buyer.billing:
        address = customers.full_address(buyer.billing)
    else:
        address = buyer.address or {"country": "US"}
    return payment_methods.billing_details(
        {
            "address": address,
            "email": email_of(world, session) or buyer.email,
            "name": (buyer.billing or {}).get("name") or buyer.name,
            "phone": buyer.phone,
        }
    )


def method_type(session: Row, buyer: Buyer) -> str | None:
    """The type of payment method in Stripe's words; None if the session doesn't offer it."""
    types: list[str] = session.body["payment_method_types"]
    if buyer.payment_method == "bank_debit":
        return next((type for type in types if type != "card"), None)
    return buyer.payment_method if buyer.payment_method in types else None


def card_fault(world: World, buyer: Buyer) -> cards.Decline | None:
    """Why the card's number, date or code cannot be right; None for a debit."""
    if buyer.payment_method != "card":
        return None
    number = cards.digits(buyer.card_number)
    today = world.machine.today()
    return cards.fault(number, buyer.exp_month, buyer.exp_year, buyer.cvc, today)
