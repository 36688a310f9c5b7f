"""The clock process outlives a tick that failed, and rings again for what Redis didn't take."""

import signal
from collections.abc import Callable
from contextlib import nullcontext

import pytest
from flask import Flask

import jobs.clock
from jobs.clock import tick
from jobs.schedule import SCHEDULE
from tests.services import redis_away
from webapp.core.db import db
from webapp.core.queue import Queue
from webapp.core.redis import redis_client
from webapp.core.state import current_fork


def test_a_tick_that_failed_does_not_end_the_clock(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers: dict[int, Callable[..., None]] = {}
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    monkeypatch.setattr(jobs.clock, "REST_SECONDS", 0)
    monkeypatch.setattr(jobs.clock, "leadership", lambda _: nullcontext(db.session.connection()))
    ticks: list[float] = []

    def fail_once(_last_slots: dict[str, int], at: float) -> None:
        ticks.append(at)
        if len(ticks) == 1:
            raise ValueError
        handlers[signal.SIGTERM](signal.SIGTERM, None)

    monkeypatch.setattr(jobs.clock, "tick", fail_once)
    jobs.clock.run()
    assert len(ticks) == 2


def test_what_redis_did_not_take_is_rung_for_at_the_next_tick(app: Flask) -> None:
    last_slots: dict[str, int] = {}
    with redis_away(app):
        tick(last_slots, at=1_000_000)
    tick(last_slots, at=1_000_001)
    assert waiting() == len(SCHEDULE)
    tick(last_slots, at=1_000_001.5)
    assert waiting() == len(SCHEDULE)


def waiting() -> int:
    names = [current_fork().queue_name(queue) for queue in Queue]
    return sum(redis_client().llen(f"rq:queue:{name}") for name in names)
