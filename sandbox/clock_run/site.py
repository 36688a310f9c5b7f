"""The processes of a clock run: a stack of its own whose time is set from outside."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import psutil
import psycopg
import redis
import rq
from rq.serializers import JSONSerializer

from jobs.clock import LEADER_LOCK
from sandbox.clock_run.opening import FORK
from sandbox.processes import ROOT, SandboxError
from sandbox.procfile import read_procfile, shell_command
from sandbox.readiness import clock_is_ready, web_is_ready, worker_is_ready
from sandbox.seed import digest
from sandbox.stack import Stack, death_notice
from sandbox.steps import Steps
from webapp.core.fork import Fork
from webapp.core.queue import Queue
from webapp.core.queue.bells import ANSWER, RUN

WORKERS = ("worker", "worker-2")
PATIENCE_SECONDS = 120
POLL_SECONDS = 0.008
LEASE_SECONDS = 3


class Site(Stack):
    """One fork with plans, whose processes follow a clock that is moved by hand.

    With ``mortal`` on, a worker or a clock that was killed is started again.
    """

    def __init__(self, folder: Path, steps: Steps, *, mortal: bool = False) -> None:
        super().__init__(folder, steps)
        self.fork = FORK
        self.offset_file = folder / "clock-offset"
        self.mortal = mortal
        self.is_held = False
        self._database: psycopg.Connection[tuple[Any, ...]] | None = None

    def app_settings(self) -> dict[str, str]:
        return super().app_settings() | {
            "CLOCK_OFFSET_FILE": str(self.offset_file),
            "TICK_SECONDS": "0.06",
            # What the dead had begun is taken over soon; the living may be slow.
            "JOB_LEASE_SECONDS": str(LEASE_SECONDS if self.mortal else 60),
            "RELAY_AFTER_SECONDS": "1" if self.mortal else "10",
            # Every customer has an address of their own.
            "TRUSTED_HOPS": "1",
            "ARGON2_TIME_COST": "1",
            "ARGON2_MEMORY_KIB": "64",
            "ARGON2_PARALLELISM": "1",
            "WEB_CONCURRENCY": "1",
        }

    def environment(self) -> dict[str, str]:
        return super().environment() | {"WEB_CONCURRENCY": "1"}

    def _set_up_forks(self) -> None:
        self.state.save()
        with self.steps.step("Plans"):
            opening = [sys.executable, "-m", "sandbox.clock_run.opening"]
            self._finish([self._spawn("opening", opening)], "The shop could not be opened")
        self.state.settings.done[FORK.name] = digest([Path(__file__)])
        self.state.save()

    def _start_app(self) -> None:
        began = time.monotonic()
        for name in ("web", *WORKERS, "clock"):
            self._begin(name)
        ready: dict[str, Callable[[], bool]] = {
            "web": lambda: web_is_ready(self.web_url),
            **{name: partial(self._works, name) for name in WORKERS},
            "clock": lambda: clock_is_ready(self.database_url),
        }
        for name, is_ready in ready.items():
            with self.steps.step(name.capitalize(), began):
                self._wait_for(name, is_ready)

    def _works(self, name: str) -> bool:
        return worker_is_ready(self.redis_url, self.children[name].pid)

    def _begin(self, name: str) -> None:
        self._spawn(name, shell_command(read_procfile()[name.partition("-")[0]]))

    def stop(self) -> None:
        if self._database is not None:
            self._database.close()
        for name in ("clock", *WORKERS):
            child = self.children.pop(name, None)
            if child is not None:
                child.stop(how=signal.SIGKILL)
        super().stop()

    # Life and death

    def tend(self) -> None:
        """Start again who was killed; SandboxError for a process that ended by itself."""
        for name, child in list(self.children.items()):
            if child.is_alive():
                continue
            killed = child.process.returncode == -signal.SIGKILL
            if not (self.mortal and killed and name in ("clock", *WORKERS)):
                raise SandboxError(death_notice(child))
            if name != "clock" or not self.is_held:
                self._begin(name)

    def kill(self, name: str) -> None:
        """SIGKILL, as the kernel does when memory runs out; any thread may."""
        os.kill(self.children[name].pid, signal.SIGKILL)

    def hold_clock(self) -> None:
        """Let the clock process stand still while time is moved and its effects arrive.

        Time goes on without jumps elsewhere: there a failed payment's event comes within seconds,
        long before the steps of its case.
        """
        self.is_held = True
        if self.children["clock"].is_alive():
            os.kill(self.children["clock"].pid, signal.SIGSTOP)

    def ring_for_the_dead(self, now: datetime) -> None:
        """Ring for what a killed worker left, without letting the clock go on to its time.

        The bells of what was promised just now may be lost with Redis.
        """
        left = """
            SELECT id FROM job WHERE (state = 'running' AND lease_until < %s)
            OR (state = 'queued' AND run_at <= %s
                AND created_at > %s - interval '10 minutes')
        """
        name = self.queue_name(Queue.CRITICAL)
        queue = rq.Queue(name, connection=self.doorbell, serializer=JSONSerializer)
        queue.enqueue(ANSWER, self.fork.name, "jobs.payments.drain_events")
        if not self.is_held:
            queue.enqueue(ANSWER, self.fork.name, "jobs.billing.tick_cases")
        for (job_id,) in self.ask(left, now, now, now):
            queue.enqueue(RUN, self.fork.name, job_id)

    def release_clock(self) -> None:
        """Let it go on, and return once it has ticked."""
        self.is_held = False
        self.tend()
        released = self.ask("SELECT clock_timestamp()")[0][0]
        os.kill(self.children["clock"].pid, signal.SIGCONT)
        for _ in range(2):
            released = self._see_tick_after(released)

    def _see_tick_after(self, moment: object) -> object:
        """The clock looks at its lock at the beginning of each tick."""
        last_looked = (
            "SELECT a.query_start FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid"
            " WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database()"
            f" AND a.query_start > %s AND l.objid = {LEADER_LOCK}"
        )
        return self.wait(lambda: self.ask(last_looked, moment), "a tick of the clock")[0][0]

    def wait(self, look: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
        """Return the first thing ``look`` sees, tending the processes meanwhile."""
        deadline = time.monotonic() + seconds
        while not (seen := look()):
            self.tend()
            if time.monotonic() > deadline:
                raise SandboxError(f"{what}: not within {seconds:.0f} s.")
            time.sleep(POLL_SECONDS)
        return seen

    def cpu_seconds(self) -> dict[str, float]:
        """What each process, with its children, has used so far."""
        used: dict[str, float] = {}
        for name, child in self.children.items():
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(child.pid)
                times = [each.cpu_times() for each in [process, *process.children(recursive=True)]]
                used[name] = sum(each.user + each.system for each in times)
        return used

    # What it holds

    def run_module(self, name: str, *arguments: str) -> str:
        """Run ``python -m name`` in the shop's environment and return what it printed."""
        told = subprocess.run(
            [sys.executable, "-m", name, *arguments],
            env=self.environment(),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if told.returncode != 0:
            raise SandboxError(f"{name} failed: {told.stderr[-1000:]}")
        return told.stdout

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the fork's database."""
        if self._database is None or self._database.closed:
            assert self.postgres
            self._database = self.postgres.connect(self.fork.name)
        return self._database.execute(query.encode(), values).fetchall()

    def queue_name(self, queue: Queue) -> str:
        return Fork(self.fork.name, self.offset_file.parent).queue_name(queue)

    @cached_property
    def doorbell(self) -> redis.Redis:
        """Where the workers' bells hang; threads may share it."""
        return redis.Redis.from_url(self.redis_url)

    def rows(self, query: str) -> list[dict[str, Any]]:
        """The same, each row by its columns' names."""
        self.ask("SELECT 1")
        assert self._database
        cursor = self._database.execute(query.encode(), ())
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
