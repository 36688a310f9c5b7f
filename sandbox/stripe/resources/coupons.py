"""Coupons: a percentage or an amount off, with limits."""

from typing import Any

from sandbox.stripe import errors
from sandbox.stripe.expand import includable
from sandbox.stripe.ids import new_id
from sandbox.stripe.listing import listed
from sandbox.stripe.resources.prices import checked_currency
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World, check_metadata, merged_metadata


def is_valid(coupon: Json, now: int) -> bool:
    """Whether it can still be redeemed: neither used up nor past its date."""
    limit, last = coupon["max_redemptions"], coupon["redeem_by"]
    used_up = limit is not None and coupon["times_redeemed"] >= limit
    return not used_up and (last is None or now < last)


def shown(world: World, row: Row) -> Json:
    return {**row.body, "valid": is_valid(row.body, world.now)}


@route("POST", "/v1/coupons")
def create(call: Call) -> Row:
    world, params = call.world, call.params
    errors.unsupported(params, ("currency_options",))
    _check(world, params)
    check_metadata(params.get("metadata") or {})
    applies_to = params.get("applies_to")
    body: Json = {
        "amount_off": params.get("amount_off"),
        "currency": params.get("currency") and checked_currency(params["currency"]),
        "duration": params.get("duration", "once"),
        "duration_in_months": params.get("duration_in_months"),
        "max_redemptions": params.get("max_redemptions"),
        "metadata": params.get("metadata") or {},
        "name": params.get("name"),
        "percent_off": params.get("percent_off"),
        "redeem_by": params.get("redeem_by"),
        "times_redeemed": 0,
        "valid": True,
    }
    coupon = world.add(
        "coupon",
        body,
        private={"applies_to": applies_to},
        id=params.get("id") or new_id("coupon"),
    )
    world.emit("coupon.created", coupon)
    return coupon


def _check(world: World, params: Json) -> None:
    if params.get("id") and world.find("coupon", params["id"]):
        raise errors.invalid("Coupon already exists.", "id", "resource_already_exists")
    if ("percent_off" in params) == ("amount_off" in params):
        raise errors.invalid(
            "You must pass exactly one of `percent_off` or `amount_off`.", "percent_off"
        )
    if "amount_off" in params:
        _check_amount(params)
    elif not 0 < params["percent_off"] <= 100:
        raise errors.invalid("Invalid percent off: must be between 0 and 100.", "percent_off")
    if params.get("duration") == "repeating" and not params.get("duration_in_months"):
        raise errors.invalid(
            "You must specify `duration_in_months` when `duration` is `repeating`.",
            "duration_in_months",
        )
    if params.get("redeem_by") and params["redeem_by"] <= world.now:
        raise errors.invalid("Invalid redeem_by: must be in the future.", "redeem_by")


def _check_amount(params: Json) -> None:
    if params["amount_off"] < 1:
        raise errors.invalid("Invalid positive integer", "amount_off")
    if "currency" not in params:
        raise errors.invalid(
            "You must pass currency when passing amount_off", "currency", "parameter_missing"
        )


@route("GET", "/v1/coupons/{id}")
def retrieve(call: Call, id: str) -> Json:
    return shown(call.world, call.world.get("coupon", id, "coupon"))


@route("POST", "/v1/coupons/{id}")
def update(call: Call, id: str) -> Json:
    errors.unsupported(call.params, ("currency_options",))
    coupon = call.world.get("coupon", id, "coupon")
    changes = call.pick("name")
    if "metadata" in call.params:
        changes["metadata"] = merged_metadata(coupon.body["metadata"], call.params["metadata"])
    previous = call.world.change(coupon, changes)
    call.world.emit("coupon.updated", coupon, previous)
    return shown(call.world, coupon)


@route("DELETE", "/v1/coupons/{id}")
def delete(call: Call, id: str) -> Json:
    coupon = call.world.get("coupon", id, "coupon")
    call.world.emit("coupon.deleted", coupon)
    return call.world.delete(coupon)


@route("GET", "/v1/coupons")
def list_(call: Call) -> Json:
    return listed(call, "coupon", "/v1/coupons", show=lambda row: shown(call.world, row))


@includable("coupon", "applies_to")
def _applies_to(world: World, coupon: Json) -> Any:
    row = world.find("coupon", coupon["id"])
    return row.private.get("applies_to") if row else None


@includable("coupon", "currency_options")
def _currency_options(_world: World, coupon: Json) -> Any:
    if coupon["amount_off"] is None:
        return None
    return {coupon["currency"]: {"amount_off": coupon["amount_off"]}}
