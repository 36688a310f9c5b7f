"""What one request may touch: the objects of its account, the time, and the events it causes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.stripe import errors, wheel
from sandbox.stripe.ids import new_id
from sandbox.stripe.store import Json, Row, Window

if TYPE_CHECKING:
    from sandbox.stripe.machine import Machine


_WITHOUT_LIVEMODE = frozenset({"balance_transaction", "refund"})


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

    @property
    def now(self) -> int:
        return self.machine.clock.now()

    @property
    def base_url(self) -> str:
        return self.machine.base_url

    def add(self, kind: str, body: Json, private: Json | None = None, id: str | None = None) -> Row:
        """Keep a new object; id, object, created and livemode are filled in."""
        id = id or new_id(kind)
        whole = {"id": id, "object": kind, "created": self.now, **body}
        if kind not in _WITHOUT_LIVEMODE:
            whole["livemode"] = False
        row = Row(self.account, kind, id, whole, private or {})
        self.machine.store.insert(row)
        return row

    def find(self, kind: str, id: str | None) -> Row | None:
        return self.machine.store.find(self.account, kind, id) if id else None

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
        return self.machine.store.page(self.account, kind, Window(1_000_000), where, values)[0]

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
        lane = row.body.get("payment_intent") or row.id
        self.machine.courier.queue(event, endpoints, str(lane))
        return event

    def _listening(self, type: str) -> Iterator[Row]:
        for endpoint in self.rows("webhook_endpoint"):
            wanted = endpoint.body["enabled_events"]
            if endpoint.body["status"] == "enabled" and ("*" in wanted or type in wanted):
                yield endpoint

    def set_timer(self, id: str, what: str, due: int) -> None:
        self.machine.store.run(
            "INSERT OR REPLACE INTO timers VALUES (?,?,?,?)", (self.account, id, what, due)
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
