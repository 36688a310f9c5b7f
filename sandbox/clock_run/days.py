"""The calendar of a clock run: both clocks are moved, and everything comes to rest."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sandbox.clock_run.inbox import Inbox
from sandbox.clock_run.site import LEASE_SECONDS, POLL_SECONDS, Site
from sandbox.clock_run.stripe import Stripe
from sandbox.processes import SandboxError
from webapp.core.clock import write_offset
from webapp.core.queue import Queue

FIRST_DAY = datetime(2030, 1, 14, tzinfo=UTC)
#: What is promised for so soon is waited for on the same day.
SOON = timedelta(seconds=90)
REST_SECONDS = 180

BUSY = """
    SELECT (SELECT count(*) FROM stripe_event WHERE state = 'pending'),
           (SELECT count(*) FROM job
            WHERE state = 'running' OR (state = 'queued' AND run_at <= %s AND %s)),
           (SELECT count(*) FROM mail WHERE state IN ('pending', 'claimed', 'sending')),
           (SELECT count(*) FROM dunning_case
            WHERE state = 'open' AND next_due_at <= %s AND %s)
"""
PROMISED = """
    SELECT max(run_at) FROM job
    WHERE state = 'queued' AND run_at > %s AND run_at <= %s
      AND (path <> 'jobs.billing.carry_out'
           OR (args ->> 0)::bigint IN
              (SELECT id FROM billing_operation WHERE state = 'requested'))
"""


@dataclass(slots=True)
class Look:
    """One look at the world: when the clock ticked again, and when the last of it was done."""

    begun: datetime
    ended: datetime


@dataclass(slots=True)
class Days:
    """The run's own time, which both clocks are set to."""

    site: Site
    stripe: Stripe
    inbox: Inbox
    #: From which day on the clock process stands still, and for how many.
    off: range = range(0)
    looks: list[Look] = field(default_factory=list)
    spent: dict[str, float] = field(default_factory=dict)
    _offset: timedelta = timedelta()
    _day: int = 0

    @property
    def is_off(self) -> bool:
        """Whether nobody rings for what is due: only what is told at once is done."""
        return self._day in self.off

    @property
    def first(self) -> datetime:
        return FIRST_DAY

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset

    def begin(self, day: int) -> None:
        """Go to a day's hour, and ring for all that is due. No two days of a year share a minute.

        What was done on one day then never falls due in the very seconds in which another is.
        """
        self._day = day
        minute = 10 * 60 + day * 37 % 420
        self._go_to(FIRST_DAY + timedelta(days=day, minutes=minute))

    def settle(self) -> None:
        """Return when all that was due at this hour is done."""
        self.timed("jobs", self.rest)
        if not self.is_off:
            self.looks[-1].ended = self.now()

    def _go_to(self, moment: datetime) -> None:
        """Move the app's clock, then the sandbox's; return once the clock process has seen it."""
        self.site.hold_clock()
        self._offset = moment - datetime.now(UTC)
        write_offset(self.site.offset_file, self._offset)
        self.timed("sandbox", lambda: self.stripe.move(moment))
        self.timed("webhooks", self.rest)
        # The clock's sweeps would fetch what the shop acknowledged and lost.
        self.timed("inbox", self.inbox.look)
        if self.is_off:
            return
        begun = self.now()
        self.timed("tick", self.site.release_clock)
        self.looks.append(Look(begun, self.now()))

    def end(self) -> None:
        """Wait for what was promised for the next minutes, and for rest."""
        self.timed("acting", self.rest)
        for _ in range(0 if self.is_off else 5):
            now = self.now()
            promised = self.site.ask(PROMISED, now, now + SOON)[0][0]
            if promised is None:
                break
            self._go_to(promised + timedelta(seconds=1))
            self.settle()
        if not self.is_off:
            self.looks[-1].ended = self.now()

    def rest(self) -> None:
        """Return once no webhook, event, job or mail is on its way."""
        patience = time.monotonic() + LEASE_SECONDS
        deadline = time.monotonic() + REST_SECONDS
        # Twice, as what passes from one to the other between two looks is seen by neither.
        while not (self._is_calm() and self._is_calm()):
            if time.monotonic() > deadline:
                raise SandboxError(f"No rest within {REST_SECONDS} s: {self._busy()} left.")
            # Held between its notes and its rings, the clock leaves what nobody hears of.
            if (self.site.is_held or self.site.mortal) and time.monotonic() > patience:
                self.site.ring_for_the_dead(self.now())
                patience = time.monotonic() + LEASE_SECONDS
            self.site.tend()
            time.sleep(POLL_SECONDS)

    def _is_calm(self) -> bool:
        return not self._has_rung() and not any(self._busy().values()) and self.stripe.is_idle()

    def _busy(self) -> dict[str, int]:
        """What is under way. A clock that stands still rings for no job of another time."""
        now, runs = self.now(), not self.site.is_held
        # Who dies over a case is followed within a minute, which here would be the next day.
        counts = self.site.ask(BUSY, now, runs, now, runs and self.site.mortal)[0]
        return dict(zip(("events", "jobs", "mails", "cases"), counts, strict=True))

    def _has_rung(self) -> bool:
        """Whether a bell waits for a worker or is being answered."""
        asked = self.site.doorbell.pipeline(transaction=False)
        for name in map(self.site.queue_name, Queue):
            asked.llen(f"rq:queue:{name}")
            asked.zcard(f"rq:wip:{name}")
        return any(asked.execute())

    def costs(self) -> str:
        """What a day took on the average, part by part."""
        days = max(len({look.begun.date() for look in self.looks}), 1)
        parts = (f"{what} {seconds / days:.2f}" for what, seconds in self.spent.items())
        return ", ".join(parts) + " s a day"

    def timed(self, what: str, do: Callable[[], None]) -> None:
        """Do something and add up what it took."""
        began = time.monotonic()
        do()
        self.spent[what] = self.spent.get(what, 0.0) + time.monotonic() - began
