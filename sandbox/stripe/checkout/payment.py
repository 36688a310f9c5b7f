"""A session's money side: its intent, and the payment method made of what was typed."""

from sandbox.stripe import cards
from sandbox.stripe.checkout.buyer import Buyer, email_of, shipping_details
from sandbox.stripe.resources import customers, payment_intents, payment_methods, setup_intents
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World


def needs_method(session: Row) -> bool:
    """Whether a card (or account) is asked for, which a free order or trial may not need."""
    if session.body["amount_total"]:
        return True
    return bool(session.body["payment_method_collection"] == "always")


def intent_of(world: World, session: Row, buyer: Buyer) -> Row:
    """What takes the session's money: made at the first attempt, used again at the next."""
    total = session.body["amount_total"]
    shipping = shipping_details(session, buyer)
    if shipping and session.body["phone_number_collection"]["enabled"]:
        shipping["phone"] = buyer.phone
    intent = open_intent(world, session)
    if intent is not None and intent.kind == "payment_intent":
        changes: Json = {"amount": total, "next_action": None}
        if shipping:
            changes["shipping"] = payment_intents.shipping_of(shipping)
        world.change(intent, changes)
        return intent
    sent = {**session.private["payment_intent_data"], "customer": session.body["customer"]}
    if session.body["mode"] == "subscription":
        sent |= {"setup_future_usage": "off_session", "description": "Subscription creation"}
    if shipping:
        sent["shipping"] = shipping
    types = session.body["payment_method_types"]
    intent = payment_intents.new_intent(world, total, session.body["currency"], sent, types)
    _remember(world, session, intent)
    # A subscription's payment belongs to its invoice; the session doesn't show it.
    if session.body["mode"] == "payment":
        world.change(session, {"payment_intent": intent.id})
    return intent


def setup_of(world: World, session: Row) -> Row:
    """What makes the session's card ready where nothing is paid today."""
    intent = open_intent(world, session)
    if intent is not None and intent.kind == setup_intents.KIND:
        return intent
    sent = {"customer": session.body["customer"]}
    intent = setup_intents.new_setup(world, sent, session.body["payment_method_types"])
    _remember(world, session, intent)
    return intent


def _remember(world: World, session: Row, intent: Row) -> None:
    intent.private["session"] = session.id
    world.save(intent)
    session.private["intent"] = [intent.kind, intent.id]


def open_intent(world: World, session: Row) -> Row | None:
    """The unfinished payment or setup that the session started."""
    for kind in ("payment_intent", setup_intents.KIND):
        row = world.find(kind, session.body[kind])
        if row:
            return row
    kind, id = session.private.get("intent") or ("", None)
    return world.find(kind, id)


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
