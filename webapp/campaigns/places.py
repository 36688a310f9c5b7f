"""Which page of this site a path is, told without what must not be kept of it."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from flask import current_app
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import MapAdapter, Rule

from webapp.core.access import EVERYONE, audience_of

# Names for everybody to read. Any other part that varies may be a key or a person's number.
PUBLIC_PARTS = {"slug", "filename", "file_name"}
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
PART = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")
NOWHERE = "(not found)"


@dataclass(frozen=True, slots=True)
class Place:
    """``path`` as it may be kept; ``public`` where everybody is shown the same."""

    path: str
    public: bool


def find_place(path: str) -> Place:
    """Return the place of a path: ``/orders/status/eyJ..`` -> ``/orders/status/<token>``."""
    plain = CONTROL.sub("", unquote(path))
    rule = _find_rule(plain)
    if rule is None:
        return Place(NOWHERE, public=False)
    if rule.arguments <= PUBLIC_PARTS:
        return Place(plain, public=audience_of(current_app, rule.endpoint) == EVERYONE)
    return Place(PART.sub(r"<\1>", rule.rule), public=False)


def is_page(path: str) -> bool:
    """Say whether a visitor may be led to ``path``."""
    try:
        return _match(_adapter(), unquote(path), "GET") is not None
    except MethodNotAllowed:
        return False


def _find_rule(path: str) -> Rule | None:
    adapter = _adapter()
    try:
        return _match(adapter, path, "GET")
    except MethodNotAllowed as error:
        # A form with mistakes is shown at the address it was sent to.
        return _match(adapter, path, next(iter(error.valid_methods or []), "POST"))


def _match(adapter: MapAdapter, path: str, method: str) -> Rule | None:
    try:
        return adapter.match(path, method=method, return_rule=True)[0]
    except MethodNotAllowed:
        raise
    except HTTPException:
        return None


def _adapter() -> MapAdapter:
    return current_app.url_map.bind("localhost")
