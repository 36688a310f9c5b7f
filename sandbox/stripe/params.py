"""Form-encoded parameters as Stripe reads them: brackets decoded, types checked, words its own."""

import re
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qsl

from sandbox.stripe.errors import InvalidParams, Json
from sandbox.stripe.wheel import Choice, Many, Mapping, OneOf, Record, Scalar, Shape

_PART = re.compile(r"\[([^\]]*)\]")
_INTEGER = re.compile(r"^-?\d+$")
MAX_DEPTH = 12


def decode(encoded: str) -> Json:
    """`a[b][0]=c` as nested dicts; what looks like an array becomes a list."""
    root: Json = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True, max_num_fields=20_000):
        head, bracket, rest = name.partition("[")
        _place(root, [head, *_PART.findall(bracket + rest)][:MAX_DEPTH], value)
    return {key: _listed(value) for key, value in root.items()}


def _place(root: Json, parts: list[str], value: str) -> None:
    here = root
    for part, following in zip(parts, [*parts[1:], None], strict=True):
        key = part if part else str(len(here))
        if following is None:
            here[key] = value
            return
        inner = here.setdefault(key, {})
        if not isinstance(inner, dict):
            raise InvalidParams(400, "Invalid request: a parameter is both a value and a hash.")
        here = inner


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {key: _listed(item) for key, item in value.items()}
    if inner and list(inner) == [str(index) for index in range(len(inner))]:
        return list(inner.values())
    return inner


def as_list(value: Any) -> Any:
    """A hash whose keys are all numbers as the array it may have been meant to be."""
    if isinstance(value, dict) and value and all(key.isdecimal() for key in value):
        return [value[key] for key in sorted(value, key=int)]
    return value


def as_hash(value: Any) -> Any:
    """An array as the hash with numbers for keys that a form cannot tell it from."""
    if isinstance(value, list):
        return {str(index): item for index, item in enumerate(value)}
    return value


def check(record: Record | None, raw: Json) -> Json:
    """The typed parameters of a route, or the `InvalidParams` Stripe would answer with.

    Empty strings where the route lets a value be unset come back as None.
    """
    if record is None:
        if raw:
            raise _unknown(list(raw))
        return {}
    return _record(record, raw, "")


def _join(prefix: str, key: object) -> str:
    return f"{prefix}[{key}]" if prefix else str(key)


def _unknown(names: list[str]) -> InvalidParams:
    noun = "parameter" if len(names) == 1 else "parameters"
    return InvalidParams(
        400,
        f"Received unknown {noun}: {', '.join(names)}",
        code="parameter_unknown",
        param=names[0],
    )


def _record(record: Record, raw: Json, path: str) -> Json:
    unknown = [_join(path, key) for key in raw if key not in record.fields]
    if unknown:
        raise _unknown(unknown)
    for key, field in record.fields.items():
        if field.required and key not in raw:
            name = _join(path, key)
            raise InvalidParams(
                400, f"Missing required param: {name}.", code="parameter_missing", param=name
            )
    return {
        key: _value(record.fields[key].shape, value, _join(path, key)) for key, value in raw.items()
    }


def _value(shape: Shape, value: Any, path: str) -> Any:
    if isinstance(shape, OneOf):
        return _one_of(shape, value, path)
    if isinstance(shape, Record):
        if not isinstance(value, dict):
            raise InvalidParams(400, "Invalid object", param=path)
        return _record(shape, value, path)
    if isinstance(shape, Many):
        items = as_list(value)
        if not isinstance(items, list):
            raise InvalidParams(400, "Invalid array", param=path)
        return [_value(shape.item, item, _join(path, i)) for i, item in enumerate(items)]
    if isinstance(shape, Mapping):
        return _mapping(shape, value, path)
    if isinstance(shape, Choice):
        return _choice(shape, value, path)
    assert isinstance(shape, Scalar)
    return _scalar(shape, value, path)


def _mapping(shape: Mapping, value: Any, path: str) -> Json:
    value = as_hash(value)
    if not isinstance(value, dict):
        raise InvalidParams(400, "Invalid object", param=path)
    # In a free hash an empty string unsets its key, so it must get through.
    return {
        key: "" if item == "" else _value(shape.item, item, _join(path, key))
        for key, item in value.items()
    }


def _one_of(shape: OneOf, value: Any, path: str) -> Any:
    options = list(shape.options)
    if value == "" and any(isinstance(o, Choice) and "" in o.values for o in options):
        return None
    options = [o for o in options if not (isinstance(o, Choice) and set(o.values) == {""})]
    fitting = [option for option in options if _fits(option, value)]
    return _value((fitting or options)[0], value, path)


def _fits(shape: Shape, value: Any) -> bool:
    if isinstance(shape, Record | Mapping):
        return isinstance(value if isinstance(shape, Record) else as_hash(value), dict)
    if isinstance(shape, Many):
        return isinstance(as_list(value), list)
    if not isinstance(value, str):
        return False
    if isinstance(shape, Choice):
        return value in shape.values
    if isinstance(shape, Scalar) and shape.name == "int":
        return bool(_INTEGER.match(value))
    if isinstance(shape, Scalar) and shape.name == "bool":
        return value in ("true", "false")
    return True


def _choice(shape: Choice, value: Any, path: str) -> Any:
    for option in shape.values:
        if value == option or (isinstance(option, bool) and value == str(option).lower()):
            return None if option == "" else option
    names = [str(option) for option in shape.values if option != ""]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])}, or {names[-1]}"
    if len(names) == 2:
        listed = " or ".join(names)
    raise InvalidParams(400, f"Invalid {path}: must be one of {listed}", param=path)


def _scalar(shape: Scalar, value: Any, path: str) -> Any:
    if not isinstance(value, str):
        raise InvalidParams(400, f"Invalid {shape.name}", param=path)
    if shape.name == "any":
        return value
    if value == "":
        raise InvalidParams(
            400,
            f"You passed an empty string for '{path}'. We assume empty values are an attempt to "
            f"unset a parameter; however '{path}' cannot be unset. You should remove '{path}' "
            "from your request or supply a non-empty value.",
            code="parameter_invalid_empty",
            param=path,
        )
    return _READERS[shape.name](value, path)


def _string(value: str, path: str) -> str:
    if len(value) > 5000:
        raise InvalidParams(
            400,
            f"Invalid string: {value[:20]}...; must be at most 5000 characters",
            param=path,
        )
    return value


def _int(value: str, path: str) -> int:
    if not _INTEGER.match(value):
        code = "parameter_invalid_integer"
        raise InvalidParams(400, f"Invalid integer: {value}", code=code, param=path)
    return int(value)


def _float(value: str, path: str) -> float:
    try:
        number = float(value)
    except ValueError:
        raise InvalidParams(400, f"Invalid decimal: {value}", param=path) from None
    return int(number) if number.is_integer() else number


def _decimal(value: str, path: str) -> str:
    try:
        Decimal(value)
    except InvalidOperation:
        raise InvalidParams(400, f"Invalid decimal: {value}", param=path) from None
    return value


def _bool(value: str, path: str) -> bool:
    if value not in ("true", "false"):
        raise InvalidParams(400, f"Invalid boolean: {value}", param=path)
    return value == "true"


_READERS: dict[str, Any] = {
    "str": _string,
    "int": _int,
    "float": _float,
    "decimal": _decimal,
    "bool": _bool,
}
