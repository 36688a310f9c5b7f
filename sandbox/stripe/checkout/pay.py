"""Paying a session: the same steps for the page, the control address and a robot."""

from dataclasses import dataclass, field
from typing import Any

from sandbox.stripe import cards, errors, money
from sandbox.stripe.checkout import build
from sandbox.stripe.resources import (
    customers,
    payment_intents,
    payment_methods,
    promotion_codes,
)
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World


@dataclass(frozen=True, slots=True)
class Buyer:
    """What a buyer typed; empty strings where nothing."""

    email: str = ""
    name: str = ""
    line1: str = ""
    line2: str = ""
    city: str = ""
    state: str = ""
    postal_code: str = ""
    country: str = ""
    phone: str = ""
    payment_method: str = "card"
    card_number: str = ""
    exp_month: int | None = None
    exp_year: int | None = None
    cvc: str = ""
    account: str = ""
    shipping_option: str = ""
    promotion_code: str = ""
    billing: dict[str, str] | None = None

    @property
    def address(self) -> Json | None:
        sent = {name: getattr(self, name) or None for name in customers.ADDRESS}
        return sent if any(sent.values()) else None


@dataclass(frozen=True, slots=True)
class Completed:
    """Paid, or the debit is on its way."""


@dataclass(frozen=True, slots=True)
class Declined:
    decline: cards.Decline


@dataclass(frozen=True, slots=True)
class NeedsBank:
    """The holder has to answer on the bank's page first."""

    intent: str


@dataclass(frozen=True, slots=True)
class Invalid:
    """A sentence for each field that is wrong."""

    faults: dict[str, str] = field(default_factory=dict)


Outcome = Completed | Declined | NeedsBank | Invalid


# Life and end of a session


def expire(world: World, session: Row) -> None:
    """Close an open session for good, with its unfinished payment."""
    intent = world.find("payment_intent", session.body["payment_intent"])
    if intent and intent.body["status"] not in ("succeeded", "processing", "canceled"):
        payment_intents.cancel_intent(world, intent, "expired")
    changes: Json = {"status": "expired", "url": None}
    after = session.body["after_expiration"]
    if after and after["recovery"]["enabled"]:
        recovery = {
            **after["recovery"],
            "expires_at": world.now + 30 * build.DAY,
            "url": f"{world.base_url}/c/recover/{session.id}",
        }
        changes["after_expiration"] = {"recovery": recovery}
    world.change(session, changes)
    world.drop_timers(session.id)
    world.emit("checkout.session.expired", session)


def expire_if_due(world: World, session: Row) -> Row:
    """Close a session whose time is over, for whoever looks before the ticker does."""
    if session.body["status"] == "open" and session.body["expires_at"] <= world.now:
        expire(world, session)
    return session


# What the buyer chooses


def choose_shipping(world: World, session: Row, option: str) -> bool:
    """Switch to a shipping rate of the session; whether there is one of this id."""
    known = [entry["shipping_rate"] for entry in session.body["shipping_options"]]
    if option not in known:
        return False
    if option != session.private["shipping"]:
        session.private["shipping"] = option
        build.price_session(world, session)
        world.save(session)
    return True


def apply_code(world: World, session: Row, code: str) -> str | None:
    """Redeem a code, or take it off with an empty one; a refusal is a sentence."""
    if not session.body["allow_promotion_codes"]:
        return "This session takes no promotion codes."
    if not code.strip():
        build.use_discount(session, None, None)
    else:
        row = promotion_codes.find_by_code(world, code)
        if row is None:
            return "This code is invalid."
        body = session.body
        refusal = promotion_codes.refusal(
            world, row, body["amount_subtotal"], body["currency"], body["customer"]
        )
        if refusal:
            return refusal
        build.use_discount(session, row.body["promotion"]["coupon"], row.id)
    build.price_session(world, session)
    world.save(session)
    return None


# Paying


def pay(world: World, session: Row, buyer: Buyer) -> Outcome:
    """Try to complete an open session with what the buyer typed."""
    faults = choose(world, session, buyer)
    faults |= _faults(world, session, buyer)
    if faults:
        return Invalid(faults)
    total = session.body["amount_total"]
    least = money.MINIMUM.get(session.body["currency"], 1)
    if 0 < total < least:
        return Invalid({"promotion_code": "The total is below what can be charged."})
    if total == 0:
        _complete(world, session, buyer, None, "no_payment_required")
        return Completed()
    fault = _card_fault(world, buyer)
    if fault:
        return Declined(fault)
    intent = _intent(world, session, buyer)
    method = _method(world, session, buyer)
    session.private["buyer"] = _kept(buyer)
    world.save(session)
    decline = payment_intents.confirm(world, intent, method, session.body["url"])
    if decline:
        return Declined(decline)
    if intent.body["status"] == "requires_action":
        return NeedsBank(intent.id)
    _completed(world, session, intent)
    return Completed()


def answer_bank(world: World, session: Row, intent: Row, agreed: bool) -> Outcome:
    """Go on with a session after the bank's page."""
    decline = payment_intents.answer_bank(world, intent, agreed)
    if decline:
        return Declined(decline)
    _completed(world, session, intent)
    return Completed()


def settle(world: World, session: Row, succeeded: bool) -> None:
    """The bank's late answer to a debit: the session's async event follows the payment's."""
    intent = world.find("payment_intent", session.body["payment_intent"])
    if intent is None or intent.body["status"] != "processing":
        raise errors.invalid(f"Checkout Session {session.id} is waiting for no bank.")
    world.drop_timers(session.id)
    payment_intents.settle(world, intent, succeeded)
    if succeeded:
        world.change(session, {"payment_status": "paid"})
        world.emit("checkout.session.async_payment_succeeded", session)
        payment_intents.book(world, intent)
    else:
        world.emit("checkout.session.async_payment_failed", session)


def choose(world: World, session: Row, buyer: Buyer) -> dict[str, str]:
    """Take over the buyer's way to ship and code, which change what is to pay."""
    faults: dict[str, str] = {}
    option = buyer.shipping_option
    if option and not choose_shipping(world, session, option):
        faults["shipping_option"] = "Choose one of the ways to ship."
    if buyer.promotion_code and session.body["allow_promotion_codes"]:
        refusal = apply_code(world, session, buyer.promotion_code)
        if refusal:
            faults["promotion_code"] = refusal
    return faults


def email_of(world: World, session: Row) -> str:
    """The address the shop already gave, which the buyer cannot change."""
    if session.body["customer_email"]:
        return str(session.body["customer_email"])
    customer = world.find("customer", session.body["customer"])
    return str(customer.body.get("email") or "") if customer else ""


def needs_payment(session: Row) -> bool:
    return int(session.body["amount_total"]) > 0


def _faults(world: World, session: Row, buyer: Buyer) -> dict[str, str]:
    faults = {}
    if not email_of(world, session):
        try:
            customers.check_email(buyer.email or "-")
        except errors.ApiError:
            faults["email"] = "Enter an email address, such as name@example.com."
    collection = session.body["shipping_address_collection"]
    if collection:
        faults |= _address_faults(buyer)
        if buyer.country and buyer.country not in collection["allowed_countries"]:
            faults["country"] = "This shop doesn't ship to that country."
    elif session.body["billing_address_collection"] == "required":
        faults |= _address_faults(buyer)
    if session.body["phone_number_collection"]["enabled"] and len(buyer.phone) < 5:
        faults["phone"] = "Enter a phone number."
    if needs_payment(session) and _method_type(session, buyer) is None:
        faults["payment_method"] = "Choose one of the ways to pay."
    return faults


def _address_faults(buyer: Buyer) -> dict[str, str]:
    words = {
        "name": "Enter a name.",
        "line1": "Enter a street and number.",
        "city": "Enter a city.",
        "postal_code": "Enter a postal code.",
        "country": "Choose a country.",
    }
    return {name: text for name, text in words.items() if not getattr(buyer, name)}


def _method_type(session: Row, buyer: Buyer) -> str | None:
    """The type of payment method in Stripe's words; None if the session doesn't offer it."""
    types: list[str] = session.body["payment_method_types"]
    if buyer.payment_method == "bank_debit":
        return next((type for type in types if type != "card"), None)
    return buyer.payment_method if buyer.payment_method in types else None


def _card_fault(world: World, buyer: Buyer) -> cards.Decline | None:
    if buyer.payment_method != "card":
        return None
    number = cards.digits(buyer.card_number)
    today = world.machine.today()
    return cards.fault(number, buyer.exp_month, buyer.exp_year, buyer.cvc, today)


def _shipping(session: Row, buyer: Buyer) -> Json | None:
    if not session.body["shipping_address_collection"]:
        return None
    return {"address": buyer.address, "name": buyer.name}


def _intent(world: World, session: Row, buyer: Buyer) -> Row:
    """The session's intent: made at the first attempt, used again at the next."""
    total = session.body["amount_total"]
    shipping = _shipping(session, buyer)
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


def _method(world: World, session: Row, buyer: Buyer) -> Row:
    billing = _billing(world, session, buyer)
    type = _method_type(session, buyer)
    if type == "card":
        number = cards.digits(buyer.card_number)
        # The form was checked before: a card without its dates never gets here.
        return payment_methods.new_card(
            world, number, buyer.exp_month or 12, buyer.exp_year or 2034, billing
        )
    account = buyer.account.replace(" ", "").upper()
    standard = "AT611904300234573201" if type == "sepa_debit" else "000123456789"
    return payment_methods.new_bank_account(world, str(type), account or standard, billing)


def _kept(buyer: Buyer) -> Json:
    """What completing needs; never a card's number."""
    names = ("email", "name", "phone", *customers.ADDRESS)
    return {**{name: getattr(buyer, name) for name in names}, "billing": buyer.billing}


def _completed(world: World, session: Row, intent: Row) -> None:
    buyer = Buyer(**session.private["buyer"])
    waiting = intent.body["status"] == "processing"
    _complete(world, session, buyer, intent, "unpaid" if waiting else "paid")
    if waiting:
        _expect_bank(world, session, intent)
    elif intent.body["status"] == "succeeded":
        payment_intents.book(world, intent)


def _expect_bank(world: World, session: Row, intent: Row) -> None:
    method = world.get("payment_method", intent.body["payment_method"])
    failing = method.private["number"] in cards.FAILING_ACCOUNTS
    after = world.machine.async_after
    if after is not None:
        what = "async_failed" if failing else "async_succeeded"
        world.set_timer(session.id, what, world.now + after)


def _complete(
    world: World, session: Row, buyer: Buyer, intent: Row | None, payment_status: str
) -> None:
    email = email_of(world, session) or buyer.email
    customer = _customer(world, session, buyer, email, intent)
    address = customers.full_address(buyer.billing) if buyer.billing else buyer.address
    shipping = _shipping(session, buyer)
    changes: Json = {
        "collected_information": {
            "business_name": None,
            "individual_name": None,
            "shipping_details": shipping,
        },
        "customer": customer,
        "customer_details": build.details(
            email,
            address=address or customers.full_address({"country": "US"}),
            name=(buyer.billing or {}).get("name") or buyer.name or None,
            phone=buyer.phone or None,
            tax_ids=[],
        ),
        "payment_status": payment_status,
        "status": "complete",
        "url": None,
    }
    if session.body["automatic_tax"]["enabled"]:
        changes["automatic_tax"] = {**session.body["automatic_tax"], "status": "complete"}
    world.change(session, changes)
    _redeem(world, session)
    world.drop_timers(session.id)
    world.emit("checkout.session.completed", session)


def _customer(
    world: World, session: Row, buyer: Buyer, email: str, intent: Row | None
) -> str | None:
    """The paying customer's id, made if the session asks for one."""
    data = session.private["payment_intent_data"]
    keeps_card = bool(data.get("setup_future_usage"))
    row = world.find("customer", session.body["customer"])
    if row is None and (session.body["customer_creation"] == "always" or keeps_card):
        known = {"email": email, "name": buyer.name, "phone": buyer.phone, "address": buyer.address}
        shipping = _shipping(session, buyer)
        if shipping:
            known["shipping"] = {**shipping, "phone": buyer.phone or None}
        row = customers.new_customer(world, {k: v for k, v in known.items() if v})
        world.emit("customer.created", row)
    elif row is not None:
        _update_customer(world, session, row, buyer)
    if row is None:
        return None
    if intent is not None:
        _join(world, intent, row)
        if keeps_card:
            method = world.get("payment_method", intent.body["payment_method"])
            payment_methods.attach_to(world, method, row)
    return row.id


def _update_customer(world: World, session: Row, row: Row, buyer: Buyer) -> None:
    wanted = session.private["customer_update"]
    changes: dict[str, Any] = {}
    if wanted.get("name") == "auto" and buyer.name:
        changes["name"] = buyer.name
    if wanted.get("address") == "auto" and buyer.address:
        changes["address"] = buyer.address
    if wanted.get("shipping") == "auto" and _shipping(session, buyer):
        changes["shipping"] = {"address": buyer.address, "name": buyer.name, "phone": None}
    if not row.body["email"] and buyer.email:
        changes["email"] = buyer.email
    previous = world.change(row, changes)
    if previous:
        world.emit("customer.updated", row, previous)


def _join(world: World, intent: Row, customer: Row) -> None:
    """Write a customer who was made at the end into the payment that came before."""
    if intent.body["customer"] == customer.id:
        return
    world.change(intent, {"customer": customer.id})
    charge = world.find("charge", intent.body["latest_charge"])
    if charge:
        world.change(charge, {"customer": customer.id})


def _redeem(world: World, session: Row) -> None:
    for kind in ("coupon", "promotion_code"):
        row = world.find(kind, session.private[kind])
        if row and not row.deleted:
            world.change(row, {"times_redeemed": row.body["times_redeemed"] + 1})
