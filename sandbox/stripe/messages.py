"""Requests and responses between the socket and the parts that answer them."""

import json
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson


class Headers(Protocol):
    """Header values by name, whatever the case of its letters."""

    def get(self, name: str, /) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    query: str
    headers: Headers
    body: bytes = b""

    def header(self, name: str) -> str:
        return self.headers.get(name) or ""


@dataclass(slots=True)
class Response:
    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    #: The connection ends instead of an answer.
    cut: bool = False

    @classmethod
    def json(cls, status: int, value: Any, **headers: str) -> "Response":
        return cls(status, orjson.dumps(value), headers=headers)

    @classmethod
    def html(cls, status: int, text: str) -> "Response":
        headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        return cls(status, text.encode(), "text/html; charset=utf-8", headers)

    @classmethod
    def redirect(cls, location: str) -> "Response":
        return cls(303, b"", "text/html; charset=utf-8", {"Location": location})


def read_json(body: bytes) -> dict[str, Any]:
    """The body as a JSON object, empty for none; raises ValueError with a sentence."""
    if not body.strip():
        return {}
    try:
        value = json.loads(body)
    except ValueError:
        raise ValueError("The body is no JSON.") from None
    if not isinstance(value, dict):
        raise ValueError("The body must be a JSON object.")
    return value
