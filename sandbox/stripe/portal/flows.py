"""Links that lead to one task of the portal and no further, checked when they are made."""

from sandbox.stripe import errors
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World

LIVE = ("trialing", "active", "past_due", "unpaid", "paused", "incomplete")
#: The feature of the configuration that each flow needs.
_NEEDS = {
    "customer_update": "customer_update",
    "payment_method_update": "payment_method_update",
    "subscription_cancel": "subscription_cancel",
    "subscription_pause": "subscription_pause",
    "subscription_update": "subscription_update",
    "subscription_update_confirm": "subscription_update",
}
_NAMES = ("subscription_cancel", "subscription_pause", "subscription_update")


def checked(world: World, customer: Row, features: Json, sent: Json) -> Json:
    """The `flow` that a new session shows; raises ApiError."""
    type = sent["type"]
    if not features[_NEEDS[type]]["enabled"]:
        raise errors.invalid(
            f"The flow type `{type}` cannot be used: the portal configuration has "
            f"`{_NEEDS[type]}` disabled.",
            "flow_data[type]",
        )
    data = sent.get(type)
    if type.startswith("subscription_"):
        if not data:
            name = f"flow_data[{type}]"
            raise errors.invalid(f"Missing required param: {name}.", name, "parameter_missing")
        _check_subscription(world, customer, type, data)
    flow: Json = {
        "after_completion": _after(sent.get("after_completion")),
        "customer_update": {} if type == "customer_update" else None,
        "subscription_update_confirm": None,
        **dict.fromkeys(_NAMES),
        "type": type,
    }
    if data is not None:
        flow[type] = _shown(type, data)
    return flow


def _shown(type: str, data: Json) -> Json:
    match type:
        case "subscription_cancel":
            return {"retention": data.get("retention"), "subscription": data["subscription"]}
        case "subscription_update_confirm":
            items = [
                {"id": i["id"], "price": i.get("price"), "quantity": i.get("quantity")}
                for i in data["items"]
            ]
            found = [
                {"coupon": d.get("coupon"), "promotion_code": d.get("promotion_code")}
                for d in data.get("discounts") or []
            ]
            return {
                "discounts": found or None,
                "items": items,
                "subscription": data["subscription"],
            }
    return data


def _after(sent: Json | None) -> Json:
    sent = sent or {"type": "portal_homepage"}
    redirect = sent.get("redirect")
    if sent["type"] == "redirect":
        name = "flow_data[after_completion][redirect][return_url]"
        if not redirect:
            raise errors.invalid(f"Missing required param: {name}.", name, "parameter_missing")
        errors.check_url(redirect["return_url"], name)
    confirmation = sent.get("hosted_confirmation") or {}
    return {
        "hosted_confirmation": {"custom_message": confirmation.get("custom_message")}
        if sent["type"] == "hosted_confirmation"
        else None,
        "redirect": redirect,
        "type": sent["type"],
    }


def _check_subscription(world: World, customer: Row, type: str, data: Json) -> None:
    path = f"flow_data[{type}]"
    row = world.named("subscription", data["subscription"], f"{path}[subscription]")
    if row.body["customer"] != customer.id:
        raise errors.invalid(
            f"The subscription {row.id} does not belong to the customer {customer.id}.",
            f"{path}[subscription]",
        )
    if row.body["status"] not in LIVE:
        raise errors.invalid(
            f"The subscription {row.id} is {row.body['status']} and cannot be changed.",
            f"{path}[subscription]",
        )
    if type == "subscription_cancel":
        _check_cancel(world, row, data, path)
    if type == "subscription_update_confirm":
        _check_items(world, row, data["items"], f"{path}[items]")


def _check_cancel(world: World, row: Row, data: Json, path: str) -> None:
    if row.body["cancel_at_period_end"] or row.body["cancel_at"]:
        raise errors.invalid(
            f"The subscription {row.id} is already set to be canceled at period end.",
            f"{path}[subscription]",
        )
    retention = data.get("retention")
    if retention:
        coupon = retention["coupon_offer"]["coupon"]
        world.named("coupon", coupon, f"{path}[retention][coupon_offer][coupon]")


def _check_items(world: World, row: Row, items: list[Json], path: str) -> None:
    if len(items) != 1:
        raise errors.invalid("You must pass exactly one item.", path)
    known = [item["id"] for item in row.body["items"]["data"]]
    if items[0]["id"] not in known:
        raise errors.missing("subscription_item", items[0]["id"], f"{path}[0][id]", 400)
    if items[0].get("price"):
        world.named("price", items[0]["price"], f"{path}[0][price]")
