"""Keeps an event until a job takes it: at once on this disk, a moment later in a Redis stream.

Noting an event writes to a file of the process: no reader waits for Redis, and a process may be
killed at any time. A thread carries the files over twice a second, so that a worker on another
machine gets the events; while Redis is away they stay, and a worker of this machine takes them.
"""

import atexit
import logging
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from flask import Flask, current_app
from redis import RedisError

from webapp.campaigns.services.tracking import spool
from webapp.campaigns.services.tracking.event import Event, write_event
from webapp.core.queue import Queue, ring
from webapp.core.redis import redis_client
from webapp.core.state import current_fork

logger = logging.getLogger(__name__)

DRAIN = "jobs.campaigns.drain_tracking"
FIELD = "events"
CARRY_SECONDS = 0.5
# How many events make one entry of the stream: an entry costs Redis and us as much as an event.
BUNDLE = 200
# The clock drains every few seconds; a ring before that has to be worth a job.
WORTH_A_RING = 200
# As many entries as Redis is to hold while nobody drains, 400 MB at most; more stays on the disk.
MAX_WAITING = 5000
# How long Redis isn't asked again after it didn't answer, or was full.
REST_SECONDS = 5


@dataclass(slots=True)
class _Desk:
    """Where one process notes; its threads take turns at it."""

    process: int
    turn: threading.Lock = field(default_factory=threading.Lock)
    notebook: spool.Notebook | None = None
    is_called: bool = False
    rests_until: float = 0

    def open_notebook(self) -> None:
        """Begin a new file; what is in the one before waits to be taken."""
        self.close_notebook()
        self.notebook = spool.Notebook(spool.folder())

    def close_notebook(self) -> None:
        if self.notebook is not None:
            full, self.notebook = self.notebook, None
            full.close()

    def rest(self) -> float:
        """Return for how many seconds Redis isn't asked."""
        return max(self.rests_until - time.monotonic(), 0)


def stream_key() -> str:
    return current_fork().redis_key("mail_events")


def hold(event: Event) -> None:
    """Keep an event. Never raises: no reader waits for what is noted of them."""
    line = write_event(event)
    desk = _desk()
    try:
        with desk.turn:
            is_first = desk.notebook is None
            while desk.notebook is None or not desk.notebook.append(line):
                desk.open_notebook()
    except OSError as error:
        logger.error("mail event not on the disk", extra={"why": error.strerror})
        _hold_in_redis(line)
        return
    if is_first:
        carry_soon()


def _hold_in_redis(line: bytes) -> None:
    try:
        redis_client().xadd(stream_key(), {FIELD: line})
    except RedisError as error:
        logger.error("mail event lost", extra={"why": type(error).__name__})


def carry_soon() -> None:
    """Let a thread carry over what is noted, in a moment; one at a time."""
    desk = _desk()
    with desk.turn:
        if desk.is_called:
            return
        desk.is_called = True
    timer = threading.Timer(max(CARRY_SECONDS, desk.rest()), _carry_for, [_app()])
    timer.daemon = True
    timer.start()


def _carry_for(app: Flask) -> None:
    with app.app_context():
        _desk().is_called = False
        if not carry():
            carry_soon()


def _carry_last(app: Flask) -> None:
    with app.app_context():
        if _desk().notebook is not None:
            carry()


def carry() -> bool:
    """Bring what this process and dead ones noted into the stream; False if it stays on the disk.

    Never raises: a worker of this machine takes what stays.
    """
    desk = _desk()
    with desk.turn:
        desk.close_notebook()
    if desk.rest():
        return False
    try:
        carried = sum(_carry_file(path) for path in spool.list_files())
        waiting = redis_client().xlen(stream_key())
    except (RedisError, OSError) as error:
        desk.rests_until = time.monotonic() + REST_SECONDS
        logger.warning("mail events stay on the disk", extra={"why": type(error).__name__})
        return False
    if waiting > MAX_WAITING:
        desk.rests_until = time.monotonic() + REST_SECONDS
        logger.warning("mail events stay on the disk", extra={"waiting": waiting})
    if carried >= WORTH_A_RING:
        ring(DRAIN, Queue.TRACKING)
    return True


def _carry_file(path: Path) -> int:
    """Return how many events were carried; one that dies on the way carries them again."""
    carried = 0
    with spool.taken(path) as is_ours:
        if not is_ours:
            return 0
        for lines in spool.read(path, BUNDLE):
            redis_client().xadd(stream_key(), {FIELD: b"\n".join(lines)})
            carried += len(lines)
        path.unlink()
    return carried


def _desk() -> _Desk:
    known = cast("_Desk | None", current_app.extensions.get("mail_events"))
    if known is None or known.process != os.getpid():
        known = _Desk(os.getpid())
        current_app.extensions["mail_events"] = known
        atexit.register(_carry_last, _app())
    return known


def _app() -> Flask:
    return cast(Flask, current_app._get_current_object())  # type: ignore[attr-defined] # a proxy
