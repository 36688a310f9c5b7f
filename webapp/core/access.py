"""Who may call a route: every one declares it, and one that doesn't is closed to all.

The declaration is data on the view; the guard of ``webapp.accounts`` asks for it before every
request, so a page nobody thought about is a page nobody gets.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask

View = TypeVar("View", bound=Callable[..., Any])

EVERYONE = "everyone"
MEMBERS = "members"
NOBODY = "nobody"

_EXTENSION = "audiences"


def open_to(audience: str) -> Callable[[View], View]:
    """Declare who may call a view: EVERYONE, MEMBERS (anybody logged in) or a permission.

    It belongs right under the route.
    """

    def mark(view: View) -> View:
        view.open_to = audience  # type: ignore[attr-defined] # a mark on a function
        return view

    return mark


def declare(app: Flask, endpoint: str, audience: str) -> None:
    """Declare who may call a view that isn't ours to decorate."""
    app.extensions.setdefault(_EXTENSION, {})[endpoint] = audience


def audience_of(app: Flask, endpoint: str) -> str | None:
    """Return who may call ``endpoint``; None if nobody said so."""
    declared: str | None = app.extensions.get(_EXTENSION, {}).get(endpoint)
    return declared or getattr(app.view_functions[endpoint], "open_to", None)
