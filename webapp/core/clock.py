"""The one place that reads the time, so that tests and simulations can set it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_frozen: ContextVar[datetime | None] = ContextVar("frozen_clock", default=None)


def now() -> datetime:
    """Return the current time, aware and in UTC."""
    return _frozen.get() or datetime.now(UTC)


@contextmanager
def frozen(at: datetime) -> Iterator[None]:
    """Make ``now()`` answer ``at`` within the block."""
    token = _frozen.set(at)
    try:
        yield
    finally:
        _frozen.reset(token)
