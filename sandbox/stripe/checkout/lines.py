"""A session's lines: from a price or an inline one to what is kept and shown."""

from sandbox.stripe import errors
from sandbox.stripe.checkout import totals
from sandbox.stripe.ids import new_id
from sandbox.stripe.resources import prices, products
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World, check_metadata


def new_lines(world: World, params: Json) -> list[Json]:
    """The lines to keep of the `line_items` sent; raises ApiError."""
    mode = params["mode"]
    kept = [_new_line(world, sent, i, mode) for i, sent in enumerate(params["line_items"])]
    if mode == "subscription":
        _check_intervals(kept)
        data = params.get("subscription_data") or {}
        on_trial = bool(data.get("trial_period_days") or data.get("trial_end"))
        for line in kept:
            line["later"] = on_trial and line["price"]["type"] == "recurring"
    return kept


def _check_intervals(lines: list[Json]) -> None:
    recurring = [line["price"]["recurring"] for line in lines if line["price"]["recurring"]]
    if not recurring:
        raise errors.invalid(
            "You must provide at least one recurring price in `subscription` mode when using "
            "prices.",
            "line_items",
        )
    if len({(one["interval"], one["interval_count"]) for one in recurring}) > 1:
        raise errors.invalid(
            "Checkout does not support multiple prices with different billing intervals.",
            "line_items",
        )
    if any(one["usage_type"] == "metered" for one in recurring):
        raise errors.invalid("The sandbox does not support metered prices yet.", "line_items")


def _new_line(world: World, sent: Json, index: int, mode: str) -> Json:
    path = f"line_items[{index}]"
    price, product = _price(world, sent, path)
    if price.body["type"] == "recurring" and mode == "payment":
        raise errors.invalid(
            "You specified `payment` mode but passed a recurring price. Either switch to "
            "`subscription` mode or use only one-time prices.",
            f"{path}[price]",
        )
    quantity = sent.get("quantity")
    if quantity is None:
        raise errors.invalid(
            "Quantity is required. Add `quantity` to `" + path + "`",
            f"{path}[quantity]",
            "parameter_missing",
        )
    if quantity < 1:
        raise errors.invalid("Invalid positive integer", f"{path}[quantity]")
    adjustable = sent.get("adjustable_quantity")
    if adjustable and adjustable["enabled"]:
        raise errors.invalid(
            "The sandbox does not support `adjustable_quantity` yet.",
            f"{path}[adjustable_quantity]",
        )
    check_metadata(sent.get("metadata") or {}, f"{path}[metadata]")
    rates = [
        world.named("tax_rate", id, f"{path}[tax_rates][{n}]").body
        for n, id in enumerate(sent.get("tax_rates") or [])
    ]
    return {
        "id": new_id("item"),
        "price": price.body,
        "quantity": quantity,
        "description": product.body["name"],
        "product": {
            "id": product.id,
            "description": product.body["description"],
            "images": product.body["images"],
        },
        "metadata": sent.get("metadata") or {},
        "tax_rates": rates,
        "later": False,
    }


def _price(world: World, sent: Json, path: str) -> tuple[Row, Row]:
    if ("price" in sent) == ("price_data" in sent):
        if "price" in sent:
            raise errors.only_one(f"{path}[price]", f"{path}[price_data]")
        raise errors.invalid(f"You must specify either `price` or `price_data` in `{path}`.", path)
    if "price_data" in sent:
        return _inline_price(world, sent["price_data"], f"{path}[price_data]")
    price = world.named("price", sent["price"], f"{path}[price]")
    if not price.body["active"]:
        raise errors.invalid(
            "The price specified is inactive. This field only accepts active prices.",
            f"{path}[price]",
        )
    return price, world.get("product", price.body["product"])


def _inline_price(world: World, data: Json, path: str) -> tuple[Row, Row]:
    if ("product" in data) == ("product_data" in data):
        raise errors.invalid(
            f"You must specify either `product` or `product_data` in `{path}`.", f"{path}[product]"
        )
    if "product" in data:
        product = world.named("product", data["product"], f"{path}[product]")
    else:
        data_of_product = {k: v for k, v in data["product_data"].items() if k != "tax_details"}
        if not data_of_product["name"].strip():
            raise errors.invalid("Invalid name", f"{path}[product_data][name]")
        # What is made for one session is no part of the catalogue: it is born inactive.
        product = products.new_product(world, {**data_of_product, "active": False})
    sent = {**data, "product": product.id}
    return prices.new_price(world, sent, path, active=False), product


def one_currency(lines: list[Json], params: Json) -> str:
    """The lines' shared currency, in lower case; raises ApiError if they differ."""
    expected = str(params.get("currency") or lines[0]["price"]["currency"]).lower()
    for index, line in enumerate(lines):
        currency = line["price"]["currency"]
        if currency != expected:
            raise errors.invalid(
                f"The price specified only supports `{currency}`. This doesn't match the expected "
                f"currency: `{expected}`.",
                f"line_items[{index}][price]",
            )
    return expected


def amount_of(line: Json) -> int:
    """What is due today of a line in minor units, before discount and tax: none in a trial."""
    return 0 if line.get("later") else whole_amount(line)


def whole_amount(line: Json) -> int:
    """Unit amount times quantity in minor units, whenever it is due."""
    return totals.line_amount(line["price"]["unit_amount_decimal"], line["quantity"])


def line_item(line: Json, currency: str) -> Json:
    """A line as `/line_items` shows it."""
    return {
        "id": line["id"],
        "object": "item",
        "adjustable_quantity": None,
        **line["amounts"],
        "currency": currency,
        "description": line["description"],
        "metadata": line["metadata"],
        "price": line["price"],
        "quantity": line["quantity"],
    }
