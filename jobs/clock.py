"""The clock process: one leader per fork rings for due jobs and starts the periodic ones."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from jobs.schedule import SCHEDULE
from webapp.core import clock
from webapp.core.db import db
from webapp.core.queue import relay, ring_all
from webapp.core.state import current_config

logger = logging.getLogger(__name__)

LEADER_LOCK = 0x434C_4F43  # any constant: advisory locks are per database, so per fork
REST_SECONDS = 2.0  # after a failed tick, and between two looks at another clock's lock


def run() -> None:
    """Tick until SIGTERM or SIGINT.

    Neither Postgres away nor a tick that failed is a reason to end: everything scheduled hangs
    on this process.
    """
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    while not stopping.is_set():
        try:
            with leadership(stopping) as lease:
                _lead(stopping, lease)
        except DBAPIError as error:
            logger.warning("clock waits for Postgres", extra={"why": type(error).__name__})
            _rest(stopping)
        except Exception:
            logger.exception("a tick failed; the clock goes on")
            _rest(stopping)


def _rest(stopping: threading.Event) -> None:
    db.session.remove()
    stopping.wait(REST_SECONDS)


@contextmanager
def leadership(stopping: threading.Event) -> Iterator[Connection]:
    """Wait until this is the fork's one ticking clock; the lock dies with its connection."""
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        taken = False
        while not taken and not stopping.is_set():
            taken = bool(
                connection.scalar(text("SELECT pg_try_advisory_lock(:id)"), {"id": LEADER_LOCK})
            )
            if not taken:
                stopping.wait(REST_SECONDS)
        try:
            yield connection
        finally:
            connection.invalidate()


def _lead(stopping: threading.Event, lease: Connection) -> None:
    last_slots: dict[str, int] = {}
    while not stopping.is_set():
        lease.execute(text("SELECT 1"))  # raises as soon as the lock's connection is gone
        tick(last_slots, clock.now().timestamp())
        db.session.remove()
        stopping.wait(current_config().tick_seconds)


def tick(last_slots: dict[str, int], at: float) -> None:
    """Relay due jobs and ring for each schedule entry whose slot has begun.

    The periodic functions find their own work in Postgres, so a ring that is lost with Redis is
    only late by one slot and a ring too many finds nothing to do. One that Redis didn't take is
    rung again at the next tick.
    """
    relay()
    slots = {entry.path: int(at // entry.seconds) for entry in SCHEDULE}
    begun = [entry for entry in SCHEDULE if last_slots.get(entry.path) != slots[entry.path]]
    if ring_all([(entry.path, entry.queue) for entry in begun]):
        last_slots.update(slots)
