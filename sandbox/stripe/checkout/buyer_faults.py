"""What is wrong with a buyer's form, in sentences the page shows beside the fields."""

from sandbox.stripe import errors
from sandbox.stripe.checkout.buyer import Buyer, email_of
from sandbox.stripe.checkout.payment import method_type, needs_method
from sandbox.stripe.resources import customers
from sandbox.stripe.store import Row
from sandbox.stripe.world import World


def faults_of(world: World, session: Row, buyer: Buyer) -> dict[str, str]:
    """A sentence for each field that is missing or wrong, by the field's name."""
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
    if needs_method(session) and method_type(session, buyer) is None:
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
