"""Webhooks on their way: queued with the event, signed, posted, retried with back-off.

Chaos on request stands in for what a network and Stripe's "at least once" do to them: duplicates,
delays, disorder, loss and corruption.
"""

import hashlib
import hmac
import http.client
import queue
import random
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import orjson

from sandbox.stripe.ids import letters
from sandbox.stripe.store import Json, Row, Store

MAX_ATTEMPTS = 16
WORKERS = 16


@dataclass(frozen=True, slots=True)
class Chaos:
    """What to do to deliveries; rates are probabilities from 0 to 1."""

    duplicate: int = 0
    delay_ms: tuple[int, int] = (0, 0)
    reorder: bool = False
    drop: float = 0.0
    corrupt: float = 0.0
    seed: int | None = None

    def changed(self, wanted: Json) -> "Chaos":
        """A copy with some settings replaced; raises ValueError for an unknown or absurd one."""
        unknown = set(wanted) - set(asdict(self))
        if unknown:
            raise ValueError(f"Unknown chaos setting: {', '.join(sorted(unknown))}.")
        changed = replace(self, **wanted)
        delay: Any = changed.delay_ms
        low, high = (delay, delay) if isinstance(delay, int) else delay
        if not (0 <= low <= high and 0 <= changed.drop <= 1 and 0 <= changed.corrupt <= 1):
            raise ValueError("Rates go from 0 to 1 and a delay from low to high.")
        return replace(changed, delay_ms=(int(low), int(high)), duplicate=int(changed.duplicate))


@dataclass(frozen=True, slots=True)
class Parcel:
    """One attempt: where to, what, and signed with which secrets."""

    id: int
    lane: str
    attempt: int
    url: str
    body: bytes
    secrets: tuple[str, ...]


def sign(body: bytes, secrets: Sequence[str], timestamp: int) -> str:
    """The `Stripe-Signature` header; two secrets while one is being rolled."""
    signed = str(timestamp).encode() + b"." + body
    digests = [hmac.new(s.encode(), signed, hashlib.sha256).hexdigest() for s in secrets]
    return f"t={timestamp}," + ",".join(f"v1={digest}" for digest in digests)


def backoff(attempts: int, base: float) -> float:
    """Seconds until the next attempt: the base doubled each time, an hour at most."""
    return float(min(base * 2 ** max(attempts - 1, 0), 3600.0))


def post(url: str, body: bytes, headers: dict[str, str], timeout: float) -> int:
    """Status of one POST; redirects are answers, not instructions. Raises OSError."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body=body, headers=headers)
        response = connection.getresponse()
        response.read()
        return response.status
    except http.client.HTTPException as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()


class Courier:
    """Sends what the table `deliveries` holds; the table outlives the process."""

    def __init__(self, store: Store, retry_base: float = 1.0, timeout: float = 10.0) -> None:
        self.store = store
        self.retry_base = retry_base
        self.timeout = timeout
        self.chaos = Chaos().changed(store.setting("chaos", {}))
        self._random = random.Random(self.chaos.seed)
        self._queue: queue.SimpleQueue[Parcel | None] = queue.SimpleQueue()
        self._wake = threading.Condition()
        self._rung = False
        self._stopping = False
        self._flying: dict[int, str] = {}
        self._threads: list[threading.Thread] = []

    # Life

    def start(self) -> None:
        targets = [self._dispatch] + [self._carry] * WORKERS
        self._threads = [threading.Thread(target=target, daemon=True) for target in targets]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        for _ in range(WORKERS):
            self._queue.put(None)
        for thread in self._threads:
            thread.join(timeout=2)

    def ring(self) -> None:
        """Something may be due."""
        with self._wake:
            self._rung = True
            self._wake.notify_all()

    # Queueing

    def set_chaos(self, wanted: Json) -> Chaos:
        chaos = self.chaos.changed(wanted)
        self.store.remember("chaos", asdict(chaos))
        self.chaos = chaos
        self._random = random.Random(chaos.seed)
        return chaos

    def queue(self, event: Row, endpoints: Sequence[Row], lane: str) -> None:
        """Queue an event for its endpoints, with the chaos of the moment."""
        for endpoint in endpoints:
            for copy in range(1 + self.chaos.duplicate):
                state = "dropped" if self._chance(self.chaos.drop) else "pending"
                own = f"{lane}/{endpoint.id}"
                if copy or self.chaos.reorder or self.chaos.delay_ms[1]:
                    own = letters(12)
                self._insert(event, endpoint.id, own, state, time.time() + self._delay())

    def again(self, event: Row, endpoints: Sequence[Row], times: int) -> list[int]:
        """Queue an event once more, all copies at once and free of chaos."""
        return [
            self._insert(event, endpoint.id, letters(12), "pending", time.time())
            for endpoint in endpoints
            for _ in range(times)
        ]

    def _insert(self, event: Row, endpoint: str, lane: str, state: str, due: float) -> int:
        found = self.store.one(
            "INSERT INTO deliveries (account, event, endpoint, lane, state, due) "
            "VALUES (?,?,?,?,?,?) RETURNING id",
            (event.account, event.id, endpoint, lane, state, due),
        )
        assert found is not None
        return int(found[0])

    def _chance(self, rate: float) -> bool:
        return rate > 0 and self._random.random() < rate

    def _delay(self) -> float:
        low, high = self.chaos.delay_ms
        if self.chaos.reorder and not high:
            high = 300
        return self._random.uniform(low, high) / 1000 if high else 0.0

    # Sending

    def _dispatch(self) -> None:
        while not self._stopping:
            pause = self._send_due()
            with self._wake:
                if not self._rung and not self._stopping:
                    self._wake.wait(pause)
                self._rung = False

    def _send_due(self) -> float:
        """Hand every due delivery with a free lane to a worker; seconds until the next is due."""
        with self.store.transaction():
            now = time.time()
            with self._wake:
                busy = set(self._flying.values())
                flying = set(self._flying)
            for id, lane in self._due(now):
                if id in flying or lane in busy:
                    continue
                parcel = self._parcel(id)
                if parcel is None:
                    continue
                busy.add(lane)
                with self._wake:
                    self._flying[id] = lane
                self._queue.put(parcel)
            following = self.store.one(
                "SELECT min(due) FROM deliveries WHERE state='pending' AND due > ?", (now,)
            )
        upcoming = following[0] if following and following[0] is not None else now + 5
        return float(min(max(upcoming - time.time(), 0.001), 5.0))

    def _due(self, now: float) -> list[tuple[Any, ...]]:
        order = "random()" if self.chaos.reorder else "id"
        return self.store.all(
            "SELECT id, lane FROM deliveries WHERE state='pending' AND due <= ? "
            f"ORDER BY {order} LIMIT 500",
            (now,),
        )

    def _parcel(self, id: int) -> Parcel | None:
        row = self.store.one(
            "SELECT account, event, endpoint, lane, attempts FROM deliveries WHERE id=?", (id,)
        )
        if row is None:
            return None
        account, event_id, endpoint_id, lane, attempts = row
        event = self.store.find(account, "event", event_id)
        endpoint = self.store.find(account, "webhook_endpoint", endpoint_id)
        if event is None or endpoint is None or endpoint.deleted:
            self.store.run("UPDATE deliveries SET state='cancelled' WHERE id=?", (id,))
            return None
        told = {**event.body, "pending_webhooks": self.pending(event_id)}
        body = orjson.dumps(told, option=orjson.OPT_INDENT_2)
        secrets = tuple(
            secret["value"]
            for secret in endpoint.private["secrets"]
            if secret["until"] is None or secret["until"] > time.time()
        )
        return Parcel(id, lane, attempts + 1, endpoint.body["url"], body, secrets)

    def pending(self, event_id: str) -> int:
        """How many endpoints have not yet taken an event."""
        found = self.store.one(
            "SELECT count(DISTINCT endpoint) FROM deliveries WHERE event=? AND state='pending'",
            (event_id,),
        )
        return int(found[0]) if found else 0

    def _carry(self) -> None:
        while (parcel := self._queue.get()) is not None:
            status, error = self._attempt(parcel)
            if self._stopping:
                return
            self._settle(parcel, status, error)

    def _attempt(self, parcel: Parcel) -> tuple[int | None, str | None]:
        timestamp = int(time.time())
        headers = {
            "Accept": "*/*; q=0.5, application/xml",
            "Cache-Control": "no-cache",
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": sign(parcel.body, parcel.secrets, timestamp),
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        body = parcel.body
        if self._chance(self.chaos.corrupt):
            # One character changes: the JSON may still parse, but the signature fails.
            spot = self._random.randrange(len(body))
            body = (
                body[:spot] + (b"x" if body[spot : spot + 1] != b"x" else b"y") + body[spot + 1 :]
            )
        try:
            return post(parcel.url, body, headers, self.timeout), None
        except (OSError, ValueError) as error:
            return None, f"{type(error).__name__}: {error}"

    def _settle(self, parcel: Parcel, status: int | None, error: str | None) -> None:
        state, due = "delivered", 0.0
        if status is None or not 200 <= status < 300:
            state = "pending" if parcel.attempt < MAX_ATTEMPTS else "failed"
            due = time.time() + backoff(parcel.attempt, self.retry_base)
        # A delivery that fails leaves its lane: one bad event holds up no other.
        lane = parcel.lane if state == "delivered" else letters(12)
        self.store.run(
            "UPDATE deliveries SET state=?, due=?, lane=?, attempts=?, last_status=?, last_error=? "
            "WHERE id=?",
            (state, due, lane, parcel.attempt, status, error, parcel.id),
        )
        with self._wake:
            self._flying.pop(parcel.id, None)
            self._rung = True
            self._wake.notify_all()

    # Looking and waiting

    def listed(self, account: str | None, limit: int = 200) -> list[Json]:
        names = ("id", "event", "type", "endpoint", "url", "state", "due", "attempts")
        rows = self.store.all(
            "SELECT d.id, d.event, json_extract(e.body,'$.type'), d.endpoint, "
            "json_extract(w.body,'$.url'), d.state, d.due, d.attempts, d.last_status, d.last_error "
            "FROM deliveries d JOIN objects e ON e.id = d.event AND e.kind='event' "
            "JOIN objects w ON w.id = d.endpoint AND w.kind='webhook_endpoint' "
            "WHERE ? IS NULL OR d.account = ? ORDER BY d.id DESC LIMIT ?",
            (account, account, limit),
        )
        return [dict(zip((*names, "last_status", "last_error"), row, strict=True)) for row in rows]

    def flush(self, timeout: float = 30.0) -> Json:
        """Attempt everything pending now, whatever its back-off, and wait for the answers."""
        with self.store.transaction():
            before = dict(
                self.store.all("SELECT id, attempts FROM deliveries WHERE state='pending'")
            )
            self.store.run("UPDATE deliveries SET due=0 WHERE state='pending'")
        self.ring()
        left = self._wait_for_attempts(before, time.monotonic() + timeout)
        states: dict[str, int] = {}
        for id in before:
            found = self.store.one("SELECT state FROM deliveries WHERE id=?", (id,))
            if found:
                states[found[0]] = states.get(found[0], 0) + 1
        return {
            "attempted": len(before) - left,
            "delivered": states.get("delivered", 0),
            "still_pending": states.get("pending", 0),
            "failed": states.get("failed", 0),
        }

    def _wait_for_attempts(self, before: dict[int, int], deadline: float) -> int:
        waiting = dict(before)
        while waiting and time.monotonic() < deadline:
            now = dict(self.store.all("SELECT id, attempts FROM deliveries WHERE state='pending'"))
            waiting = {id: n for id, n in waiting.items() if id in now and now[id] <= n}
            if waiting:
                with self._wake:
                    self._wake.wait(0.05)
        return len(waiting)

    def wait_idle(self, timeout: float = 60.0) -> bool:
        """Wait until nothing is in flight and nothing is due; later retries are not waited for."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            with self.store.transaction():
                due = self.store.one(
                    "SELECT 1 FROM deliveries WHERE state='pending' AND "
                    "(due <= ? OR attempts = 0) LIMIT 1",
                    (time.time(),),
                )
                with self._wake:
                    flying = bool(self._flying)
            if not due and not flying:
                return True
            with self._wake:
                self._wake.wait(0.05)
        return False
