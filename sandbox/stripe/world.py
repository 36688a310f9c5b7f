"""What one request may touch: the objects of its account, the time, and the events it causes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.stripe import errors, wheel
from sandbox.stripe.ids import new_id
from sandbox.stripe.store import Json, Row, Window

if TYPE_CHECKING:
    from sandbox.stripe.machine import Machine


_WITHOUT_LIVEMODE = frozenset({"balance_transaction", "discount", "refund", "subscription_item"})
_WITHOUT_CREATED = frozenset({"discount", "invoiceitem"})
#: Whoever looks at one of these lives in its customer's time from then on.
_TIMED = frozenset({"subscription", "invoice"})
TEST_CLOCK = "test_helpers.test_clock"


@dataclass(frozen=True, slots=True)
class Origin:
    """The API request that caused an event; both None for the hosted page and the ticker."""

    request_id: str | None = None
    idempotency_key: str | None = None


@dataclass(slots=True)
class World:
    """An account's view of the machine during one transaction."""

    machine: "Machine"
    account: str
    origin: Origin = field(default_factory=Origin)
    #: The moment a timer was due, or the frozen time of `clock`; None for the sandbox's own time.
    at: int | None = None
    #: The test clock in whose time this transaction happens.
    clock: str = ""
    #: One Row for each object of the transaction, so that nobody saves a stale one over another's.
    _seen: dict[tuple[str, str], Row] = field(default_factory=dict)
    _endpoints: list[Row] | None = None

    @property
    def now(self) -> int:
        return self.machine.clock.now() if self.at is None else self.at

    def live_with(self, row: Row) -> None:
        """Take the time of an object's test clock, if it has one, until the transaction ends."""
        id = row.body.get("test_clock")
        if not id or id == self.clock:
            return
        clock = self.machine.store.find(self.account, TEST_CLOCK, id)
        if clock is not None and not clock.deleted:
            self.clock = id
            self.at = clock.private.get("at") or clock.body["frozen_time"]

    @property
    def base_url(self) -> str:
        return self.machine.base_url

    def add(self, kind: str, body: Json, private: Json | None = None, id: str | None = None) -> Row:
        """Keep a new object; id, object, created and livemode are filled in."""
        id = id or new_id(kind)
        whole = {"id": id, "object": kind, **body}
        if kind not in _WITHOUT_CREATED:
            whole.setdefault("created", self.now)
        if kind not in _WITHOUT_LIVEMODE:
            whole["livemode"] = False
        row = Row(self.account, kind, id, whole, private or {})
        self.machine.store.insert(row)
        self._seen[kind, id] = row
        return row

    def find(self, kind: str, id: str | None) -> Row | None:
        if not id:
            return None
        row = self._seen.get((kind, id)) or self.machine.store.find(self.account, kind, id)
        if row is None:
            return None
        self._seen[kind, id] = row
        if kind in _TIMED:
            self.live_with(row)
        return row

    def get(self, kind: str, id: str, param: str = "id", status: int = 404) -> Row:
        """The object, or Stripe's `No such ...`."""
        row = self.find(kind, id)
        if row is None or row.deleted:
            raise errors.missing(kind, id, param, status)
        return row

    def named(self, kind: str, id: str, param: str) -> Row:
        """An object that a parameter names: its absence is the caller's mistake, a 400."""
        return self.get(kind, id, param, status=400)

    def save(self, row: Row) -> None:
        self.machine.store.update(row)

    def change(self, row: Row, changes: Json) -> Json:
        """Set attributes, save, and return the previous values of those that differ."""
        previous = {
            key: row.body.get(key) for key, new in changes.items() if row.body.get(key) != new
        }
        row.body.update(changes)
        self.save(row)
        return previous

    def delete(self, row: Row) -> Json:
        """Mark deleted and leave the stub Stripe answers with."""
        row.body = {"id": row.id, "object": row.kind, "deleted": True}
        row.deleted = True
        self.save(row)
        return row.body

    def rows(
        self, kind: str, where: Sequence[str] = (), values: Sequence[object] = ()
    ) -> list[Row]:
        """All objects of a kind, newest first."""
        found = self.machine.store.page(self.account, kind, Window(1_000_000), where, values)[0]
        return [self._seen.setdefault((kind, row.id), row) for row in found]

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """What is done inside never happened: for previews. Find inside what is changed inside."""
        seen, at, clock = self._seen, self.at, self.clock
        self._seen = {}
        try:
            with self.machine.store.rehearsal():
                yield
        finally:
            self._seen, self.at, self.clock = seen, at, clock

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """What is done inside happened or, if it raises, did not: find again what was changed."""
        try:
            with self.machine.store.attempt():
                yield
        except BaseException:
            self._seen = {}
            raise

    def emit(self, type: str, row: Row, previous: Json | None = None) -> Row:
        """Record an event and queue it for the endpoints that asked for its type."""
        data: Json = {"object": row.body}
        if previous is not None:
            data["previous_attributes"] = previous
        endpoints = list(self._listening(type))
        event = self.add(
            "event",
            {
                "api_version": wheel.api_version(),
                "data": data,
                "pending_webhooks": len(endpoints),
                "request": {
                    "id": self.origin.request_id,
                    "idempotency_key": self.origin.idempotency_key,
                },
                "type": type,
            },
        )
        lane = row.private.get("lane") or row.body.get("payment_intent") or row.id
        self.machine.courier.queue(event, endpoints, str(lane))
        return event

    def _listening(self, type: str) -> Iterator[Row]:
        if self._endpoints is None:
            self._endpoints = self.rows("webhook_endpoint")
        for endpoint in self._endpoints:
            wanted = endpoint.body["enabled_events"]
            if endpoint.body["status"] == "enabled" and ("*" in wanted or type in wanted):
                yield endpoint

    def set_timer(self, id: str, what: str, due: int) -> None:
        self.machine.store.run(
            "INSERT OR REPLACE INTO timers (account, id, what, due, clock) VALUES (?,?,?,?,?)",
            (self.account, id, what, due, self.clock),
        )

    def drop_timer(self, id: str, what: str) -> None:
        self.machine.store.run(
            "DELETE FROM timers WHERE account=? AND id=? AND what=?", (self.account, id, what)
        )

    def drop_timers(self, id: str) -> None:
        self.machine.store.run("DELETE FROM timers WHERE account=? AND id=?", (self.account, id))


def merged_metadata(current: Json | None, sent: Any) -> Json:
    """Metadata after an update: None clears it, an empty string removes its key."""
    if sent is None:
        return {}
    check_metadata(sent)
    merged = {**(current or {}), **sent}
    return {key: value for key, value in merged.items() if value != ""}


def check_metadata(sent: Json, path: str = "metadata") -> None:
    """Stripe's limits: 50 keys of 40 characters with values of 500."""
    if len(sent) > 50:
        raise errors.invalid("You can have a maximum of 50 metadata keys.", path)
    for key, value in sent.items():
        if len(key) > 40:
            raise errors.invalid(
                "Metadata keys can have up to 40 characters, but you passed in a key that is "
                f"{len(key)} characters. Invalid key: {key}",
                path,
            )
        if len(value) > 500:
            raise errors.invalid(
                "Metadata values can have up to 500 characters, but you passed in a value that is "
                f"{len(value)} characters. Invalid value: {value}",
                f"{path}[{key}]",
            )
