"""A session as its page shows it: the order, the fields, and what was wrong with them."""

from decimal import Decimal

from sandbox.stripe import money
from sandbox.stripe.checkout import payment, recurring
from sandbox.stripe.checkout.buyer import email_of
from sandbox.stripe.hosted import countries, render
from sandbox.stripe.messages import Response
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World

_DEBIT_WORDS = {
    "sepa_debit": ("SEPA Direct Debit", "IBAN"),
    "us_bank_account": ("US bank account", "Account number"),
    "bacs_debit": ("Bacs Direct Debit", "Account number"),
    "acss_debit": ("Pre-authorized debit", "Account number"),
    "au_becs_debit": ("BECS Direct Debit", "Account number"),
}
_UNITS = {"business_day": "business day"}


def shown(
    world: World, session: Row, sent: dict[str, str], faults: dict[str, str], status: int
) -> Response:
    """The page of an open session."""
    if session.body["mode"] == "setup":
        text = render(
            "setup.html",
            session=session.body,
            shop=session.body["branding_settings"]["display_name"],
            email=email_of(world, session),
            sent=sent,
            faults=faults,
        )
        return Response.html(status, text)
    return Response.html(status, _order(world, session, sent, faults))


def _order(world: World, session: Row, sent: dict[str, str], faults: dict[str, str]) -> str:
    body = session.body
    collection = body["shipping_address_collection"]
    debit = next((type for type in body["payment_method_types"] if type != "card"), None)
    return render(
        "pay.html",
        session=body,
        shop=body["branding_settings"]["display_name"],
        words=_words(world, session),
        lines=[_line(line, body["currency"]) for line in session.private["lines"]],
        shipping=_ways(world, session),
        chosen=session.private["shipping"],
        discount=_discount_words(world, session),
        taxes=_tax_words(session),
        email=email_of(world, session),
        address=bool(collection) or body["billing_address_collection"] == "required",
        ships=bool(collection),
        countries=countries(collection["allowed_countries"] if collection else None),
        all_countries=countries(),
        phone=body["phone_number_collection"]["enabled"],
        card="card" in body["payment_method_types"],
        debit=_DEBIT_WORDS[debit] if debit else None,
        free=not payment.needs_method(session),
        sent=sent,
        faults=faults,
    )


def _words(world: World, session: Row) -> recurring.Words:
    if session.body["mode"] == "subscription":
        return recurring.words_of(world, session)
    amount = money.written(session.body["amount_total"], session.body["currency"])
    shop = session.body["branding_settings"]["display_name"]
    return recurring.Words(
        title=f"Pay {amount} to {shop}",
        due="To pay",
        big=amount,
        then="",
        total="Total",
        button=f"Pay {amount}" if session.body["amount_total"] else "Complete order",
    )


def _line(line: Json, currency: str) -> Json:
    unit = Decimal(line["price"]["unit_amount_decimal"])
    each = money.written(int(unit), currency) if unit == int(unit) else str(unit)
    images = line["product"]["images"]
    repeats = line["price"]["recurring"]
    return {
        "name": line["description"],
        "description": line["product"]["description"],
        "image": images[0] if images else None,
        "initial": line["description"][:1].upper(),
        "quantity": line["quantity"],
        "each": f"{each} {recurring.every(repeats)}" if repeats else each,
        "amount": line["amounts"]["amount_subtotal"],
        "repeats": bool(repeats),
        "later": bool(line.get("later")),
    }


def _span(estimate: Json | None) -> str:
    """`3-5 business days` out of a rate's delivery estimate."""
    if not estimate:
        return ""
    low, high = estimate.get("minimum"), estimate.get("maximum")
    last = high or low
    if not last:
        return ""
    unit = _UNITS.get(last["unit"], last["unit"])
    many = "" if last["value"] == 1 else "s"
    if low and high and low != high:
        return f"{low['value']}\N{EN DASH}{high['value']} {unit}{many}"
    return f"{last['value']} {unit}{many}"


def _ways(world: World, session: Row) -> list[Json]:
    ways = []
    for option in session.body["shipping_options"]:
        rate = world.get("shipping_rate", option["shipping_rate"])
        ways.append(
            {
                "id": rate.id,
                "name": rate.body["display_name"],
                "span": _span(rate.body["delivery_estimate"]),
                "amount": option["shipping_amount"],
            }
        )
    return ways


def _discount_words(world: World, session: Row) -> str:
    """What the discount is called on the page."""
    coupon = world.find("coupon", session.private["coupon"])
    code = world.find("promotion_code", session.private["promotion_code"])
    if code:
        return str(code.body["code"])
    return str((coupon.body.get("name") if coupon else "") or "Discount")


def _tax_words(session: Row) -> list[Json]:
    """Taxes by rate, as the summary lists them."""
    found: dict[str, Json] = {}
    for line in session.private["lines"]:
        for tax in line["taxes"] if not line.get("later") else ():
            rate = tax["rate"]
            percent = f"{rate['percentage']:g}\N{NARROW NO-BREAK SPACE}%"
            included = ", included" if rate["inclusive"] else ""
            name = f"{rate['display_name']} ({percent}{included})"
            entry = found.setdefault(rate["id"], {"name": name, "amount": 0})
            entry["amount"] += tax["amount"]
    return list(found.values())
