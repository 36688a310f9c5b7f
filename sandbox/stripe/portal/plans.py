"""Subscriptions as their owners read them: what it is, what it costs, what comes next."""

from sandbox.stripe import errors, money
from sandbox.stripe.billing import previewing
from sandbox.stripe.checkout import recurring, totals
from sandbox.stripe.hosted import date
from sandbox.stripe.portal.flows import LIVE
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World

_TROUBLE = {
    "past_due": "Your last payment failed.",
    "unpaid": "Your last payments failed, and the plan is on hold.",
    "incomplete": "Your first payment isn't finished.",
}


def live(world: World, customer: Row) -> list[Row]:
    """The customer's subscriptions that have not ended, newest first."""
    rows = world.rows("subscription", ["json_extract(body, '$.customer') = ?"], [customer.id])
    return [row for row in rows if row.body["status"] in LIVE]


def shown(world: World, row: Row) -> Json:
    """A subscription for the page."""
    body = row.body
    return {
        "id": row.id,
        "name": name_of(world, body["items"]["data"]),
        "price": price_of(body["items"]["data"], body["currency"]),
        "trouble": _TROUBLE.get(body["status"], ""),
        "owed": _owed(world, row),
        "next": _next(world, row),
        "ending": ends_at(row) is not None,
        "card": card_of(world, row),
        "trialing": body["status"] == "trialing",
    }


def name_of(world: World, items: list[Json]) -> str:
    names = []
    for item in items:
        product = world.find("product", item["price"]["product"])
        name = str(product.body.get("name", "")) if product else item["price"]["id"]
        names.append(f"{item['quantity']} × {name}" if item["quantity"] > 1 else name)
    return ", ".join(names)


def price_of(items: list[Json], currency: str) -> str:
    """`€9.00 a month`, before discounts and taxes."""
    amount = sum(
        totals.line_amount(item["price"]["unit_amount_decimal"], item["quantity"]) for item in items
    )
    return recurring.priced(amount, currency, items[0]["price"]["recurring"])


def ends_at(row: Row) -> int | None:
    """When a subscription ends if nobody renews it."""
    if row.body["cancel_at"]:
        return int(row.body["cancel_at"])
    return period_end(row) if row.body["cancel_at_period_end"] else None


def period_end(row: Row) -> int:
    return int(row.body["items"]["data"][0]["current_period_end"])


def _next(world: World, row: Row) -> str:
    end = ends_at(row)
    trialing = row.body["status"] == "trialing"
    if end is not None:
        return f"Ends on {date(end)}. You won't be charged again."
    if row.body["pause_collection"]:
        return "Payments are paused."
    if row.body["status"] not in ("active", "trialing", "past_due"):
        return ""
    amount = _next_amount(world, row)
    when = date(period_end(row))
    if trialing:
        return f"Free until {when}. Then {amount or 'the first charge'}."
    return f"Next charge on {when}{f': {amount}' if amount else ''}."


def _next_amount(world: World, row: Row) -> str:
    try:
        coming = previewing.preview(
            world, {"customer": row.body["customer"], "subscription": row.id}
        )
    except errors.ApiError:
        return ""
    return money.written(coming["amount_due"], coming["currency"])


def _owed(world: World, row: Row) -> Json | None:
    """The open invoice of a subscription in trouble."""
    invoice = world.find("invoice", row.body["latest_invoice"])
    if invoice is None or invoice.body["status"] != "open":
        return None
    return {
        "amount": money.written(invoice.body["amount_remaining"], invoice.body["currency"]),
        "url": invoice.body["hosted_invoice_url"],
    }


def default_method(customer: Row) -> str | None:
    id: str | None = customer.body["invoice_settings"]["default_payment_method"]
    return id


def card_of(world: World, row: Row) -> str:
    """The last digits of what the next charge goes to."""
    customer = world.get("customer", row.body["customer"])
    id = row.body["default_payment_method"] or default_method(customer)
    method = world.find("payment_method", id)
    return method_words(method.body) if method else ""


def method_words(method: Json) -> str:
    """`Visa •••• 4242`."""
    details = method[method["type"]]
    brand = str(details.get("brand") or method["type"]).replace("_", " ")
    names = {"visa": "Visa", "mastercard": "Mastercard", "amex": "American Express", "jcb": "JCB"}
    return f"{names.get(brand, brand.capitalize())} •••• {details['last4']}"
