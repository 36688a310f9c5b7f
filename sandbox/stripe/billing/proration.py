"""Proration: what is given back for unused time, and asked for the time that is left."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from sandbox.stripe import money
from sandbox.stripe.billing import items, lines, offers
from sandbox.stripe.checkout import totals
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World


@dataclass(frozen=True, slots=True)
class Stretch:
    """The rest of a period from a moment on, and the share of the period that it is."""

    start: int
    moment: int
    end: int

    @property
    def share(self) -> Decimal:
        return Decimal(self.end - self.moment) / Decimal(self.end - self.start)


def note_billed(subscription: Row, invoice: Row) -> None:
    """Remember what each item really cost, so that no more than that is given back.

    The caller saves the subscription.
    """
    billed = subscription.private.setdefault("billed", {})
    for line in lines.of(invoice):
        details = (line.body["parent"] or {}).get("subscription_item_details")
        if details and not details["proration"]:
            off = sum(part["amount"] for part in line.body["discount_amounts"])
            billed[details["subscription_item"]] = line.body["amount"] - off


def credit(world: World, subscription: Row, item: Json, stretch: Stretch) -> Row:
    """A pending invoice item that gives the unused time of an item back."""
    billed = subscription.private.get("billed", {}).get(item["id"])
    whole = net_amount(world, subscription, item) if billed is None else billed
    amount = -money.rounded(whole * stretch.share)
    text = f"Unused time on {_named(world, item)} after {_day(stretch.moment)}"
    return _pending(world, subscription, item, amount, text, stretch)


def debit(world: World, subscription: Row, item: Json, stretch: Stretch) -> Row:
    """A pending invoice item for the rest of the period at an item's new price."""
    whole = net_amount(world, subscription, item)
    subscription.private.setdefault("billed", {})[item["id"]] = whole
    text = f"Remaining time on {_named(world, item)} after {_day(stretch.moment)}"
    return _pending(world, subscription, item, money.rounded(whole * stretch.share), text, stretch)


def net_amount(world: World, subscription: Row, item: Json) -> int:
    """A whole period of an item with the subscription's discounts taken off."""
    left = items.amount_of(item)
    for _, offer in offers.running(world, subscription.body["discounts"]):
        part = totals.discounts([totals.Line(left, item["price"]["product"])], offer)
        left -= part[0]
    return left


def _named(world: World, item: Json) -> str:
    name = lines.product_name(world, item["price"])
    return name if item["quantity"] == 1 else f"{item['quantity']} × {name}"


def _day(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%d %b %Y")


def _pending(
    world: World, subscription: Row, item: Json, amount: int, text: str, stretch: Stretch
) -> Row:
    unit = Decimal(amount) / item["quantity"] if item["quantity"] else Decimal(0)
    parent = {
        "subscription_details": {
            "subscription": subscription.id,
            "subscription_item": item["id"],
        },
        "type": "subscription_details",
    }
    body = new_body(
        subscription.body["customer"],
        amount,
        item["price"]["currency"],
        text,
        date=stretch.moment,
        discountable=False,
        parent=parent,
        period={"end": stretch.end, "start": stretch.moment},
        pricing=lines.pricing_of(item["price"], f"{unit:.12g}"),
        proration=True,
        proration_details={"credited_items": None, "discount_amounts": []},
        quantity=item["quantity"],
        quantity_decimal=str(item["quantity"]),
        tax_rates=lines.rates_of(subscription, item),
        test_clock=subscription.body["test_clock"],
    )
    row = world.add("invoiceitem", body, {"lane": subscription.id})
    world.emit("invoiceitem.created", row)
    return row


def new_body(customer: str, amount: int, currency: str, text: str | None, **more: object) -> Json:
    """An invoice item's body with every key Stripe shows."""
    return {
        "amount": amount,
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "date": 0,
        "description": text,
        "discountable": True,
        "discounts": [],
        "frozen_fields": None,
        "invoice": None,
        "invoicing_rules": None,
        "metadata": {},
        "net_amount": amount,
        "parent": None,
        "period": {"end": 0, "start": 0},
        "pricing": None,
        "proration": False,
        "proration_details": None,
        "quantity": 1,
        "quantity_decimal": "1",
        "tax_rates": [],
        "test_clock": None,
        **more,
    }
