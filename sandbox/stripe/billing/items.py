"""A subscription's items: which price, how many, and for which period."""

from sandbox.stripe import errors
from sandbox.stripe.checkout import totals
from sandbox.stripe.ids import new_id
from sandbox.stripe.resources import prices
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World, check_metadata

_UNSUPPORTED = ("billing_thresholds", "current_trial", "discounts", "plan")


def plan_of(price: Json) -> Json:
    """The price as the older object that items still carry beside it."""
    recurring = price["recurring"]
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": price["billing_scheme"],
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": False,
        "metadata": price["metadata"],
        "meter": None,
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": recurring["usage_type"],
    }


def amount_of(item: Json) -> int:
    """What an item costs for a whole period, before discount and tax."""
    quantity = 1 if item["quantity"] is None else item["quantity"]
    return totals.line_amount(item["price"]["unit_amount_decimal"], quantity)


def chosen_price(world: World, sent: Json, path: str, recurring: bool = True) -> Row:
    """The price that `price` names or `price_data` describes; raises ApiError."""
    if ("price" in sent) == ("price_data" in sent):
        raise errors.invalid(
            f"You must specify exactly one of `price` and `price_data` in `{path}`.", path
        )
    if "price_data" in sent:
        data = sent["price_data"]
        world.named("product", data["product"], f"{path}[price_data][product]")
        return prices.new_price(world, data, f"{path}[price_data]", active=False)
    price = world.named("price", sent["price"], f"{path}[price]")
    if not price.body["active"]:
        raise errors.invalid(
            "The price specified is inactive. This field only accepts active prices.",
            f"{path}[price]",
        )
    if recurring and price.body["type"] != "recurring":
        raise errors.invalid(
            f"The price specified is set to `type=one_time` but this field only accepts prices "
            f"with `type=recurring`: {price.id}.",
            f"{path}[price]",
        )
    return price


def new_item(world: World, subscription: str, sent: Json, path: str) -> Json:
    """An item to put into a subscription; its period is set by whoever starts that."""
    errors.unsupported(sent, _UNSUPPORTED)
    price = chosen_price(world, sent, path)
    check_metadata(sent.get("metadata") or {}, f"{path}[metadata]")
    quantity = sent.get("quantity", 1)
    check_quantity(quantity, f"{path}[quantity]")
    body: Json = {
        "billing_thresholds": None,
        "current_period_end": 0,
        "current_period_start": 0,
        "discounts": [],
        "metadata": sent.get("metadata") or {},
        "plan": plan_of(price.body),
        "price": price.body,
        "quantity": quantity,
        "subscription": subscription,
        "tax_rates": rates(world, sent.get("tax_rates"), f"{path}[tax_rates]"),
    }
    id = new_id("subscription_item")
    # The subscription holds its items; this row only tells which one to look into.
    stub: Json = {"created": world.now, "subscription": subscription}
    world.add("subscription_item", stub, id=id)
    return {"id": id, "object": "subscription_item", "created": world.now, **body}


def check_quantity(quantity: int, param: str) -> None:
    if quantity < 0:
        raise errors.invalid("Invalid non-negative integer", param, "parameter_invalid_integer")


def rates(world: World, ids: list[str] | None, path: str) -> list[Json]:
    return [
        world.named("tax_rate", id, f"{path}[{index}]").body for index, id in enumerate(ids or [])
    ]


def as_list(items: list[Json], subscription: str) -> Json:
    url = f"/v1/subscription_items?subscription={subscription}"
    return {"object": "list", "data": items, "has_more": False, "url": url}


def check_together(items: list[Json]) -> None:
    """Raise ApiError unless all items share a currency and an interval."""
    if not items:
        raise errors.invalid("A subscription needs at least one item.", "items")
    seen = [item["price"]["id"] for item in items]
    if len(set(seen)) < len(seen):
        raise errors.invalid(
            "Cannot add multiple subscription items with the same plan.",
            "items",
        )
    first = items[0]["price"]
    for item in items[1:]:
        price = item["price"]
        if price["currency"] != first["currency"]:
            raise errors.invalid(
                "All prices on a subscription must have the same currency. Received "
                f"`{price['currency']}` beside `{first['currency']}`.",
                "items",
            )
        if rhythm(price) != rhythm(first):
            raise errors.invalid(
                "Currently, all items of a subscription must have the same `recurring.interval` "
                "and `recurring.interval_count`.",
                "items",
            )


def rhythm(price: Json) -> tuple[str, int]:
    recurring = price["recurring"]
    return recurring["interval"], recurring["interval_count"]


def period_of(subscription: Row) -> tuple[int, int]:
    first = subscription.body["items"]["data"][0]
    return first["current_period_start"], first["current_period_end"]


def set_period(items: list[Json], start: int, end: int) -> None:
    for item in items:
        item["current_period_start"], item["current_period_end"] = start, end
