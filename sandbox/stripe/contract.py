"""Whether a call keeps to the types in the installed stripe wheel, in both directions.

The wheel is generated from Stripe's specification, so what it does not know Stripe does not take
and does not return. Its enums are checked as closed, although the wheel types them open.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

from sandbox.stripe import params, wheel
from sandbox.stripe.wheel import Choice, Many, Mapping, OneOf, Page, Record, Scalar, Shape

Json = dict[str, Any]

_INTEGER = re.compile(r"^-?\d+$")


class Exchanged(Protocol):
    """One call: what was sent (typed, or decoded from a form) and what came back."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def params(self) -> Json: ...
    @property
    def status(self) -> int: ...
    @property
    def response(self) -> Json: ...


@dataclass
class Recorder:
    """Collects calls, to be passed as `on_exchange`, and says which of them break the types."""

    exchanges: list[Exchanged] = field(default_factory=list)

    def __call__(self, exchange: Exchanged) -> None:
        self.exchanges.append(exchange)

    def violations(self) -> list[str]:
        return [
            f"{exchange.method} {exchange.path}: {violation}"
            for exchange in list(self.exchanges)
            for violation in violations(exchange)
        ]


def record() -> Recorder:
    """A fresh recorder: `start(..., on_exchange=recorder)`, then `recorder.violations()`."""
    return Recorder()


def violations(exchange: Exchanged) -> list[str]:
    """What is wrong with a call, a sentence each; empty when nothing is."""
    route = wheel.find_route(exchange.method, exchange.path)
    if route is None:
        return [f"{exchange.method} {exchange.path} is no route that the wheel knows."]
    sent = request_violations(exchange.method, exchange.path, exchange.params)
    if exchange.status == 200:
        return sent + [f"response {text}" for text in _returned(route.returns, exchange.response)]
    return sent + [f"response {text}" for text in _error(exchange.response)]


def request_violations(method: str, path: str, sent: Json) -> list[str]:
    """What is wrong with the parameters of a call that may never have been made."""
    route = wheel.find_route(method, path)
    if route is None:
        return [f"{method} {path} is no route that the wheel knows."]
    if route.params is None:
        return [f"request {name}: unknown parameter" for name in sent]
    return [f"request {text}" for text in _Check(sent=True).record(route.params, sent, "")]


def object_violations(value: Json) -> list[str]:
    """What is wrong with one of Stripe's objects, such as a webhook's event."""
    kind = value.get("object")
    resource = wheel.find_resource(str(kind))
    if resource is None:
        return [f"object {kind!r} is none that the wheel knows"]
    return list(_returned(resource, value))


def _returned(shape: Shape, value: Any) -> list[str]:
    return list(_Check(sent=False).walk(shape, value, ""))


def _error(response: Json) -> list[str]:
    found = wheel.load("stripe._error_object").find("ErrorObject")
    error = response.get("error")
    if found is None or not isinstance(error, dict) or set(response) != {"error"}:
        return ["is no error body"]
    return list(_Check(sent=False).record(found, error, "error"))


def _join(prefix: str, key: object) -> str:
    return f"{prefix}[{key}]" if prefix else str(key)


@dataclass(frozen=True, slots=True)
class _Check:
    """A walk over a value beside its shape; `sent` values may be strings off a form."""

    sent: bool

    def walk(self, shape: Shape, value: Any, path: str) -> Iterator[str]:
        match shape:
            case OneOf():
                yield from self.one_of(shape, value, path)
            case Record():
                yield from self.record(shape, value, path)
            case Many():
                yield from self.many(shape, value, path)
            case Mapping():
                yield from self.mapping(shape, value, path)
            case Page():
                yield from self.page(shape, value, path)
            case Choice():
                yield from self.choice(shape, value, path)
            case Scalar():
                yield from self.scalar(shape, value, path)

    def one_of(self, shape: OneOf, value: Any, path: str) -> Iterator[str]:
        options = [option for option in shape.options if self.could_be(option, value)]
        if not options:
            yield f"{path}: {value!r} has none of the possible types"
            return
        faults = [list(self.walk(option, value, path)) for option in options]
        yield from min(faults, key=len)

    def could_be(self, shape: Shape, value: Any) -> bool:
        if isinstance(shape, Record):
            return isinstance(value, dict) and self.same_kind(shape, value)
        if isinstance(shape, Mapping | Page):
            return isinstance(self.as_hash(value), dict)
        if isinstance(shape, Many):
            return isinstance(self.as_list(value), list)
        return not isinstance(value, dict | list)

    def as_hash(self, value: Any) -> Any:
        return params.as_hash(value) if self.sent else value

    def as_list(self, value: Any) -> Any:
        return params.as_list(value) if self.sent else value

    def same_kind(self, record: Record, value: Json) -> bool:
        kind = record.fields.get("object")
        if self.sent or kind is None or not isinstance(kind.shape, Choice):
            return True
        return value.get("object") in kind.shape.values

    def record(self, record: Record, value: Any, path: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no {record.name}"
            return
        for key in value:
            if key not in record.fields:
                yield f"{_join(path, key)}: {record.name} has no such field"
        stub = not self.sent and value.get("deleted") is True
        for key, known in record.fields.items():
            yield from self.member(known, key, value, path, stub)
        if record.name == "Event" and not self.sent:
            yield from self.event(value)

    def member(
        self, known: wheel.Field, key: str, value: Json, path: str, stub: bool
    ) -> Iterator[str]:
        name = _join(path, key)
        if value.get(key) is None:
            # A sent None is a value that the client drops; a returned one is null.
            if known.required and not (stub and key not in ("id", "object")):
                yield f"{name}: required, and {'null' if key in value else 'missing'}"
            return
        yield from self.walk(known.shape, value[key], name)

    def event(self, value: Json) -> Iterator[str]:
        data = value.get("data")
        if not isinstance(data, dict) or not isinstance(data.get("object"), dict):
            yield "data[object]: missing"
            return
        resource = wheel.find_resource(str(data["object"].get("object")))
        if resource is None:
            yield f"data[object]: unknown object {data['object'].get('object')!r}"
            return
        yield from self.record(resource, data["object"], "data[object]")
        for key, before in (data.get("previous_attributes") or {}).items():
            known = resource.fields.get(key)
            name = f"data[previous_attributes][{key}]"
            if known is None:
                yield f"{name}: {resource.name} has no such field"
            elif before is not None and not isinstance(before, dict):
                # A changed hash comes with its changed keys alone, so only whole values count.
                yield from self.walk(known.shape, before, name)

    def many(self, shape: Many, value: Any, path: str) -> Iterator[str]:
        value = self.as_list(value)
        if not isinstance(value, list):
            yield f"{path}: {value!r} is no list"
            return
        for index, item in enumerate(value):
            yield from self.walk(shape.item, item, _join(path, index))

    def mapping(self, shape: Mapping, value: Any, path: str) -> Iterator[str]:
        value = self.as_hash(value)
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no hash"
            return
        for key, item in value.items():
            if not (self.sent and item == ""):
                yield from self.walk(shape.item, item, _join(path, key))

    def page(self, shape: Page, value: Any, path: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no list object"
            return
        wanted = {"object": str, "data": list, "has_more": bool, "url": str}
        for key, type in wanted.items():
            if not isinstance(value.get(key), type):
                yield f"{_join(path, key)}: {value.get(key)!r} is no {type.__name__}"
        for key in set(value) - set(wanted):
            yield f"{_join(path, key)}: a list has no such field"
        for index, item in enumerate(value.get("data") or []):
            yield from self.walk(shape.item, item, _join(_join(path, "data"), index))

    def choice(self, shape: Choice, value: Any, path: str) -> Iterator[str]:
        fits = any(
            value == option and isinstance(value, bool) == isinstance(option, bool)
            for option in shape.values
        )
        if self.sent and not fits:
            fits = value in ("true", "false") and (value == "true") in shape.values
        if not fits:
            yield f"{path}: {value!r} is not one of {', '.join(map(str, shape.values))}"

    def scalar(self, shape: Scalar, value: Any, path: str) -> Iterator[str]:
        fits = _sent_as(shape.name, value) if self.sent else _is(shape.name, value)
        if not fits:
            yield f"{path}: {value!r} is no {shape.name}"


def _is(name: str, value: Any) -> bool:
    if name == "any":
        return True
    if isinstance(value, bool):
        return name == "bool"
    match name:
        case "str":
            return isinstance(value, str)
        case "int":
            return isinstance(value, int)
        case "float":
            return isinstance(value, int | float)
        case "decimal":
            # JSON carries decimals as strings, so that no reader rounds them.
            return isinstance(value, str) and _is_decimal(value)
    return False


def _is_decimal(value: str) -> bool:
    try:
        Decimal(value)
    except InvalidOperation:
        return False
    return True


def _sent_as(name: str, value: Any) -> bool:
    if name == "any" or (name != "decimal" and _is(name, value)):
        return bool(value != "")
    if name == "decimal" and isinstance(value, Decimal | int | float):
        return not isinstance(value, bool)
    if not isinstance(value, str):
        return False
    match name:
        case "int":
            return bool(_INTEGER.match(value))
        case "bool":
            return value in ("true", "false")
        case _:
            return name in ("float", "decimal") and _is_decimal(value)
