"""The table of pages that people see: each module of pages adds its own, as resources do."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import jinja2
from babel import Locale
from babel.dates import format_date

from sandbox.stripe import errors, money
from sandbox.stripe.messages import Request, Response
from sandbox.stripe.store import Row
from sandbox.stripe.world import World

if TYPE_CHECKING:
    from sandbox.stripe.machine import Machine

#: What the pages call the shop, which has no name of its own here.
SHOP = "Sandbox shop"


@dataclass(frozen=True, slots=True)
class Visit:
    """What a browser sent: the fields of its form, and the address behind the question mark."""

    sent: dict[str, str]
    query: dict[str, str]


Handler = Callable[[World, Row, Visit], Response]
Plain = Callable[["Machine"], Response]


@dataclass(frozen=True, slots=True)
class _Address:
    method: str
    pattern: re.Pattern[str]
    kinds: tuple[str, ...]
    noun: str
    loads: str
    handler: Handler


_ADDRESSES: list[_Address] = []
_PLAIN: dict[str, Plain] = {}


def page(
    method: str, path: str, kind: str, noun: str, loads: str = ""
) -> Callable[[Handler], Handler]:
    """Register `handler(world, row, visit)` for an address whose `*` is an object's id.

    `kind` may be several, parted by a space; `noun` is what the 404 calls it. `loads` names a
    module that takes long to load: that happens at the first visit, before anything is locked.
    """

    def register(handler: Handler) -> Handler:
        pattern = re.compile("^" + re.escape(path).replace(r"\*", "([^/]+)") + "$")
        _ADDRESSES.append(_Address(method, pattern, tuple(kind.split()), noun, loads, handler))
        return handler

    return register


def plain_page(path: str) -> Callable[[Plain], Plain]:
    """Register `handler(machine)` for an address of no object's."""

    def register(handler: Plain) -> Plain:
        _PLAIN[path] = handler
        return handler

    return register


class Pages:
    """Answers everything a browser asks for."""

    def __init__(self, machine: "Machine") -> None:
        self.machine = machine

    def answer(self, request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        if method == "GET" and request.path in _PLAIN:
            return _PLAIN[request.path](self.machine)
        for address in _ADDRESSES:
            found = address.pattern.match(request.path)
            if found and address.method == method:
                return self._run(address, found[1], request)
        return sentence(404, "Nothing here", "There is no such page.")

    def _run(self, address: _Address, id: str, request: Request) -> Response:
        try:
            return self._handle(address, id, request)
        except errors.ApiError as error:
            # Something changed since the page was made: nothing of the attempt has happened.
            return sentence(error.status, "That didn't work", error.message)

    def _handle(self, address: _Address, id: str, request: Request) -> Response:
        if address.loads:
            import_module(address.loads)
        for kind in address.kinds:
            account = self.machine.store.owner(kind, id)
            if account is None:
                continue
            with self.machine.world(account) as world:
                row = world.find(kind, id)
                if row is not None and not row.deleted:
                    return address.handler(world, row, _visit(request))
        return sentence(404, "Nothing here", f"There is no such {address.noun}.")


def _visit(request: Request) -> Visit:
    body = request.body.decode("utf-8", "replace") if request.method == "POST" else ""
    sent = dict(parse_qsl(body, keep_blank_values=True))
    return Visit(sent, dict(parse_qsl(request.query, keep_blank_values=True)))


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).resolve().parent / "pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["money"] = money.written
    environment.filters["date"] = date
    return environment


def render(template: str, /, **values: Any) -> str:
    return _environment().get_template(template).render(**values)


def sentence(status: int, title: str, text: str, link: str = "", label: str = "") -> Response:
    """A page with one thing to say, and perhaps one way to go on."""
    shown = render("sentence.html", title=title, text=text, link=link, label=label)
    return Response.html(status, shown)


def date(timestamp: int) -> str:
    """`5 December 2026`."""
    return str(format_date(datetime.fromtimestamp(timestamp, UTC), "d MMMM y", locale="en"))


@cache
def country_names() -> dict[str, str]:
    names = Locale("en").territories
    return {code: str(name) for code, name in names.items() if re.fullmatch(r"[A-Z]{2}", code)}


def countries(allowed: list[str] | None = None) -> list[tuple[str, str]]:
    """Codes and names to choose from, by name; all of the world by default."""
    names = country_names()
    codes = allowed or sorted(code for code in names if code not in ("EU", "UN", "EZ", "ZZ"))
    return sorted(((code, names.get(code, code)) for code in codes), key=lambda pair: pair[1])
