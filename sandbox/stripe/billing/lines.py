"""What an invoice lists: an item's period, a pending invoice item, a trial that costs nothing."""

from dataclasses import dataclass, field
from decimal import Decimal

from sandbox.stripe import money
from sandbox.stripe.billing import items
from sandbox.stripe.ids import new_id
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World


@dataclass(slots=True)
class Line:
    """A line as the API shows it, with the tax rates that it is priced by."""

    body: Json
    rates: list[Json] = field(default_factory=list)

    @property
    def product(self) -> str:
        pricing = self.body["pricing"]
        return str(pricing["price_details"]["product"]) if pricing else ""


def kept(lines: list[Line]) -> list[Json]:
    return [{"body": line.body, "rates": line.rates} for line in lines]


def of(invoice: Row) -> list[Line]:
    return [Line(**line) for line in invoice.private["lines"]]


def shown(lines: list[Line], invoice: str) -> Json:
    """The first ten as the invoice itself shows them."""
    return {
        "object": "list",
        "data": [line.body for line in lines[:10]],
        "has_more": len(lines) > 10,
        "url": f"/v1/invoices/{invoice}/lines",
    }


def pricing_of(price: Json, unit_amount_decimal: str | None = None) -> Json:
    return {
        "price_details": {"price": price["id"], "product": price["product"]},
        "type": "price_details",
        "unit_amount_decimal": unit_amount_decimal or price["unit_amount_decimal"],
    }


def new_line(amount: int, currency: str, description: str | None, **more: object) -> Json:
    """A line's body with every key Stripe shows."""
    return {
        "id": new_id("line_item"),
        "object": "line_item",
        "amount": amount,
        "currency": currency,
        "description": description,
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": {},
        "parent": None,
        "period": {"end": 0, "start": 0},
        "pretax_credit_amounts": [],
        "pricing": None,
        "quantity": 1,
        "quantity_decimal": "1",
        "subscription": None,
        "subtotal": amount,
        "taxes": [],
        **more,
    }


def _item_parent(subscription: str, item: str, invoice_item: str | None = None) -> Json:
    return {
        "invoice_item_details": None,
        "subscription_item_details": {
            "invoice_item": invoice_item,
            "proration": invoice_item is not None,
            "proration_details": {"credited_items": None} if invoice_item else None,
            "subscription": subscription,
            "subscription_item": item,
        },
        "type": "subscription_item_details",
    }


def rates_of(subscription: Row, item: Json) -> list[Json]:
    return item["tax_rates"] or subscription.body["default_tax_rates"] or []


def period_line(
    world: World, subscription: Row, item: Json, *, share: Decimal = Decimal(1)
) -> Line:
    """An item's current period; `share` is the part of a whole period that it is."""
    amount = money.rounded(items.amount_of(item) * share)
    name = product_name(world, item["price"])
    text = f"{item['quantity']} × {name} (at {_per_period(item['price'])})"
    return _period_line(subscription, item, amount, text)


def trial_line(world: World, subscription: Row, item: Json) -> Line:
    """An item's trial: listed, and free."""
    name = product_name(world, item["price"])
    return _period_line(subscription, item, 0, f"Trial period for {name}")


def _period_line(subscription: Row, item: Json, amount: int, text: str) -> Line:
    body = new_line(
        amount,
        item["price"]["currency"],
        text,
        metadata=subscription.body["metadata"],
        parent=_item_parent(subscription.id, item["id"]),
        period={"end": item["current_period_end"], "start": item["current_period_start"]},
        pricing=pricing_of(item["price"], None if amount else "0"),
        quantity=item["quantity"],
        quantity_decimal=str(item["quantity"]),
        subscription=subscription.id,
    )
    return Line(body, rates_of(subscription, item))


def pending_line(row: Row) -> Line:
    """A pending invoice item on its way into an invoice."""
    item = row.body
    details = (item["parent"] or {}).get("subscription_details") or {}
    subscription = details.get("subscription")
    if subscription and details.get("subscription_item"):
        parent = _item_parent(subscription, details["subscription_item"], row.id)
    else:
        parent = {
            "invoice_item_details": {
                "invoice_item": row.id,
                "proration": item["proration"],
                "proration_details": {"credited_items": None} if item["proration"] else None,
                "subscription": subscription,
            },
            "subscription_item_details": None,
            "type": "invoice_item_details",
        }
    body = new_line(
        item["amount"],
        item["currency"],
        item["description"],
        discountable=item["discountable"],
        metadata=item["metadata"] or {},
        parent=parent,
        period=item["period"],
        pricing=item["pricing"],
        quantity=item["quantity"],
        quantity_decimal=item["quantity_decimal"],
        subscription=subscription,
    )
    return Line(body, item["tax_rates"] or [])


def product_name(world: World, price: Json) -> str:
    product = world.find("product", price["product"])
    return str(product.body.get("name", "")) if product else ""


def _per_period(price: Json) -> str:
    amount = money.written(money.rounded(Decimal(price["unit_amount_decimal"])), price["currency"])
    interval, count = items.rhythm(price)
    return f"{amount} / {interval}" if count == 1 else f"{amount} every {count} {interval}s"
