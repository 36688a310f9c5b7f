"""What a credit note takes back: some of an invoice's lines, or sums of its own."""

from dataclasses import dataclass, field
from decimal import Decimal

from sandbox.stripe import errors, money
from sandbox.stripe.billing import lines as invoice_lines
from sandbox.stripe.checkout import totals
from sandbox.stripe.ids import new_id
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World


@dataclass(slots=True)
class Sums:
    """The lines of a credit note and what they come to, in minor units."""

    lines: list[Json] = field(default_factory=list)
    subtotal: int = 0
    discount: int = 0
    added: int = 0
    inside: int = 0

    @property
    def total(self) -> int:
        return self.subtotal - self.discount + self.added


def sums(world: World, invoice: Row, params: Json) -> Sums:
    """The lines that were sent, or one for `amount`; raises ApiError."""
    sent = params.get("lines")
    if ("amount" in params) == bool(sent):
        raise errors.invalid("You must specify exactly one of `amount` and `lines`.", "amount")
    if not sent:
        if params["amount"] < 1:
            raise errors.invalid("Invalid positive integer", "amount", "parameter_invalid_integer")
        line = _line("custom_line_item", params["amount"], None, None, None)
        return Sums([line], subtotal=params["amount"])
    found = Sums()
    for index, wanted in enumerate(sent):
        path = f"lines[{index}]"
        errors.unsupported(wanted, ("tax_amounts", "metadata"))
        if wanted["type"] == "invoice_line_item":
            line = _of_invoice(invoice, wanted, path)
        else:
            line = _custom(world, wanted, path)
        _add(found, line)
    return found


def _add(found: Sums, line: Json) -> None:
    found.lines.append(line)
    found.subtotal += line["amount"]
    found.discount += line["discount_amount"]
    for tax in line["taxes"]:
        if tax["tax_behavior"] == "exclusive":
            found.added += tax["amount"]
        else:
            found.inside += tax["amount"]


def _of_invoice(invoice: Row, wanted: Json, path: str) -> Json:
    name = f"{path}[invoice_line_item]"
    id = wanted.get("invoice_line_item")
    of = next((line.body for line in invoice_lines.of(invoice) if line.body["id"] == id), None)
    if of is None:
        raise errors.missing("invoice_line_item", str(id), name, 400)
    amount = wanted.get("amount")
    if amount is None:
        whole = int(of["quantity"] or 1)
        quantity = int(wanted.get("quantity", whole))
        amount = money.rounded(Decimal(of["amount"]) * quantity / whole)
    if not 0 < amount <= of["amount"]:
        most = money.written(of["amount"], of["currency"])
        raise errors.invalid(f"The amount to credit must be at most {most}.", f"{path}[amount]")
    line = _line("invoice_line_item", amount, of["description"], wanted.get("quantity"), id)
    line["discount_amounts"] = [
        {**part, "amount": _share(part["amount"], amount, of)} for part in of["discount_amounts"]
    ]
    line["discount_amount"] = sum(part["amount"] for part in line["discount_amounts"])
    line["taxes"] = [
        {
            **tax,
            "amount": _share(tax["amount"], amount, of),
            "taxable_amount": _share(tax["taxable_amount"], amount, of),
        }
        for tax in of["taxes"]
    ]
    return line


def _share(part: int, amount: int, of: Json) -> int:
    return money.rounded(Decimal(part) * amount / of["amount"])


def _custom(world: World, wanted: Json, path: str) -> Json:
    if not wanted.get("description"):
        name = f"{path}[description]"
        raise errors.invalid(f"Missing required param: {name}.", name, "parameter_missing")
    unit = wanted.get("unit_amount_decimal", str(wanted.get("unit_amount", "")))
    if not unit:
        name = f"{path}[unit_amount]"
        raise errors.invalid(f"Missing required param: {name}.", name, "parameter_missing")
    quantity = wanted.get("quantity", 1)
    amount = totals.line_amount(unit, quantity)
    line = _line("custom_line_item", amount, wanted["description"], quantity, None)
    line |= {"unit_amount": wanted.get("unit_amount"), "unit_amount_decimal": unit}
    rates = [
        world.named("tax_rate", id, f"{path}[tax_rates][{index}]").body
        for index, id in enumerate(wanted.get("tax_rates") or [])
    ]
    line["tax_rates"] = rates
    line["taxes"] = [
        {
            "amount": tax.amount,
            "tax_behavior": "inclusive" if tax.rate["inclusive"] else "exclusive",
            "tax_rate_details": {"tax_rate": tax.rate["id"]},
            "taxability_reason": "not_available",
            "taxable_amount": tax.taxable,
            "type": "tax_rate_details",
        }
        for tax in totals.taxes(amount, tuple(rates))
    ]
    return line


def _line(
    type: str, amount: int, description: str | None, quantity: int | None, of: str | None
) -> Json:
    return {
        "id": new_id("credit_note_line_item"),
        "object": "credit_note_line_item",
        "amount": amount,
        "description": description,
        "discount_amount": 0,
        "discount_amounts": [],
        "invoice_line_item": of,
        "livemode": False,
        "metadata": {},
        "pretax_credit_amounts": [],
        "quantity": quantity,
        "tax_rates": [],
        "taxes": [],
        "type": type,
        "unit_amount": None,
        "unit_amount_decimal": None,
    }


def total_taxes(found: Sums) -> list[Json]:
    """The taxes of all lines, by rate."""
    by_rate: dict[str, Json] = {}
    for line in found.lines:
        for tax in line["taxes"]:
            key = tax["tax_rate_details"]["tax_rate"]
            entry = by_rate.setdefault(key, {**tax, "amount": 0, "taxable_amount": 0})
            entry["amount"] += tax["amount"]
            entry["taxable_amount"] += tax["taxable_amount"]
    return list(by_rate.values())


def total_discounts(found: Sums) -> list[Json]:
    by_id: dict[str, int] = {}
    for line in found.lines:
        for part in line["discount_amounts"]:
            by_id[part["discount"]] = by_id.get(part["discount"], 0) + part["amount"]
    return [{"amount": amount, "discount": id} for id, amount in by_id.items()]
