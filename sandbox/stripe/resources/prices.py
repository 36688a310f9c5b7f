"""Prices: an amount in a currency for a product, once or (later) recurring."""

from decimal import Decimal

from sandbox.stripe import errors, money
from sandbox.stripe.expand import includable
from sandbox.stripe.listing import listed
from sandbox.stripe.resources import products
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World, check_metadata, merged_metadata


def checked_currency(currency: str, param: str = "currency") -> str:
    lowered = currency.lower()
    if lowered not in money.CURRENCIES:
        raise errors.invalid(
            f"Invalid currency: {lowered}. Stripe currently supports these currencies: "
            + ", ".join(sorted(money.CURRENCIES)),
            param,
        )
    return lowered


def unit_amounts(params: Json, path: str = "") -> tuple[int | None, str]:
    """`unit_amount` and `unit_amount_decimal` of what was sent; one of them is needed."""
    if ("unit_amount" in params) == ("unit_amount_decimal" in params):
        word = "only one" if "unit_amount" in params else "one"
        raise errors.invalid(
            f"You must specify {word} of `unit_amount` and `unit_amount_decimal`.",
            f"{path}[unit_amount]" if path else "unit_amount",
        )
    if "unit_amount" in params:
        amount = int(params["unit_amount"])
        exact = str(amount)
    else:
        decimal = Decimal(params["unit_amount_decimal"])
        exact = format(decimal.normalize(), "f")
        amount = int(decimal) if decimal == int(decimal) else -1
    if Decimal(exact) < 0:
        raise errors.invalid(
            "Invalid non-negative integer", f"{path}[unit_amount]" if path else "unit_amount"
        )
    return (amount if amount >= 0 else None), exact


def new_price(world: World, params: Json, path: str = "", active: bool = True) -> Row:
    """Keep a price of an existing product."""
    check_metadata(params.get("metadata") or {})
    amount, exact = unit_amounts(params, path)
    recurring = params.get("recurring")
    body: Json = {
        "active": params.get("active", active),
        "billing_scheme": params.get("billing_scheme", "per_unit"),
        "currency": checked_currency(
            params["currency"], f"{path}[currency]" if path else "currency"
        ),
        "custom_unit_amount": None,
        "lookup_key": params.get("lookup_key"),
        "metadata": params.get("metadata") or {},
        "nickname": params.get("nickname"),
        "product": params["product"],
        "recurring": recurring
        and {
            "interval": recurring["interval"],
            "interval_count": recurring.get("interval_count", 1),
            "meter": None,
            "trial_period_days": None,
            "usage_type": recurring.get("usage_type", "licensed"),
        },
        "tax_behavior": params.get("tax_behavior", "unspecified"),
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if recurring else "one_time",
        "unit_amount": amount,
        "unit_amount_decimal": exact,
    }
    return world.add("price", body)


_UNSUPPORTED = (
    "currency_options",
    "custom_unit_amount",
    "tiers",
    "tiers_mode",
    "transform_quantity",
)


@route("POST", "/v1/prices")
def create(call: Call) -> Row:
    errors.unsupported(call.params, _UNSUPPORTED)
    world, params = call.world, dict(call.params)
    if ("product" in params) == ("product_data" in params):
        raise errors.invalid("You must specify either `product` or `product_data`.", "product")
    if "product" in params:
        world.named("product", params["product"], "product")
    else:
        product = products.new_product(world, params["product_data"])
        world.emit("product.created", product)
        params["product"] = product.id
    _claim_lookup_key(world, params)
    price = new_price(world, params)
    world.emit("price.created", price)
    return price


def _claim_lookup_key(world: World, params: Json) -> None:
    key = params.get("lookup_key")
    if not key:
        return
    for other in world.rows("price", ["json_extract(body, '$.lookup_key') = ?"], [key]):
        if not params.get("transfer_lookup_key"):
            raise errors.invalid(
                f"A price (`{other.id}`) already uses that lookup key.", "lookup_key"
            )
        world.change(other, {"lookup_key": None})


@route("GET", "/v1/prices/{id}")
def retrieve(call: Call, id: str) -> Row:
    return call.world.get("price", id, "price")


@route("POST", "/v1/prices/{id}")
def update(call: Call, id: str) -> Row:
    errors.unsupported(call.params, ("currency_options",))
    price = call.world.get("price", id, "price")
    changes = call.pick("active", "nickname", "tax_behavior", "lookup_key")
    _claim_lookup_key(call.world, call.params)
    if "metadata" in call.params:
        changes["metadata"] = merged_metadata(price.body["metadata"], call.params["metadata"])
    previous = call.world.change(price, changes)
    call.world.emit("price.updated", price, previous)
    return price


@route("GET", "/v1/prices")
def list_(call: Call) -> Json:
    where, values = [], []
    if call.params.get("lookup_keys"):
        marks = ",".join("?" * len(call.params["lookup_keys"]))
        where.append(f"json_extract(body, '$.lookup_key') IN ({marks})")
        values.extend(call.params["lookup_keys"])
    equal = ("active", "currency", "product", "type")
    return listed(call, "price", "/v1/prices", equal, where, values)


@includable("price", "tiers")
def _tiers(_world: World, _price: Json) -> None:
    return None


@includable("price", "currency_options")
def _currency_options(_world: World, price: Json) -> Json:
    return {
        price["currency"]: {
            "custom_unit_amount": None,
            "tax_behavior": price["tax_behavior"],
            "unit_amount": price["unit_amount"],
            "unit_amount_decimal": price["unit_amount_decimal"],
        }
    }
