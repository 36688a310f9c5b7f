"""Products: what is sold, apart from what it costs."""

from sandbox.stripe import errors
from sandbox.stripe.listing import listed
from sandbox.stripe.resources import prices
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World, check_metadata, merged_metadata

_PLAIN = (
    "active",
    "description",
    "images",
    "marketing_features",
    "name",
    "package_dimensions",
    "shippable",
    "statement_descriptor",
    "tax_code",
    "unit_label",
    "url",
)


def new_product(world: World, params: Json) -> Row:
    """Keep a product; used by the route and by inline `product_data`."""
    check_metadata(params.get("metadata") or {})
    if params.get("id") and world.find("product", params["id"]):
        raise errors.invalid("Product already exists.", "id", "resource_already_exists")
    body: Json = {
        "active": True,
        "default_price": None,
        "description": None,
        "images": [],
        "marketing_features": [],
        "metadata": params.get("metadata") or {},
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": params.get("type", "service"),
        "unit_label": None,
        "updated": world.now,
        "url": None,
    }
    body.update({name: params[name] for name in _PLAIN if name in params})
    return world.add("product", body, id=params.get("id"))


@route("POST", "/v1/products")
def create(call: Call) -> Row:
    product = new_product(call.world, call.params)
    if "default_price_data" in call.params:
        sent = {**call.params["default_price_data"], "product": product.id}
        price = prices.new_price(call.world, sent)
        call.world.change(product, {"default_price": price.id})
        call.world.emit("price.created", price)
    call.world.emit("product.created", product)
    return product


@route("GET", "/v1/products/{id}")
def retrieve(call: Call, id: str) -> Row:
    return call.world.get("product", id)


@route("POST", "/v1/products/{id}")
def update(call: Call, id: str) -> Row:
    product = call.world.get("product", id)
    changes = call.pick(*_PLAIN, "default_price")
    for name in ("images", "marketing_features"):
        if name in changes and changes[name] is None:
            changes[name] = []
    if changes.get("default_price"):
        call.world.named("price", changes["default_price"], "default_price")
    if "metadata" in call.params:
        changes["metadata"] = merged_metadata(product.body["metadata"], call.params["metadata"])
    previous = call.world.change(product, {**changes, "updated": call.world.now})
    call.world.emit("product.updated", product, previous)
    return product


@route("DELETE", "/v1/products/{id}")
def delete(call: Call, id: str) -> Json:
    product = call.world.get("product", id)
    if call.world.rows("price", ["json_extract(body, '$.product') = ?"], [id]):
        raise errors.invalid(
            "This product cannot be deleted because it has one or more user-created prices."
        )
    call.world.emit("product.deleted", product)
    return call.world.delete(product)


@route("GET", "/v1/products")
def list_(call: Call) -> Json:
    where, values = [], []
    if call.params.get("ids"):
        where.append(f"id IN ({','.join('?' * len(call.params['ids']))})")
        values.extend(call.params["ids"])
    equal = ("active", "shippable", "url", "type")
    return listed(call, "product", "/v1/products", equal, where, values)
