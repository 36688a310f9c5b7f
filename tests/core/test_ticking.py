"""The clock process outlives a tick that failed, and rings again for what Redis didn't take."""

import signal
from collections.abc import Callable
from contextlib import nullcontext

import pytest
from flask import Flask

import jobs.clock
from jobs.clock import tick
from jobs.schedule import SCHEDULE
from webapp.core.db import db
from webapp.core.queue import Queue


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


def test_what_redis_did_not_take_is_rung_for_at_the_next_tick(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    last_slots: dict[str, int] = {}
    with monkeypatch.context() as patch:
        patch.setattr(jobs.clock, "ring_all", lambda _calls: False)
        tick(last_slots, at=1_000_000)
    rung: list[str] = []

    def hear(calls: list[tuple[str, Queue]]) -> bool:
        rung.extend(path for path, _ in calls)
        return True

    monkeypatch.setattr(jobs.clock, "ring_all", hear)
    tick(last_slots, at=1_000_001)
    assert rung == [entry.path for entry in SCHEDULE]
    rung.clear()
    tick(last_slots, at=1_000_001.5)
    assert rung == []
