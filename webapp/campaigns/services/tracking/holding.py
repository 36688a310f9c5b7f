"""Keeps an event until a job takes it: at once on this disk, a moment later in a Redis stream.

Noting an event is one write to a file of the process: no reader waits for Redis, and a process may
be killed at any time. A thread carries the files over twice a second, so that a worker on another
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
FIELD = "event"
CARRY_SECONDS = 0.5
BATCH = 1000
# The clock drains every few seconds; a ring before that has to be worth a job.
WORTH_A_RING = 200
# As many as Redis is to hold while nobody drains, some 400 MB; what is more stays on the disk.
MAX_WAITING = 1_000_000
# How long Redis isn't asked again after it didn't answer, or was full.
REST_SECONDS = 5


@dataclass(slots=True)
class _Desk:
    """Where one process notes; its threads take turns at it."""

    process: int
    turn: threading.Lock = field(default_factory=threading.Lock)
    notebook: spool.Notebook | None = None
    rests_until: float = 0


def stream_key() -> str:
    return current_fork().redis_key("mail_events")


def hold(event: Event) -> None:
    """Keep an event. Never raises: no reader waits for what is noted of them."""
    line = write_event(event)
    desk = _desk()
    try:
        with desk.turn:
            is_first = desk.notebook is None
            if desk.notebook is None:
                desk.notebook = spool.Notebook(spool.folder())
            desk.notebook.append(line)
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
    """Let a thread carry over what is noted, in a moment."""
    wait = max(CARRY_SECONDS, _desk().rests_until - time.monotonic())
    app = cast(Flask, current_app._get_current_object())  # type: ignore[attr-defined] # a proxy
    timer = threading.Timer(wait, _carry_for, [app])
    timer.daemon = True
    timer.start()


def _carry_for(app: Flask) -> None:
    with app.app_context():
        try:
            carry()
        except Exception:
            # What it was is still on the disk, for the next time or for a worker.
            logger.exception("mail events not carried over")


def carry() -> None:
    """Bring what this process and dead ones noted into the stream; Redis away leaves it there."""
    desk = _desk()
    with desk.turn:
        if desk.notebook is not None:
            desk.notebook.close()
            desk.notebook = None
    if time.monotonic() < desk.rests_until:
        return
    try:
        carried = sum(_carry_file(path) for path in spool.list_files())
        waiting = cast(int, redis_client().xlen(stream_key()))
    except RedisError as error:
        desk.rests_until = time.monotonic() + REST_SECONDS
        logger.warning("mail events stay on the disk", extra={"why": type(error).__name__})
        return
    if waiting > MAX_WAITING:
        desk.rests_until = time.monotonic() + REST_SECONDS
        logger.warning("mail events stay on the disk", extra={"waiting": waiting})
    if carried >= WORTH_A_RING:
        ring(DRAIN, Queue.TRACKING)


def _carry_file(path: Path) -> int:
    """Return how many events were carried; one that dies on the way carries them again."""
    carried = 0
    with spool.taken(path) as is_ours:
        if not is_ours:
            return 0
        for lines in spool.read(path, BATCH):
            with redis_client().pipeline(transaction=False) as pipe:
                for line in lines:
                    pipe.xadd(stream_key(), {FIELD: line})
                pipe.execute()
            carried += len(lines)
        path.unlink()
    return carried


def _desk() -> _Desk:
    known = cast("_Desk | None", current_app.extensions.get("mail_events"))
    if known is None or known.process != os.getpid():
        known = _Desk(os.getpid())
        current_app.extensions["mail_events"] = known
        app = cast(Flask, current_app._get_current_object())  # type: ignore[attr-defined]
        atexit.register(_carry_for, app)
    return known
