"""The one place that reads the time, so that tests and simulations can set it."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from pathlib import Path

_frozen: ContextVar[datetime | None] = ContextVar("frozen_clock", default=None)
_followed: list[Path] = []


def now() -> datetime:
    """Return the current time, aware and in UTC."""
    return _frozen.get() or _real_now()


def follow(offset_file: Path) -> None:
    """From now on run ahead of the real time by what ``offset_file`` says at each moment.

    For simulations, whose processes share the file; production refuses the setting.
    """
    _followed[:] = [offset_file]


def _real_now() -> datetime:
    real = datetime.now(UTC)
    return real + read_offset(_followed[0]) if _followed else real


def read_offset(file: Path) -> timedelta:
    """Return how far ahead of the real time the simulation behind ``file`` is."""
    try:
        return timedelta(seconds=struct.unpack("<d", file.read_bytes())[0])
    except (OSError, struct.error):
        return timedelta()


def write_offset(file: Path, offset: timedelta) -> None:
    """Set how far ahead of the real time a simulation is, at once for all its processes."""
    beside = file.with_suffix(".new")
    beside.write_bytes(struct.pack("<d", offset.total_seconds()))
    beside.replace(file)


@contextmanager
def frozen(at: datetime) -> Iterator[None]:
    """Make ``now()`` answer ``at`` within the block."""
    token = _frozen.set(at)
    try:
        yield
    finally:
        _frozen.reset(token)
