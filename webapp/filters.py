"""What every template may call and count on: money, dates, the shop and the visitor's cart."""

import logging
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

from babel.dates import format_date, format_datetime
from flask import Flask, has_request_context, request
from flask import url_for as flask_url_for
from sqlalchemy.exc import SQLAlchemyError

from webapp.core.errors import ConfigError
from webapp.core.money import format_money
from webapp.storefront.frame import get_frame

logger = logging.getLogger(__name__)

# Set by every rendering for its own filters, which can't see what an imported macro was not given.
_locale: ContextVar[str] = ContextVar("locale", default="en_US")


def init_filters(app: Flask) -> None:
    app.jinja_env.filters.update(
        money=money, date=show_date, datetime=show_datetime, drawing=drawing
    )
    app.jinja_env.globals["url_for"] = _remembering_url_for()
    app.context_processor(shop_context)


def _remembering_url_for() -> Callable[..., str]:
    """Return ``url_for`` for templates: an address is built once, as each costs 10 us.

    It depends on nothing but the routes and the prefix we are mounted under.
    """

    @lru_cache(maxsize=8192)
    def build(_prefix: str, endpoint: str, values: tuple[tuple[str, Any], ...]) -> str:
        return flask_url_for(endpoint, **dict(values))

    def url_for(endpoint: str, **values: Any) -> str:
        if not has_request_context() or endpoint.startswith(".") or "_external" in values:
            return flask_url_for(endpoint, **values)
        try:
            return build(request.environ.get("SCRIPT_NAME", ""), endpoint, tuple(values.items()))
        except TypeError:  # a value that can't be a key, like a list
            return flask_url_for(endpoint, **values)

    return url_for


@lru_cache(maxsize=8192)
def drawing(seed: object) -> tuple[str, str]:
    """Return the class and the fragment of the drawing that stands in for a missing picture."""
    letters = str(seed).encode()
    number = 2 * sum(letters) + 11 * sum(letters[::2]) + 29 * sum(letters[::3])
    return f"tint-{(number // 14 + len(letters)) % 6}", f"#a{number % 14}"


def money(amount: int | None, currency: str) -> str:
    """Return minor units as the shop's visitors write them; nothing for what has no price."""
    return "" if amount is None else format_money(amount, currency, _locale.get())


def show_date(value: date | datetime | None) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        value = value.astimezone(UTC)
    return format_date(value, "medium", locale=_locale.get())


def show_datetime(value: datetime | None) -> str:
    """Return a moment in UTC, and say so: the reader may be anywhere."""
    if value is None:
        return ""
    day = format_date(value.astimezone(UTC), "medium", locale=_locale.get())
    return f"{day}, {format_datetime(value.astimezone(UTC), 'HH:mm', locale=_locale.get())} UTC"


def shop_context() -> dict[str, object]:
    """Return what the layout shows on every page.

    An error page must appear without the database too: then there is no shop, and the pages that
    need none say so.
    """
    path = request.path if has_request_context() else ""
    try:
        frame = get_frame()
    except (SQLAlchemyError, ConfigError):
        logger.warning("page without a shop", exc_info=True)
        return {"shop": None, "cart_count": 0, "current_path": path}
    _locale.set(frame.shop.locale)
    return {"shop": frame.shop, "cart_count": frame.cart_count, "current_path": path}
