"""Kills workers and the clock with work in their hands, on days drawn from the seed.

Who is to die on a day is watched from its beginning on, and struck once work is seen: a worker
while it answers a bell and something of the billing's is under way, the clock while it runs and
something is due. A day on which nothing happens kills nobody; after some such days it strikes all
the same.
"""

import contextlib
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import psycopg
import redis

from sandbox.clock_run.days import Days
from sandbox.clock_run.site import WORKERS

CLOCK = "clock"
VICTIMS = (CLOCK, *WORKERS)
#: For so many days one who is to die is left alone while there is no work.
LATEST_DAYS = 10
#: Work goes on for so long at the most before it is struck, so that not only beginnings are.
LONGEST_SECONDS = 0.15
LOOK_EVERY_SECONDS = 0.004

UNDER_WAY = """
    SELECT EXISTS (SELECT FROM stripe_event WHERE state = 'pending')
        OR EXISTS (SELECT FROM job WHERE state = 'running')
        OR EXISTS (SELECT FROM mail WHERE state IN ('claimed', 'sending'))
        OR EXISTS (SELECT FROM billing_operation WHERE state = 'requested')
"""
DUE = """
    SELECT EXISTS (SELECT FROM job WHERE state = 'queued' AND run_at <= %(now)s)
        OR EXISTS (SELECT FROM dunning_case WHERE state = 'open' AND next_due_at <= %(now)s)
        OR EXISTS (SELECT FROM stripe_event WHERE state = 'pending')
"""


@dataclass(slots=True)
class Strike:
    """One kill to come: from which day on, whom, and for how long its work goes on first."""

    day: int
    victim: str
    seconds: float
    seen_at: float | None = None


@dataclass(slots=True)
class Chaos:
    """Which kills are to come, and who was killed; ``at_work`` of them with work in hand."""

    days: Days
    last: int
    coming: list[Strike]
    killed: Counter[str] = field(default_factory=Counter)
    at_work: int = 0
    _day: int = -1
    _over: threading.Event = field(default_factory=threading.Event)
    _watch: threading.Thread | None = None

    @classmethod
    def of(cls, days: Days, kills: int, count: int, seed: int) -> Self:
        chance = random.Random(f"{seed}:chaos")  # not for secrets
        coming = [
            Strike(
                chance.randrange(max(count - LATEST_DAYS, 1)),
                VICTIMS[number % len(VICTIMS)],
                chance.uniform(0, LONGEST_SECONDS),
            )
            for number in range(kills)
        ]
        return cls(days, count - 1, sorted(coming, key=lambda each: each.day))

    def __enter__(self) -> Self:
        if self.coming:
            self._watch = threading.Thread(target=self._look, daemon=True)
            self._watch.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._watch is not None:
            self._watch.join()
        if not error:
            self.days.site.tend()

    def strike(self, day: int) -> None:
        """Set out the day's kills."""
        self._day = day

    def told(self) -> str:
        return (
            ", ".join(f"{count} x {what}" for what, count in sorted(self.killed.items()))
            or "nobody"
        )

    def _look(self) -> None:
        site = self.days.site
        assert site.postgres
        with site.postgres.connect(site.fork.name) as database:
            while self.coming and not self._over.is_set():
                pause = LOOK_EVERY_SECONDS if self.coming[0].day <= self._day else 0.1
                with contextlib.suppress(redis.RedisError, KeyError):
                    self._strike_who_works(database)
                self._over.wait(pause)

    def _strike_who_works(self, database: psycopg.Connection[tuple[Any, ...]]) -> None:
        """One at a time: of each victim the strike that waits longest."""
        waiting: dict[str, Strike] = {}
        for each in self.coming:
            if each.day <= self._day:
                waiting.setdefault(each.victim, each)
        for victim, strike in waiting.items():
            if self._works(victim, database):
                strike.seen_at = strike.seen_at or time.monotonic()
                if time.monotonic() - strike.seen_at >= strike.seconds:
                    self._kill(strike, at_work=True)
            elif self._is_late(strike) and self.days.site.children[victim].is_alive():
                self._kill(strike, at_work=False)

    def _is_late(self, strike: Strike) -> bool:
        return self._day >= min(strike.day + LATEST_DAYS, self.last)

    def _works(self, victim: str, database: psycopg.Connection[tuple[Any, ...]]) -> bool:
        site = self.days.site
        if not site.children[victim].is_alive():
            return False
        if victim == CLOCK:
            return not site.is_held and _says_yes(database, DUE, now=self.days.now())
        return self._answers(victim) and _says_yes(database, UNDER_WAY)

    def _answers(self, worker: str) -> bool:
        """Whether a worker answers a bell; their names in Redis carry the process id."""
        doorbell, pid = self.days.site.doorbell, self.days.site.children[worker].pid
        names = doorbell.keys(f"rq:worker:{self.days.site.fork.name}-*-{pid}-*")
        assert isinstance(names, list)
        return any(doorbell.hget(name, "state") == b"busy" for name in names)

    def _kill(self, strike: Strike, *, at_work: bool) -> None:
        """Redis forgets as well: what a dead worker had begun is known to Postgres alone."""
        self.coming.remove(strike)
        with contextlib.suppress(ProcessLookupError):
            self.days.site.kill(strike.victim)
            self.killed[strike.victim] += 1
            self.at_work += at_work
        self.days.site.doorbell.flushall()


def _says_yes(database: psycopg.Connection[tuple[Any, ...]], query: str, **values: object) -> bool:
    found = database.execute(query.encode(), values).fetchone()
    return bool(found and found[0])
