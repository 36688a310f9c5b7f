"""Who buys: what they typed, and what the shop knew of them before."""

from dataclasses import dataclass
from typing import Any

from sandbox.stripe.resources import customers
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


def email_of(world: World, session: Row) -> str:
    """The address the shop already gave, which the buyer cannot change."""
    if session.body["customer_email"]:
        return str(session.body["customer_email"])
    customer = world.find("customer", session.body["customer"])
    return str(customer.body.get("email") or "") if customer else ""


def customer_details(email: str | None, **known: Any) -> Json:
    """`customer_details` with what is known so far."""
    return {
        "address": None,
        "business_name": None,
        "email": email,
        "individual_name": None,
        "name": None,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": None,
        **known,
    }


def shipping_details(session: Row, buyer: Buyer) -> Json | None:
    """Where to ship; None if the session doesn't ask."""
    if not session.body["shipping_address_collection"]:
        return None
    return {"address": buyer.address, "name": buyer.name}
