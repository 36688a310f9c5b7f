"""The clock process outlives a tick that failed."""

import signal
from collections.abc import Callable
from contextlib import nullcontext

import pytest
from flask import Flask

import jobs.clock
from webapp.core.db import db


def test_a_tick_that_failed_does_not_end_the_clock(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers: dict[int, Callable[..., None]] = {}
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    monkeypatch.setattr(jobs.clock, "REST_SECONDS", 0)
    monkeypatch.setattr(jobs.clock, "leadership", lambda _: nullcontext(db.session.connection()))
    ticks: list[float] = []

    def tick(_last_slots: dict[str, int], at: float) -> None:
        ticks.append(at)
        if len(ticks) == 1:
            raise ValueError
        handlers[signal.SIGTERM](signal.SIGTERM, None)

    monkeypatch.setattr(jobs.clock, "tick", tick)
    jobs.clock.run()
    assert len(ticks) == 2
