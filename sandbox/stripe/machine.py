"""One sandbox put together: memory, clock, courier and faults, and what time brings about."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sandbox.stripe.checkout import expiry, pay
from sandbox.stripe.clock import Clock
from sandbox.stripe.deliveries import Courier
from sandbox.stripe.faults import Faults
from sandbox.stripe.ids import new_id
from sandbox.stripe.resources import refunds, webhook_endpoints
from sandbox.stripe.store import Json, Row, Store
from sandbox.stripe.world import Origin, World

TICK_S = 0.25


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
        self._ticker = threading.Thread(target=self._tick_forever, daemon=True)

    def start(self) -> None:
        self.courier.start()
        self._ticker.start()

    def stop(self) -> None:
        self._stopping.set()
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
                    "WHERE kind IN ('checkout.session', 'payment_intent', 'charge')",
                    (f"{old}/c/", f"{base_url}/c/"),
                )
            self.store.remember("base_url", base_url)

    # Time

    def move_clock(self, offset: float) -> None:
        self.clock.offset = offset
        self.store.remember("clock_offset", offset)
        self.tick()

    def _tick_forever(self) -> None:
        while not self._stopping.wait(TICK_S):
            self.tick()

    def tick(self) -> None:
        """Do what is due: sessions expire, banks answer, refunds arrive or come back."""
        due = self.store.all(
            "SELECT account, id, what FROM timers WHERE due <= ? ORDER BY due LIMIT 1000",
            (self.clock.now(),),
        )
        for account, id, what in due:
            with self.world(account) as world:
                self.store.run(
                    "DELETE FROM timers WHERE account=? AND id=? AND what=?", (account, id, what)
                )
                _happen(world, id, what)
        self._forget_keys()

    def _forget_keys(self) -> None:
        # Stripe forgets an idempotency key after a day.
        self.store.run("DELETE FROM idempotency WHERE created < ?", (self.clock.now() - 86_400,))

    # Watching

    def note(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        if self.on_exchange:
            self.on_exchange(exchange)

    def wait_idle(self, timeout: float = 10.0) -> bool:
        return self.courier.wait_idle(timeout)

    def sleep(self, seconds: float) -> None:
        """Hold a request back, but not past the sandbox's own end."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._stopping.wait(0.05):
            if self.faults.released():
                return


def _happen(world: World, id: str, what: str) -> None:
    if what in ("refund_succeeded", "refund_failed"):
        refund = world.find("refund", id)
        if refund and refund.body["status"] in ("pending", "succeeded"):
            refunds.finish(world, refund, what == "refund_succeeded")
        return
    session = world.find("checkout.session", id)
    if session is None:
        return
    if what == "expire":
        expiry.expire_if_due(world, session)
    else:
        pay.settle(world, session, what == "async_succeeded")
