"""An invoice or credit note in the words and sums that page and paper share."""

from dataclasses import dataclass

from sandbox.stripe import money
from sandbox.stripe.billing import lines
from sandbox.stripe.hosted import date
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World


@dataclass(frozen=True, slots=True)
class Entry:
    """A line: what it is, when it counts, how many at what price, what it costs."""

    words: str
    amount: str
    period: str = ""
    quantity: str = ""
    each: str = ""


@dataclass(frozen=True, slots=True)
class Sum:
    words: str
    amount: str
    total: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """Where an invoice stands, in words."""

    state: str
    amount: str
    then: str
    date: str


def entries(invoice: Row) -> list[Entry]:
    return [_entry(line.body) for line in lines.of(invoice)]


def _entry(line: Json) -> Entry:
    start, end = line["period"]["start"], line["period"]["end"]
    amount = money.written(line["amount"], line["currency"])
    unit = str((line["pricing"] or {}).get("unit_amount_decimal"))
    whole = unit.lstrip("-").isdecimal()
    return Entry(
        line["description"] or "",
        amount,
        f"{date(start)} \N{EN DASH} {date(end)}" if end - start > 1 else "",
        str(line["quantity"] or ""),
        money.written(int(unit), line["currency"]) if whole else "",
    )


def sums(world: World, invoice: Row) -> list[Sum]:
    """From the subtotal down to what is due."""
    body = invoice.body
    currency = body["currency"]
    found = [Sum("Subtotal", money.written(body["subtotal"], currency))]
    for part in body["total_discount_amounts"] or []:
        if part["amount"]:
            words = _discount(world, part["discount"])
            found.append(Sum(words, money.written(-part["amount"], currency)))
    found += tax_sums(world, body, currency)
    found.append(Sum("Total", money.written(body["total"], currency), total=True))
    used = body["total"] - body["amount_due"] - body["pre_payment_credit_notes_amount"]
    if used and body["starting_balance"]:
        found.append(Sum("From your balance", money.written(-used, currency)))
    if body["pre_payment_credit_notes_amount"]:
        credit = money.written(-body["pre_payment_credit_notes_amount"], currency)
        found.append(Sum("Credit note", credit))
    if body["amount_paid"]:
        found.append(Sum("Paid", money.written(-body["amount_paid"], currency)))
    if len(found) > 2 or body["status"] == "open":
        due = money.written(body["amount_remaining"], currency)
        found.append(Sum("Amount due", due, total=True))
    return found


def tax_sums(world: World, body: Json, currency: str) -> list[Sum]:
    """A row for each rate: `VAT (19 %, included)`."""
    found = []
    for tax in body["total_taxes"] or []:
        rate = world.find("tax_rate", tax["tax_rate_details"]["tax_rate"])
        words = "Tax"
        if rate:
            percent = f"{rate.body['percentage']:g}\N{NO-BREAK SPACE}%"
            inside = ", included" if tax["tax_behavior"] == "inclusive" else ""
            on = money.written(tax["taxable_amount"], currency)
            words = f"{rate.body['display_name']} ({percent} on {on}{inside})"
        found.append(Sum(words, money.written(tax["amount"], currency)))
    return found


def _discount(world: World, id: str) -> str:
    discount = world.find("discount", id)
    coupon = world.find("coupon", discount.body["source"]["coupon"]) if discount else None
    if coupon is None or coupon.deleted:
        return "Discount"
    return str(coupon.body["name"] or "Discount")


def state_of(invoice: Row) -> State:
    body = invoice.body
    currency, at = body["currency"], body["status_transitions"]
    made = date(at["finalized_at"] or body["created"])
    total = money.written(body["total"], currency)
    match body["status"]:
        case "paid":
            return State("Paid", total, f"On {date(at['paid_at'])}", made)
        case "void":
            return State("Cancelled", total, "This invoice is no longer to be paid.", made)
        case "draft":
            return State("Draft", total, "", made)
    due = money.written(body["amount_remaining"], currency)
    when = f"Due on {date(body['due_date'])}" if body["due_date"] else ""
    return State("To pay", due, when, made)
