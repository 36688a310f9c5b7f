"""`expand`: ids replaced by their objects, and properties that only appear when asked for."""

from collections.abc import Callable
from typing import Any

import orjson

from sandbox.stripe import errors
from sandbox.stripe.store import Json
from sandbox.stripe.world import World

#: Properties holding an id, by object: what kinds that id may be of.
EXPANDABLE: dict[str, dict[str, tuple[str, ...]]] = {
    "balance_transaction": {"source": ("charge", "refund")},
    "charge": {
        "balance_transaction": ("balance_transaction",),
        "customer": ("customer",),
        "failure_balance_transaction": ("balance_transaction",),
        "payment_intent": ("payment_intent",),
    },
    "checkout.session": {
        "customer": ("customer",),
        "payment_intent": ("payment_intent",),
        "discounts.coupon": ("coupon",),
        "discounts.promotion_code": ("promotion_code",),
        "shipping_cost.shipping_rate": ("shipping_rate",),
        "shipping_options.shipping_rate": ("shipping_rate",),
        "invoice": ("invoice",),
        "payment_link": (),
        "setup_intent": ("setup_intent",),
        "subscription": ("subscription",),
    },
    "customer_balance_transaction": {
        "checkout_session": ("checkout.session",),
        "credit_note": ("credit_note",),
        "customer": ("customer",),
        "invoice": ("invoice",),
    },
    "billing_portal.configuration": {"application": ()},
    "billing_portal.session": {},
    "credit_note": {
        "customer": ("customer",),
        "customer_balance_transaction": ("customer_balance_transaction",),
        "invoice": ("invoice",),
        "refunds.refund": ("refund",),
    },
    "discount": {
        "customer": ("customer",),
        "promotion_code": ("promotion_code",),
        "source.coupon": ("coupon",),
    },
    "customer": {
        "default_source": (),
        "invoice_settings.default_payment_method": ("payment_method",),
        "test_clock": ("test_helpers.test_clock",),
    },
    "invoice": {
        "customer": ("customer",),
        "default_payment_method": ("payment_method",),
        "discounts": ("discount",),
        "latest_revision": ("invoice",),
        "parent.subscription_details.subscription": ("subscription",),
        "test_clock": ("test_helpers.test_clock",),
        "total_discount_amounts.discount": ("discount",),
    },
    "invoice_payment": {
        "invoice": ("invoice",),
        "payment.charge": ("charge",),
        "payment.payment_intent": ("payment_intent",),
    },
    "invoiceitem": {
        "customer": ("customer",),
        "discounts": ("discount",),
        "invoice": ("invoice",),
        "test_clock": ("test_helpers.test_clock",),
    },
    "line_item": {
        "discount_amounts.discount": ("discount",),
        "discounts": ("discount",),
        "pricing.price_details.price": ("price",),
        "subscription": ("subscription",),
    },
    "payment_intent": {
        "customer": ("customer",),
        "latest_charge": ("charge",),
        "payment_method": ("payment_method",),
        "review": (),
    },
    "payment_method": {"customer": ("customer",)},
    "price": {"product": ("product",)},
    "product": {"default_price": ("price",)},
    "promotion_code": {"customer": ("customer",), "promotion.coupon": ("coupon",)},
    "refund": {
        "balance_transaction": ("balance_transaction",),
        "charge": ("charge",),
        "failure_balance_transaction": ("balance_transaction",),
        "payment_intent": ("payment_intent",),
        "payment_method": ("payment_method",),
    },
    "setup_attempt": {
        "customer": ("customer",),
        "payment_method": ("payment_method",),
        "setup_intent": ("setup_intent",),
    },
    "setup_intent": {
        "customer": ("customer",),
        "latest_attempt": ("setup_attempt",),
        "mandate": (),
        "payment_method": ("payment_method",),
    },
    "subscription": {
        "customer": ("customer",),
        "default_payment_method": ("payment_method",),
        "discounts": ("discount",),
        "latest_invoice": ("invoice",),
        "pending_setup_intent": ("setup_intent",),
        "schedule": (),
        "test_clock": ("test_helpers.test_clock",),
    },
    "subscription_item": {"discounts": ("discount",)},
}

Includer = Callable[[World, Json], Any]
#: Properties left out unless expanded, by object and dotted name.
INCLUDABLE: dict[str, dict[str, Includer]] = {}


def includable(kind: str, name: str) -> Callable[[Includer], Includer]:
    def register(includer: Includer) -> Includer:
        INCLUDABLE.setdefault(kind, {})[name] = includer
        return includer

    return register


def expanded(world: World, body: Json, paths: list[str]) -> Json:
    """A copy of an object with every path of `expand[]` filled in."""
    if not paths:
        return body
    body = _copied(body)
    for path in paths:
        parts = path.split(".")
        # `data` leads into a list and is no level of its own.
        if len(parts) - parts.count("data") > 4:
            raise errors.invalid(
                f"You cannot expand more than 4 levels of a property ({path}).", "expand"
            )
        _walk(world, body, parts, path)
    return body


def _copied(body: Json) -> Json:
    """A deep copy in a fraction of its time: all there is in it is JSON."""
    made: Json = orjson.loads(orjson.dumps(body))
    return made


def _walk(world: World, holder: Any, parts: list[str], path: str) -> None:
    if isinstance(holder, list):
        for item in holder:
            _walk(world, item, parts, path)
        return
    if not parts or holder is None:
        return
    if holder.get("object") == "list" and parts[0] == "data":
        _walk(world, holder["data"], parts[1:], path)
        return
    _step(world, holder, parts, path)


def _step(world: World, holder: Json, parts: list[str], path: str) -> None:
    """Expand one property, which may sit in a nested hash, then go on inside it."""
    kind = str(holder.get("object", ""))
    known = EXPANDABLE.get(kind, {})
    included = INCLUDABLE.get(kind, {})
    for length in range(1, len(parts) + 1):
        name, rest = ".".join(parts[:length]), parts[length:]
        if name in included:
            _include(world, holder, parts[:length], included[name])
            _walk(world, _at(holder, parts[:length]), rest, path)
            return
        if name in known:
            for owner in _owners(holder, parts[: length - 1]):
                _replace(world, owner, parts[length - 1], known[name])
                _walk(world, owner.get(parts[length - 1]), rest, path)
            return
    inner = holder.get(parts[0])
    if isinstance(inner, dict | list) and len(parts) > 1 and _holds_objects(inner):
        _walk(world, inner, parts[1:], path)
        return
    raise errors.invalid(f"This property cannot be expanded ({path}).", "expand")


def _holds_objects(inner: Any) -> bool:
    if isinstance(inner, list):
        return all(isinstance(item, dict) for item in inner)
    return "object" in inner


def _at(holder: Json, parts: list[str]) -> Any:
    value: Any = holder
    for part in parts:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _owners(holder: Json, parts: list[str]) -> list[Json]:
    """The hashes reached by a dotted name, through lists where there are any."""
    owners: list[Any] = [holder]
    for part in parts:
        found = [owner.get(part) for owner in owners]
        owners = [
            item
            for value in found
            for item in (value if isinstance(value, list) else [value])
            if isinstance(item, dict)
        ]
    return owners


def _replace(world: World, owner: Json, name: str, kinds: tuple[str, ...]) -> None:
    value = owner.get(name)
    if isinstance(value, list):
        owner[name] = [_object(world, id, kinds) for id in value]
    elif isinstance(value, str):
        owner[name] = _object(world, value, kinds)


def _object(world: World, id: Any, kinds: tuple[str, ...]) -> Any:
    """A copy of the object of an id, so that expanding goes on in it; the id if there is none."""
    for kind in kinds:
        row = world.find(kind, id) if isinstance(id, str) else None
        if row is not None:
            return _copied(row.body)
    return id


def _include(world: World, holder: Json, parts: list[str], includer: Includer) -> None:
    owner = _at(holder, parts[:-1])
    if isinstance(owner, dict) and not isinstance(owner.get(parts[-1]), dict | list):
        owner[parts[-1]] = includer(world, holder)
