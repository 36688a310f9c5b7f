"""One-time prices and other invoice items that come along with an invoice."""

from sandbox.stripe import errors
from sandbox.stripe.billing import items, lines, proration
from sandbox.stripe.checkout import totals
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World, check_metadata


def new_item(
    world: World, customer: Row, sent: Json, path: str, subscription: Row | None = None
) -> Row:
    """Keep a pending invoice item of a one-time price or an amount; raises ApiError."""
    errors.unsupported(sent, ("discounts", "customer_account", "tax_behavior", "tax_code"))
    check_metadata(sent.get("metadata") or {})
    price = _price(world, sent, path)
    quantity = sent.get("quantity", 1)
    items.check_quantity(quantity, "quantity")
    if price is not None:
        unit, currency = price.body["unit_amount_decimal"], price.body["currency"]
        amount = totals.line_amount(unit, quantity)
        text = sent.get("description") or lines.product_name(world, price.body)
    else:
        amount, currency = _amount(sent, quantity)
        text = sent.get("description")
    period = sent.get("period") or {"end": world.now, "start": world.now}
    parent = subscription and {
        "subscription_details": {"subscription": subscription.id, "subscription_item": None},
        "type": "subscription_details",
    }
    body = proration.new_body(
        customer.id,
        amount,
        currency,
        text,
        date=world.now,
        discountable=sent.get("discountable", amount >= 0),
        metadata=sent.get("metadata") or {},
        parent=parent,
        period={"end": period.get("end", world.now), "start": period.get("start", world.now)},
        pricing=lines.pricing_of(price.body) if price else None,
        quantity=quantity,
        quantity_decimal=str(quantity),
        tax_rates=items.rates(world, sent.get("tax_rates"), "tax_rates"),
        test_clock=customer.body["test_clock"],
    )
    return world.add("invoiceitem", body, {"lane": subscription.id if subscription else None})


def _price(world: World, sent: Json, path: str) -> Row | None:
    if sent.get("pricing"):
        sent = {**sent, "price": sent["pricing"].get("price")}
    if "price" not in sent and "price_data" not in sent:
        return None
    named: Json = {key: sent[key] for key in ("price", "price_data") if key in sent}
    return items.chosen_price(world, named, path, recurring=False)


def _amount(sent: Json, quantity: int) -> tuple[int, str]:
    currency = sent.get("currency")
    if not currency:
        raise errors.invalid("Missing required param: currency.", "currency", "parameter_missing")
    if "amount" in sent:
        return sent["amount"], currency.lower()
    if "unit_amount_decimal" in sent:
        return totals.line_amount(sent["unit_amount_decimal"], quantity), currency.lower()
    raise errors.invalid(
        "You must specify one of `amount`, `pricing`, `price_data` and `unit_amount_decimal`.",
        "amount",
    )


def add(world: World, subscription: Row, sent: list[Json]) -> None:
    """Keep `add_invoice_items`, which the invoice that is made next takes along."""
    customer = world.get("customer", subscription.body["customer"])
    for index, item in enumerate(sent):
        errors.unsupported(item, ("period",))
        row = new_item(world, customer, item, f"add_invoice_items[{index}]", subscription)
        world.emit("invoiceitem.created", row)
