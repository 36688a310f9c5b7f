"""What a completed session leaves behind: its own last state, a customer, a used-up code."""

from typing import Any

from sandbox.stripe import cards
from sandbox.stripe.checkout import discounts, starting
from sandbox.stripe.checkout.buyer import Buyer, customer_details, email_of, shipping_details
from sandbox.stripe.resources import customers, payment_intents, payment_methods
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World


def kept(buyer: Buyer) -> Json:
    """What completing needs; never a card's number."""
    names = ("email", "name", "phone", *customers.ADDRESS)
    return {**{name: getattr(buyer, name) for name in names}, "billing": buyer.billing}


def complete_paid(world: World, session: Row, intent: Row) -> None:
    """Complete a session whose payment succeeded or waits for the buyer's bank."""
    waiting = intent.body["status"] == "processing"
    _complete(world, session, intent, "unpaid" if waiting else "paid")
    if waiting:
        _expect_bank(world, session, intent)
    elif intent.body["status"] == "succeeded":
        payment_intents.book(world, intent)


def complete_saved(world: World, session: Row, setup: Row) -> None:
    """Complete a session whose card is ready for what may come later."""
    _complete(world, session, setup, "no_payment_required")


def complete_free(world: World, session: Row) -> None:
    """Complete a session that costs nothing and asked for no card."""
    _complete(world, session, None, "no_payment_required")


def _expect_bank(world: World, session: Row, intent: Row) -> None:
    method = world.get("payment_method", intent.body["payment_method"])
    failing = method.private["number"] in cards.FAILING_ACCOUNTS
    after = world.machine.async_after
    if after is not None:
        what = "async_failed" if failing else "async_succeeded"
        world.set_timer(session.id, what, world.now + after)


def _complete(world: World, session: Row, intent: Row | None, payment_status: str) -> None:
    """Close a session for good and tell of it; `intent` is what paid or set up, if anything."""
    buyer = Buyer(**session.private["buyer"])
    email = email_of(world, session) or buyer.email
    customer = _customer(world, session, buyer, email, intent)
    address = customers.full_address(buyer.billing) if buyer.billing else buyer.address
    shipping = shipping_details(session, buyer)
    changes: Json = {
        "collected_information": {
            "business_name": None,
            "individual_name": None,
            "shipping_details": shipping,
        },
        "customer": customer.id if customer else None,
        "customer_details": customer_details(
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
    if session.body["mode"] == "subscription" and customer:
        changes |= starting.subscribe(world, session, customer, intent)
    else:
        # A subscription redeems its discounts itself.
        discounts.redeem(world, session)
    world.change(session, changes)
    world.drop_timers(session.id)
    world.emit("checkout.session.completed", session)


def _customer(
    world: World, session: Row, buyer: Buyer, email: str, intent: Row | None
) -> Row | None:
    """The paying customer, made if the session asks for one."""
    row = world.find("customer", session.body["customer"])
    if row is not None:
        _update_customer(world, session, row, buyer)
    elif session.body["customer_creation"] == "always" or _keeps_method(session):
        row = _new_customer(world, session, buyer, email)
    if row is not None and intent is not None:
        _join(world, intent, row)
        if session.body["mode"] != "payment" or _keeps_method(session):
            method = world.get("payment_method", intent.body["payment_method"])
            payment_methods.attach_to(world, method, row)
    return row


def _keeps_method(session: Row) -> bool:
    return bool(session.private["payment_intent_data"].get("setup_future_usage"))


def _new_customer(world: World, session: Row, buyer: Buyer, email: str) -> Row:
    known = {"email": email, "name": buyer.name, "phone": buyer.phone, "address": buyer.address}
    shipping = shipping_details(session, buyer)
    if shipping:
        known["shipping"] = {**shipping, "phone": buyer.phone or None}
    row = customers.new_customer(world, {k: v for k, v in known.items() if v})
    world.emit("customer.created", row)
    return row


def _update_customer(world: World, session: Row, row: Row, buyer: Buyer) -> None:
    wanted = session.private["customer_update"]
    changes: dict[str, Any] = {}
    if wanted.get("name") == "auto" and buyer.name:
        changes["name"] = buyer.name
    if wanted.get("address") == "auto" and buyer.address:
        changes["address"] = buyer.address
    if wanted.get("shipping") == "auto" and shipping_details(session, buyer):
        changes["shipping"] = {"address": buyer.address, "name": buyer.name, "phone": None}
    if not row.body["email"] and buyer.email:
        changes["email"] = buyer.email
    previous = world.change(row, changes)
    if previous:
        world.emit("customer.updated", row, previous)


def _join(world: World, intent: Row, customer: Row) -> None:
    """Write a customer who was made at the end into what came before."""
    if intent.body["customer"] == customer.id:
        return
    world.change(intent, {"customer": customer.id})
    charge = world.find("charge", intent.body.get("latest_charge"))
    if charge:
        world.change(charge, {"customer": customer.id})
