"""Between a posted form (or a control call) and a buyer: reading, defaults, addresses."""

import re
from collections.abc import Mapping
from typing import Any

from sandbox.stripe.checkout.buyer import Buyer
from sandbox.stripe.store import Json, Row

_TEXT = (
    "email",
    "name",
    "line1",
    "line2",
    "city",
    "state",
    "postal_code",
    "country",
    "phone",
    "card_number",
    "cvc",
    "account",
    "shipping_option",
    "promotion_code",
)
_BILLING = ("name", "line1", "line2", "city", "state", "postal_code", "country")

#: A buyer for whoever doesn't care who buys.
DEFAULTS: dict[str, str] = {
    "email": "alice@example.com",
    "name": "Alice Example",
    "line1": "1 Main Street",
    "city": "Springfield",
    "state": "IL",
    "postal_code": "62701",
    "country": "US",
    "phone": "+12175550100",
    "card_number": "4242424242424242",
    "expiry": "12/34",
    "cvc": "123",
}


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdecimal() else None


def expiry_of(sent: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Month and four-digit year, from one field (MM/YY) or from two."""
    both = re.fullmatch(r"\s*(\d{1,2})\s*[/-]?\s*(\d{2}|\d{4})\s*", sent.get("expiry", ""))
    if both:
        month, year = int(both[1]), int(both[2])
    else:
        found = _number(sent.get("exp_month", "")), _number(sent.get("exp_year", ""))
        if found[0] is None or found[1] is None:
            return found
        month, year = found[0], found[1]
    return month, year + 2000 if year < 100 else year


def buyer_of(sent: Mapping[str, str]) -> Buyer:
    """A buyer from the fields of the hosted page's form."""
    month, year = expiry_of(sent)
    billing = None
    if sent.get("billing_same", "on") != "on" or sent.get("billing") == "other":
        billing = {name: sent.get(f"billing_{name}", "").strip() for name in _BILLING}
    account = sent.get("account") or sent.get("iban") or ""
    text = {name: sent.get(name, "").strip() for name in _TEXT}
    return Buyer(
        **{**text, "account": account},
        exp_month=month,
        exp_year=year,
        payment_method=sent.get("payment_method") or "card",
        billing=billing if billing and any(billing.values()) else None,
    )


def buyer_with_defaults(session: Row, sent: Json) -> Buyer:
    """A buyer from a control call, in which everything may be left out.

    `card` stands for card_number, `address` may hold the parts of the address.
    """
    given: dict[str, Any] = {**sent, **(sent.get("address") or {})}
    given.pop("address", None)
    if "card" in given:
        given["card_number"] = given.pop("card")
    known = {*_TEXT, "expiry", "exp_month", "exp_year", "payment_method", "iban"}
    unknown = set(given) - known
    if unknown:
        raise ValueError(f"Unknown: {', '.join(sorted(unknown))}.")
    whole = {**DEFAULTS, **{name: str(value) for name, value in given.items()}}
    if "exp_month" in given:
        whole.pop("expiry")
    if whole["card_number"].startswith(("34", "37")) and "cvc" not in given:
        whole["cvc"] = "1234"
    collection = session.body["shipping_address_collection"]
    if collection and "country" not in given:
        allowed = collection["allowed_countries"]
        whole["country"] = "US" if "US" in allowed else allowed[0]
    return buyer_of(whole)


def success_url(session: Row) -> str:
    return str(session.body["success_url"]).replace("{CHECKOUT_SESSION_ID}", session.id)
