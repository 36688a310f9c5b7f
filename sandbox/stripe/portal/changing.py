"""Another plan: what may be chosen, what it costs now and later, and the change itself."""

from dataclasses import dataclass

from sandbox.stripe import errors, money
from sandbox.stripe.billing import previewing, subscribing
from sandbox.stripe.checkout import recurring
from sandbox.stripe.hosted import date
from sandbox.stripe.messages import Response
from sandbox.stripe.portal import plans
from sandbox.stripe.portal.visiting import Portal, step
from sandbox.stripe.store import Json, Row


@dataclass(frozen=True, slots=True)
class Choice:
    """The price and number of a plan somebody wants."""

    price: Row
    quantity: int


@step("GET", "change", "subscription_update")
def ask(portal: Portal) -> Response:
    row = portal.subscription()
    if row is None:
        return portal.go()
    chosen = _choice(portal, row)
    if chosen is not None:
        return _preview(portal, row, chosen)
    current = row.body["items"]["data"][0]
    return portal.render(
        "change",
        plan=plans.shown(portal.world, row),
        options=[
            {
                "id": price.id,
                "name": _product(portal, price),
                "words": _words(price),
                "current": price.id == current["price"]["id"],
            }
            for price in _offered(portal, row)
        ],
        quantity=_adjustable(portal, current["price"]["product"]) and current["quantity"],
    )


@step("GET", "confirm", "subscription_update")
def confirm(portal: Portal) -> Response:
    """The change that the shop's link proposes."""
    row, chosen = portal.subscription(), _proposed(portal)
    if row is None or chosen is None:
        return portal.go("change", subscription=row.id) if row else portal.go()
    return _preview(portal, row, chosen)


@step("POST", "change", "subscription_update")
def change(portal: Portal) -> Response:
    row = portal.subscription()
    if row is None:
        return portal.go()
    chosen = _proposed(portal) or _choice(portal, row)
    if chosen is None:
        return portal.go("change", subscription=row.id)
    params: Json = {**_update(portal, row, chosen), "payment_behavior": "error_if_incomplete"}
    try:
        with portal.world.attempt():
            subscribing.update(portal.world, row, params)
    except errors.ApiError as error:
        fresh = portal.world.get("subscription", row.id)
        return _preview(portal, fresh, chosen, error.message)
    return portal.finish("change")


def _update(portal: Portal, row: Row, chosen: Choice) -> Json:
    """The parameters of the change, by the configuration's rules."""
    rules = portal.features["subscription_update"]
    item = row.body["items"]["data"][0]
    params: Json = {
        "items": [{"id": item["id"], "price": chosen.price.id, "quantity": chosen.quantity}],
        "proration_behavior": rules["proration_behavior"],
    }
    if rules["billing_cycle_anchor"]:
        params["billing_cycle_anchor"] = {"type": rules["billing_cycle_anchor"]}
    if row.body["status"] == "trialing" and rules["trial_update_behavior"] == "end_trial":
        params["trial_end"] = "now"
    discounts = _flow_data(portal).get("discounts")
    if discounts:
        params["discounts"] = [{k: v for k, v in one.items() if v} for one in discounts]
    if rules["proration_behavior"] != "none":
        sent = portal.visit.sent.get("proration_date", "")
        params["proration_date"] = int(sent) if sent.isdecimal() else portal.world.now
    return params


def _preview(portal: Portal, row: Row, chosen: Choice, fault: str = "") -> Response:
    params = _update(portal, row, chosen)
    discounts = params.pop("discounts", None)
    asked: Json = {
        "customer": row.body["customer"],
        "subscription": row.id,
        "subscription_details": params,
    }
    if discounts:
        asked["discounts"] = discounts
    coming, words = None, fault
    try:
        coming = previewing.preview(portal.world, asked)
    except errors.ApiError as error:
        words = words or error.message
    return portal.render(
        "confirm",
        402 if fault else 200,
        plan=plans.shown(portal.world, row),
        name=_product(portal, chosen.price),
        words=_words(chosen.price, chosen.quantity),
        price=chosen.price.id,
        quantity=chosen.quantity,
        proration_date=params.get("proration_date", ""),
        coming=coming and _coming(portal, coming),
        fault=words,
    )


def _coming(portal: Portal, invoice: Json) -> Json:
    """The invoice that the change brings, now or at the period's end."""
    when = invoice["next_payment_attempt"] or invoice["period_end"]
    now = when <= portal.world.now + 60
    return {
        "lines": [
            {
                "words": line["description"],
                "amount": money.written(line["amount"], line["currency"]),
            }
            for line in invoice["lines"]["data"]
        ],
        "credit": money.written(invoice["starting_balance"], invoice["currency"])
        if invoice["starting_balance"]
        else "",
        "total": money.written(invoice["amount_due"], invoice["currency"]),
        "when": "Due today" if now else f"Due on {date(when)}",
    }


# What may be chosen


def _offered(portal: Portal, row: Row) -> list[Row]:
    """The prices to choose from: those of the configuration, or of a default one all."""
    world, currency = portal.world, row.body["currency"]
    entries = portal.features["subscription_update"]["products"]
    if entries:
        rows = [world.find("price", id) for entry in entries for id in entry["prices"]]
    elif portal.configuration["is_default"]:
        rows = [*reversed(world.rows("price", ["json_extract(body, '$.type') = 'recurring'"]))]
    else:
        rows = []
    return [price for price in rows if price and price.body["active"] and _fits(price, currency)]


def _fits(price: Row, currency: str) -> bool:
    metered = price.body["recurring"]["usage_type"] == "metered"
    return price.body["currency"] == currency and not metered


def _adjustable(portal: Portal, product: str) -> bool:
    entries = portal.features["subscription_update"]["products"] or []
    return any(e["product"] == product and e["adjustable_quantity"]["enabled"] for e in entries)


def _choice(portal: Portal, row: Row) -> Choice | None:
    """What was chosen, if it may be and is anything new."""
    asked = {**portal.visit.query, **portal.visit.sent}
    price = next((p for p in _offered(portal, row) if p.id == asked.get("price")), None)
    if price is None:
        return None
    current = row.body["items"]["data"][0]
    quantity = int(current["quantity"])
    if _adjustable(portal, price.body["product"]) and asked.get("quantity", "").isdecimal():
        quantity = max(1, int(asked["quantity"]))
    same = price.id == current["price"]["id"] and quantity == current["quantity"]
    return None if same else Choice(price, quantity)


def _flow_data(portal: Portal) -> Json:
    flow = portal.flow or {}
    return flow.get("subscription_update_confirm") or {}


def _proposed(portal: Portal) -> Choice | None:
    data, row = _flow_data(portal), portal.subscription()
    if not data or row is None:
        return None
    wanted, current = data["items"][0], row.body["items"]["data"][0]
    price = portal.world.find("price", wanted["price"] or current["price"]["id"])
    return Choice(price, wanted["quantity"] or current["quantity"]) if price else None


def _product(portal: Portal, price: Row) -> str:
    product = portal.world.find("product", price.body["product"])
    return str(product.body["name"]) if product and not product.deleted else price.id


def _words(price: Row, quantity: int = 1) -> str:
    unit = price.body["unit_amount"] or 0
    return recurring.priced(unit * quantity, price.body["currency"], price.body["recurring"])
