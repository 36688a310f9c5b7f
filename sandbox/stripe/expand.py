"""`expand`: ids replaced by their objects, and properties that only appear when asked for."""

import copy
from collections.abc import Callable
from typing import Any

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
        "invoice": (),
        "payment_link": (),
        "setup_intent": (),
        "subscription": (),
    },
    "discount": {
        "customer": ("customer",),
        "promotion_code": ("promotion_code",),
        "source.coupon": ("coupon",),
    },
    "customer": {
        "default_source": (),
        "invoice_settings.default_payment_method": ("payment_method",),
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
    body = copy.deepcopy(body)
    for path in paths:
        parts = path.split(".")
        if len(parts) > 4 + (parts[0] == "data"):
            raise errors.invalid(
                f"You cannot expand more than 4 levels of a property ({path}).", "expand"
            )
        _walk(world, body, parts, path)
    return body


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
    id = owner.get(name)
    if not isinstance(id, str):
        return
    for kind in kinds:
        row = world.find(kind, id)
        if row is not None:
            owner[name] = row.body
            return


def _include(world: World, holder: Json, parts: list[str], includer: Includer) -> None:
    owner = _at(holder, parts[:-1])
    if isinstance(owner, dict) and not isinstance(owner.get(parts[-1]), dict | list):
        owner[parts[-1]] = includer(world, holder)
