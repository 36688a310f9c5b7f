"""What tests do to billing under /_sandbox/: the account's settings, and cards that go bad."""

from dataclasses import asdict
from typing import Any

from sandbox.stripe import cards, errors
from sandbox.stripe.billing import settings
from sandbox.stripe.control import Ask, on
from sandbox.stripe.resources import customers, payment_methods
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World


@on("GET", "/billing")
def _get(ask: Ask) -> Json:
    return asdict(settings.current(ask.machine.store))


@on("POST", "/billing")
def _set(ask: Ask) -> Json:
    """{"retry_days": [1, 3], "when_exhausted": "cancel", "upcoming_days": 7}, any of them."""
    return asdict(settings.change(ask.machine.store, ask.body))


@on("POST", "/cards")
def _card(ask: Ask) -> Json:
    """{"customer": id} with either of:

    "number": attach this card and make it the default, as the customer would (with
    "subscription": that one's default too); "decline_code": let the default card (or
    "payment_method") be refused from now on, "times" often or always; null ends that.
    """
    id = str(ask.body.get("customer", ""))
    account = ask.machine.store.owner("customer", id)
    if account is None:
        raise errors.missing("customer", id, "customer")
    with ask.machine.world(account) as world:
        customer = world.get("customer", id)
        world.live_with(customer)
        if "number" in ask.body:
            method = _attached(world, customer, ask.body)
        else:
            method = _method(world, customer, ask.body)
        if "decline_code" in ask.body:
            code, times = ask.body["decline_code"], ask.body.get("times")
            payment_methods.decline_from_now(world, method, code, times)
        return {"customer": id, "payment_method": method.id}


def _attached(world: World, customer: Row, sent: Json) -> Row:
    number = cards.digits(str(sent["number"]))
    if not cards.passes_luhn(number):
        raise ValueError("The card number is incorrect.")
    month, year = int(sent.get("exp_month", 12)), int(sent.get("exp_year", 2050))
    method = payment_methods.new_card(
        world, number, month, year, payment_methods.billing_details({})
    )
    payment_methods.attach_to(world, method, customer)
    default = {**customer.body["invoice_settings"], "default_payment_method": method.id}
    world.emit("customer.updated", customer, world.change(customer, {"invoice_settings": default}))
    chosen: Any = sent.get("subscription")
    if chosen:
        subscription = world.named("subscription", str(chosen), "subscription")
        previous = world.change(subscription, {"default_payment_method": method.id})
        world.emit("customer.subscription.updated", subscription, previous)
    return method


def _method(world: World, customer: Row, sent: Json) -> Row:
    if sent.get("payment_method"):
        return payment_methods.usable(world, str(sent["payment_method"]))
    id = customer.body["invoice_settings"]["default_payment_method"]
    for subscription in customers.subscriptions_of(world, customer):
        id = subscription.body["default_payment_method"] or id
    if not id:
        raise ValueError(f"{customer.id} has no card to change.")
    return world.get("payment_method", id)
