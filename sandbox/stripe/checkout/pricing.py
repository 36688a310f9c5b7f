"""Writing a session's sums into it, whenever something that is to pay has changed."""

from sandbox.stripe.checkout import discounts, lines, totals
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World


def price_session(world: World, session: Row) -> None:
    """Work out every amount of a session anew; the caller saves it."""
    body, private = session.body, session.private
    chosen = next(
        (o for o in body["shipping_options"] if o["shipping_rate"] == private["shipping"]), None
    )
    items = [
        totals.Line(lines.amount_of(line), line["product"]["id"], tuple(line["tax_rates"]))
        for line in private["lines"]
    ]
    shipping = chosen["shipping_amount"] if chosen else 0
    sums = totals.totals(items, discounts.offer_of(world, session), shipping)
    for line, result in zip(private["lines"], sums.lines, strict=True):
        line["amounts"] = {
            "amount_discount": result.discount,
            "amount_subtotal": result.subtotal,
            "amount_tax": result.tax,
            "amount_total": result.total,
        }
        line["taxes"] = [_tax(tax) for tax in result.taxes]
    body["amount_subtotal"] = sums.subtotal
    body["amount_total"] = sums.total
    body["total_details"] = {
        "amount_discount": sums.discount,
        "amount_shipping": sums.shipping,
        "amount_tax": sums.tax,
    }
    body["shipping_cost"] = chosen and {
        "amount_subtotal": shipping,
        "amount_tax": 0,
        "amount_total": shipping,
        "shipping_rate": chosen["shipping_rate"],
    }


def _tax(tax: totals.Tax) -> Json:
    return {
        "amount": tax.amount,
        "rate": tax.rate,
        "taxability_reason": None,
        "taxable_amount": tax.taxable,
    }
