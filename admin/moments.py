"""Moments as lists and timelines show them: short, in UTC, with the whole of it behind."""

from datetime import UTC, datetime

from babel.dates import format_date, format_skeleton, format_time
from flask import Flask

from webapp.core import clock
from webapp.core.shop import get_shop


def init_moments(app: Flask) -> None:
    app.jinja_env.filters.update(when=when, day=day, second=second)


def when(at: datetime) -> str:
    """Return day and minute, and the year only where it isn't this one: ``Nov 21, 09:05``."""
    at = at.astimezone(UTC)
    skeleton = "MMMd" if at.year == clock.now().year else "yMMMd"
    date = format_skeleton(skeleton, at, locale=get_shop().locale)
    return f"{date}, {at:%H:%M}"


def day(at: datetime) -> str:
    """Return the day in words: ``Saturday, November 21, 2026``."""
    return format_date(at.astimezone(UTC), "full", locale=get_shop().locale)


def second(at: datetime) -> str:
    """Return the time of day to the second: ``09:05:12``."""
    return format_time(at.astimezone(UTC), "HH:mm:ss", locale=get_shop().locale)
