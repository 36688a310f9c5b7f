"""The app's own map of its addresses, so that an attack finds tomorrow's routes by itself."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TypeVar
from urllib.parse import quote

from flask import Flask

from webapp.core.access import NOBODY, audience_of

MUTATING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
ARGUMENT = re.compile(
    r"<(?:(?P<kind>[a-z_]+)(?:\((?P<choice>[^,)]*)[^)]*\))?:)?(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)>"
)
# Each weapon at each route takes half an hour: ATTACKS_FULL=1.
FULL = os.environ.get("ATTACKS_FULL") == "1"
T = TypeVar("T")
NOBODYS = "00000000-0000-4000-8000-000000000000"
# Values for arguments that are nobody's secret.
PLAIN = {"string": "x", "path": "css/app.css", "int": "1", "float": "1.0", "uuid": NOBODYS}


@dataclass(frozen=True, slots=True)
class Argument:
    """A part of an address that the caller chooses."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Route:
    """One rule of the URL map and who may call it."""

    rule: str
    endpoint: str
    methods: frozenset[str]
    audience: str | None

    @property
    def arguments(self) -> list[Argument]:
        found = ARGUMENT.finditer(self.rule)
        return [Argument(match["name"], match["kind"] or "string") for match in found]

    @property
    def changes(self) -> frozenset[str]:
        return self.methods & MUTATING

    @property
    def is_admin(self) -> bool:
        return self.rule.startswith("/admin")

    def address(self, values: Mapping[str, object] | None = None) -> str:
        """Return the route's path with ``values``, and something harmless for what they lack."""
        given = values or {}

        def fill(match: re.Match[str]) -> str:
            kind = match["kind"] or "string"
            harmless = match["choice"] if kind == "any" else PLAIN.get(kind, "x")
            value = str(given.get(match["name"], harmless))
            return quote(value, safe="/" if kind == "path" else "")

        return ARGUMENT.sub(fill, self.rule)


def routes_of(app: Flask) -> list[Route]:
    """Return every rule of the app, sorted by its address; fails when there are hardly any."""
    routes = [
        Route(
            rule.rule,
            rule.endpoint,
            frozenset(rule.methods or ()) - {"HEAD", "OPTIONS"},
            audience_of(app, rule.endpoint),
        )
        for rule in app.url_map.iter_rules()
    ]
    assert len(routes) > 200, "a walk over few routes proves little"
    return sorted(routes, key=lambda route: (route.rule, sorted(route.methods)))


def open_routes(app: Flask) -> list[Route]:
    """Return the routes somebody may call: Flask-Admin brings many that are nobody's."""
    found = [route for route in routes_of(app) if route.audience != NOBODY]
    assert len(found) > 130, "a walk over few routes proves little"
    return found


def shares(weapons: Sequence[T], of: int) -> Iterator[Sequence[T]]:
    """Yield one ``of`` so many shares of the weapons at a time, the next one at each route.

    So over a walk every weapon is used, and every route meets some.
    """
    for turn in count():
        yield weapons if FULL else weapons[turn % of :: of]
