"""What an invoice costs: discounts and taxes on its lines, and the customer's balance."""

from typing import Any

from sandbox.stripe.billing.lines import Line
from sandbox.stripe.checkout import totals
from sandbox.stripe.store import Json, Row

Offers = list[tuple[Row, totals.Offer]]


def price(body: Json, lines: list[Line], offers: Offers) -> None:
    """Work out every amount of lines and invoice anew; the caller saves."""
    left = _discount(lines, offers)
    added = 0
    for line, net in zip(lines, left, strict=True):
        added += _tax(line, net)
    subtotal = sum(line.body["amount"] for line in lines)
    discounted = sum(left)
    inside = sum(_inclusive(line) for line in lines)
    total = discounted + added
    body |= {
        "discounts": [row.id for row, _ in offers],
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal - inside,
        "total": total,
        "total_discount_amounts": _discount_totals(lines, offers),
        "total_excluding_tax": discounted - inside,
        "total_taxes": _tax_totals(lines),
    }
    settle(body, body["starting_balance"])


def settle(body: Json, balance: int) -> None:
    """What is left to pay once the customer's balance is used; a negative balance is a credit."""
    due = max(body["total"] + balance, 0)
    body |= {"starting_balance": balance, "amount_due": due, "amount_remaining": due}


def _discount(lines: list[Line], offers: Offers) -> list[int]:
    left = [line.body["amount"] for line in lines]
    for line in lines:
        line.body["discount_amounts"], line.body["discounts"] = [], []
    for row, offer in offers:
        open_ = [
            totals.Line(max(rest, 0) if line.body["discountable"] else 0, line.product)
            for line, rest in zip(lines, left, strict=True)
        ]
        for index, part in enumerate(totals.discounts(open_, offer)):
            if part:
                amounts = lines[index].body["discount_amounts"]
                amounts.append({"amount": part, "discount": row.id})
                left[index] -= part
    return left


def _tax(line: Line, net: int) -> int:
    """Write a line's taxes; returns what they add to it."""
    found = totals.taxes(net, tuple(line.rates))
    line.body["taxes"] = [
        {
            "amount": tax.amount,
            "tax_behavior": "inclusive" if tax.rate["inclusive"] else "exclusive",
            "tax_rate_details": {"tax_rate": tax.rate["id"]},
            "taxability_reason": "not_available",
            "taxable_amount": tax.taxable,
            "type": "tax_rate_details",
        }
        for tax in found
    ]
    return sum(tax.amount for tax in found if not tax.rate["inclusive"])


def _inclusive(line: Line) -> int:
    return sum(tax["amount"] for tax in line.body["taxes"] if tax["tax_behavior"] == "inclusive")


def _discount_totals(lines: list[Line], offers: Offers) -> list[Json]:
    sums = {row.id: 0 for row, _ in offers}
    for line in lines:
        for part in line.body["discount_amounts"]:
            sums[part["discount"]] += part["amount"]
    return [{"amount": amount, "discount": id} for id, amount in sums.items()]


def _tax_totals(lines: list[Line]) -> list[Json]:
    sums: dict[Any, Json] = {}
    for line in lines:
        for tax in line.body["taxes"]:
            key = tax["tax_rate_details"]["tax_rate"]
            entry = sums.setdefault(key, {**tax, "amount": 0, "taxable_amount": 0})
            entry["amount"] += tax["amount"]
            entry["taxable_amount"] += tax["taxable_amount"]
    return list(sums.values())
