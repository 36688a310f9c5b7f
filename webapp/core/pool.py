"""Hands out no connection that Postgres has closed, without asking Postgres before each request.

SQLAlchemy's pre-ping sends a query each time, a tenth of what a page costs. The operating system
knows already when the other side has hung up; only after a pause is it worth a question.
"""

import select
import time
from typing import Any

import psycopg
from sqlalchemy.exc import InvalidatePoolError

IDLE_SECONDS = 5.0
RETURNED = "returned_at"


def note_return(_connection: Any, record: Any) -> None:
    record.info[RETURNED] = time.monotonic()


def refuse_dead(connection: Any, record: Any, _proxy: Any) -> None:
    """Make the pool reconnect when ``connection`` is dead, and drop what is as old."""
    returned = record.info.get(RETURNED)
    if returned is None:  # new
        return
    idle = time.monotonic() - returned
    if (idle > IDLE_SECONDS or _has_news(connection)) and not _answers(connection):
        raise InvalidatePoolError


def _has_news(connection: psycopg.Connection[Any]) -> bool:
    """Whether something waits to be read, though nothing was asked: mostly a farewell."""
    try:
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        return bool(poll.poll(0))
    except (OSError, psycopg.Error):
        return True


def _answers(connection: psycopg.Connection[Any]) -> bool:
    try:
        connection.execute("SELECT 1")
        connection.rollback()
    except psycopg.Error:
        return False
    return True


EVENTS = [(note_return, "checkin"), (refuse_dead, "checkout")]
