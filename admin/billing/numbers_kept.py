"""Figures that took long to count are shown again for some minutes; quick ones are always fresh."""

import time
from contextlib import suppress
from datetime import timedelta

from pydantic import TypeAdapter, ValidationError
from redis import RedisError

from webapp.billing.queries.numbers import Figures, Span, figures_of
from webapp.core.redis import redis_client
from webapp.core.state import current_fork

KEPT = timedelta(minutes=5)
LONG_SECONDS = 0.5

_JSON = TypeAdapter(Figures)


def kept_figures(span: Span, currency: str) -> Figures:
    """Return the figures, at most ``KEPT`` old; without Redis they are counted each time."""
    days = f"{span.since.isoformat()}:{span.until.isoformat()}"
    key = current_fork().redis_key("numbers", f"{days}:{currency}")
    with suppress(RedisError, ValidationError):
        kept = redis_client().get(key)
        if isinstance(kept, bytes):
            return _JSON.validate_json(kept)
    began = time.monotonic()
    figures = figures_of(span, currency)
    if time.monotonic() - began > LONG_SECONDS:
        with suppress(RedisError):
            redis_client().set(key, _JSON.dump_json(figures), ex=KEPT)
    return figures
