"""One sandbox put together: memory, clock, courier and faults, and what time brings about."""

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sandbox.stripe import timers
from sandbox.stripe.checkout import timing
from sandbox.stripe.clock import Clock
from sandbox.stripe.deliveries import Courier
from sandbox.stripe.faults import Faults
from sandbox.stripe.ids import new_id
from sandbox.stripe.resources import webhook_endpoints
from sandbox.stripe.store import Json, Row, Store
from sandbox.stripe.world import TEST_CLOCK, Origin, World

TICK_S = 0.25

assert timing and webhook_endpoints, "importing them, and so all resources, fills the timers"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One API call as it was made and answered, for checking against the wheel's types."""

    method: str
    path: str
    params: Json
    status: int
    response: Json


@dataclass
class Machine:
    folder: Path
    base_url: str = "http://127.0.0.1"
    retry_base: float = 1.0
    #: Seconds until a bank debit or a pending refund settles by itself; None waits for control.
    async_after: int | None = None
    on_exchange: Callable[[Exchange], None] | None = None
    exchanges: deque[Exchange] = field(default_factory=lambda: deque(maxlen=500))

    def __post_init__(self) -> None:
        self.store = Store(self.folder)
        self.clock = Clock(float(self.store.setting("clock_offset", 0.0)))
        self.courier = Courier(self.store, self.retry_base)
        self.faults = Faults()
        self._stopping = threading.Event()
        self._bell = threading.Event()
        self._ticking = threading.Lock()
        self._ticker = threading.Thread(target=self._tick_forever, daemon=True)

    def start(self) -> None:
        self.courier.start()
        self._ticker.start()

    def stop(self) -> None:
        self._stopping.set()
        self._bell.set()
        self.faults.release()
        self.courier.stop()
        if self._ticker.is_alive():
            self._ticker.join(timeout=2)
        self.store.close()

    @contextmanager
    def world(self, account: str, origin: Origin | None = None) -> Iterator[World]:
        """One transaction of an account; its webhooks leave once it is committed."""
        try:
            with self.store.transaction():
                yield World(self, account, origin or Origin())
        finally:
            self.courier.ring()

    def today(self) -> tuple[int, int]:
        now = datetime.fromtimestamp(self.clock.now(), UTC)
        return now.year, now.month

    # Keys and endpoints

    def ensure_key(self, key: str) -> str:
        """Register a secret key and return its account; each key sees only its own objects."""
        if not key.startswith("sk_test_") or len(key) < 12:
            raise ValueError("A sandbox key starts with sk_test_ and has at least 12 characters.")
        with self.store.transaction():
            account = self.store.account_of(key)
            if account is None:
                account = new_id("account")
                self.store.run("INSERT INTO keys VALUES (?,?)", (key, account))
            return account

    def ensure_endpoint(self, account: str, url: str, secret: str | None = None) -> Row:
        """The account's own endpoint, made if missing; another URL or secret replaces the old.

        A shop that starts again on another port takes its waiting webhooks with it.
        """
        with self.world(account) as world:
            for row in world.rows("webhook_endpoint"):
                if row.private.get("own"):
                    if secret and webhook_endpoints.current_secret(row) != secret:
                        row.private["secrets"] = [{"value": secret, "until": None}]
                    world.change(row, {"url": url})
                    return row
            params = {"url": url, "enabled_events": ["*"]}
            row = webhook_endpoints.new_endpoint(world, params, secret)
            row.private["own"] = True
            world.save(row)
            return row

    def listen_at(self, base_url: str) -> None:
        """Take an address; pages of sessions made at another one move along."""
        self.base_url = base_url
        with self.store.transaction():
            old = self.store.setting("base_url")
            if old and old != base_url:
                self.store.run(
                    "UPDATE objects SET body = replace(body, ?, ?) "
                    "WHERE kind IN ('billing_portal.session', 'charge', 'checkout.session', "
                    "'credit_note', 'invoice', 'payment_intent', 'setup_intent')",
                    (f"{old}/c/", f"{base_url}/c/"),
                )
            self.store.remember("base_url", base_url)

    # Time

    def move_clock(self, offset: float) -> None:
        """Set the clock, and do on the way what falls due, each thing at its own moment."""
        with self._ticking:
            target = time.time() + offset
            self.clock.held = self.clock.time()
            self.clock.offset = offset
            self.store.remember("clock_offset", offset)
            try:
                while (due := self._run_next("", int(target))) is not None:
                    self.clock.held = max(self.clock.held, due)
            finally:
                self.clock.held = None
        self._forget_keys()

    def ring(self) -> None:
        """Something may be due at once."""
        self._bell.set()

    def _tick_forever(self) -> None:
        while not self._stopping.is_set():
            self._bell.wait(TICK_S)
            self._bell.clear()
            try:
                if not self._stopping.is_set():
                    self.tick()
            except Exception:
                traceback.print_exc()

    def tick(self) -> None:
        """Do what is due: sessions expire, banks answer, subscriptions renew, cards are retried."""
        with self._ticking:
            while self._run_next("", self.clock.now()) is not None:
                continue
        self._forget_keys()

    def _run_next(self, clock: str, until: int) -> int | None:
        """Do the first thing due in a clock's time; returns when it was due, None for nothing."""
        found = self.store.one(
            "SELECT account, id, what, due FROM timers WHERE clock=? AND due<=? "
            "ORDER BY due, rowid LIMIT 1",
            (clock, until),
        )
        if found is None or self._stopping.is_set():
            return None
        account, id, what, due = found
        if what == timers.ADVANCE:
            self._advance(account, id)
            return int(due)
        try:
            with self.world(account) as world:
                world.at, world.clock = due, clock
                world.drop_timer(id, what)
                if clock:
                    self._note_time(world, due)
                timers.happen(world, id, what)
        except Exception:
            # It would fail again at every tick, before everything that is due later.
            World(self, account).drop_timer(id, what)
            raise
        return int(due)

    def _note_time(self, world: World, at: int) -> None:
        row = world.find(TEST_CLOCK, world.clock)
        if row is not None and row.private.get("at") != at:
            row.private["at"] = at
            world.save(row)

    def _advance(self, account: str, id: str) -> None:
        """Move a test clock to where it was told to go, a transaction for each step."""
        row = self.store.find(account, TEST_CLOCK, id)
        advancing = row.body["status_details"].get("advancing") if row else None
        if advancing:
            while self._run_next(id, advancing["target_frozen_time"]) is not None:
                continue
        if self._stopping.is_set():
            return
        with self.world(account) as world:
            world.drop_timer(id, timers.ADVANCE)
            if advancing:
                timers.happen(world, id, timers.ARRIVE)

    def _forget_keys(self) -> None:
        # Stripe forgets an idempotency key after a day.
        self.store.run("DELETE FROM idempotency WHERE created < ?", (self.clock.now() - 86_400,))

    # Watching

    def note(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        if self.on_exchange:
            self.on_exchange(exchange)

    def wait_idle(self, timeout: float = 60.0) -> bool:
        return self.courier.wait_idle(timeout)

    def sleep(self, seconds: float) -> None:
        """Hold a request back, but not past the sandbox's own end."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._stopping.wait(0.05):
            if self.faults.released():
                return
