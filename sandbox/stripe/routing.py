"""The table of routes: each resource module adds its own, and nothing else knows them."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sandbox.stripe import wheel
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World

Handler = Callable[..., Row | Json]


@dataclass(slots=True)
class Call:
    """One API call with its parameters checked and typed."""

    world: World
    params: Json

    def pick(self, *names: str) -> Json:
        """The parameters of these names that were sent."""
        return {name: self.params[name] for name in names if name in self.params}


@dataclass
class Route:
    method: str
    path: str
    handler: Handler
    #: False where repeating the call does no harm (reads), so that no key is stored.
    writes: bool = field(init=False)

    def __post_init__(self) -> None:
        self.writes = self.method == "POST"

    @cached_property
    def spec(self) -> wheel.Route | None:
        return wheel.find_route(self.method, self.path)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile("^" + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path) + "$")


ROUTES: list[Route] = []
_BY_SHAPE: dict[tuple[str, int], list[Route]] = {}


def route(method: str, path: str) -> Callable[[Handler], Handler]:
    """Register `handler(call, **path_parameters)`; it returns a Row, or a finished JSON object."""

    def register(handler: Handler) -> Handler:
        entry = Route(method, path, handler)
        ROUTES.append(entry)
        _BY_SHAPE.setdefault((method, path.count("/")), []).append(entry)
        return handler

    return register


def match(method: str, path: str) -> tuple[Route, dict[str, Any]] | None:
    for entry in _BY_SHAPE.get((method, path.count("/")), []):
        found = entry.pattern.match(path)
        if found:
            return entry, found.groupdict()
    return None
