"""Promotion codes: the words a buyer types to get a coupon."""

import re

from sandbox.stripe import errors
from sandbox.stripe.ids import new_id
from sandbox.stripe.listing import listed
from sandbox.stripe.resources import coupons
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World, check_metadata, merged_metadata


def find_by_code(world: World, code: str) -> Row | None:
    """The active promotion code of these letters, upper or lower."""
    rows = world.rows(
        "promotion_code",
        ["lower(json_extract(body, '$.code')) = ?", "json_extract(body, '$.active') = 1"],
        [code.strip().lower()],
    )
    return rows[0] if rows else None


def refusal(
    world: World, row: Row, subtotal: int, currency: str, customer: str | None
) -> str | None:
    """Why a code cannot be used now, as a sentence for the buyer; None if it can."""
    body = row.body
    coupon = world.find("coupon", body["promotion"]["coupon"])
    if coupon is None or coupon.deleted or not coupons.is_valid(coupon.body, world.now):
        return "This code has expired."
    if not body["active"] or (body["expires_at"] and body["expires_at"] <= world.now):
        return "This code has expired."
    limit = body["max_redemptions"]
    if limit is not None and body["times_redeemed"] >= limit:
        return "This code has expired."
    if body["customer"] and body["customer"] != customer:
        return "This code is invalid."
    if coupon.body["currency"] not in (None, currency):
        return "This code is invalid."
    return _restriction(world, body["restrictions"], subtotal, currency, customer)


def _restriction(
    world: World, restrictions: Json, subtotal: int, currency: str, customer: str | None
) -> str | None:
    least, least_currency = restrictions["minimum_amount"], restrictions["minimum_amount_currency"]
    if least is not None and (least_currency != currency or subtotal < least):
        return "Your order doesn't reach the minimum amount of this code."
    if restrictions["first_time_transaction"]:
        paid = customer and world.rows(
            "payment_intent",
            [
                "json_extract(body, '$.customer') = ?",
                "json_extract(body, '$.status') = 'succeeded'",
            ],
            [customer],
        )
        if not customer or paid:
            return "This code is only valid for first-time customers."
    return None


@route("POST", "/v1/promotion_codes")
def create(call: Call) -> Row:
    world, params = call.world, call.params
    code = params.get("code") or new_id("code")
    _check(world, params, code)
    restrictions = params.get("restrictions") or {}
    body: Json = {
        "active": params.get("active", True),
        "code": code,
        "customer": params.get("customer"),
        "customer_account": None,
        "expires_at": params.get("expires_at"),
        "max_redemptions": params.get("max_redemptions"),
        "metadata": params.get("metadata") or {},
        "promotion": {"type": "coupon", "coupon": params["promotion"]["coupon"]},
        "restrictions": {
            "first_time_transaction": restrictions.get("first_time_transaction", False),
            "minimum_amount": restrictions.get("minimum_amount"),
            "minimum_amount_currency": restrictions.get("minimum_amount_currency"),
        },
        "times_redeemed": 0,
    }
    row = world.add("promotion_code", body)
    world.emit("promotion_code.created", row)
    return row


def _check(world: World, params: Json, code: str) -> None:
    errors.unsupported(params, ("customer_account",))
    errors.unsupported(params.get("restrictions") or {}, ("currency_options",))
    check_metadata(params.get("metadata") or {})
    coupon_id = params["promotion"].get("coupon")
    if not coupon_id:
        raise errors.invalid(
            "Missing required param: promotion[coupon].", "promotion[coupon]", "parameter_missing"
        )
    world.named("coupon", coupon_id, "promotion[coupon]")
    if not re.fullmatch(r"[A-Za-z0-9-]+", code):
        raise errors.invalid(
            "The promotion code may only contain the characters a-z, A-Z, 0-9 and dashes.", "code"
        )
    if find_by_code(world, code):
        raise errors.invalid(
            f"An active promotion code with `code: {code}` already exists.", "code"
        )
    if params.get("customer"):
        world.named("customer", params["customer"], "customer")


@route("GET", "/v1/promotion_codes/{id}")
def retrieve(call: Call, id: str) -> Row:
    return call.world.get("promotion_code", id, "promotion_code")


@route("POST", "/v1/promotion_codes/{id}")
def update(call: Call, id: str) -> Row:
    errors.unsupported(call.params, ("restrictions",))
    row = call.world.get("promotion_code", id, "promotion_code")
    changes = call.pick("active")
    if "metadata" in call.params:
        changes["metadata"] = merged_metadata(row.body["metadata"], call.params["metadata"])
    previous = call.world.change(row, changes)
    call.world.emit("promotion_code.updated", row, previous)
    return row


@route("GET", "/v1/promotion_codes")
def list_(call: Call) -> Json:
    where, values = [], []
    if call.params.get("coupon"):
        where.append("json_extract(body, '$.promotion.coupon') = ?")
        values.append(call.params["coupon"])
    if call.params.get("code"):
        where.append("lower(json_extract(body, '$.code')) = ?")
        values.append(call.params["code"].lower())
    equal = ("active", "customer")
    return listed(call, "promotion_code", "/v1/promotion_codes", equal, where, values)
