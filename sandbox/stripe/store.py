"""The sandbox's memory: one SQLite file that survives a restart and a `kill -9`."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

Json = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, account TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, kind TEXT NOT NULL,
    id TEXT NOT NULL, created INTEGER NOT NULL, deleted INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL, private TEXT NOT NULL, UNIQUE (account, kind, id));
CREATE INDEX IF NOT EXISTS objects_by_kind ON objects (account, kind, seq);
CREATE INDEX IF NOT EXISTS objects_by_id ON objects (id);
CREATE INDEX IF NOT EXISTS objects_by_intent
    ON objects (account, kind, json_extract(body, '$.payment_intent'));
CREATE TABLE IF NOT EXISTS idempotency (
    account TEXT NOT NULL, key TEXT NOT NULL, route TEXT NOT NULL, params TEXT NOT NULL,
    request TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL, created INTEGER NOT NULL,
    PRIMARY KEY (account, key));
CREATE INDEX IF NOT EXISTS objects_by_time ON objects (account, kind, created);
CREATE INDEX IF NOT EXISTS objects_by_customer
    ON objects (account, kind, json_extract(body, '$.customer'));
CREATE INDEX IF NOT EXISTS objects_by_subscription
    ON objects (account, kind, json_extract(body, '$.parent.subscription_details.subscription'));
CREATE TABLE IF NOT EXISTS timers (
    account TEXT NOT NULL, id TEXT NOT NULL, what TEXT NOT NULL, due INTEGER NOT NULL,
    clock TEXT NOT NULL DEFAULT '', PRIMARY KEY (account, id, what));
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, event TEXT NOT NULL,
    endpoint TEXT NOT NULL, lane TEXT NOT NULL, state TEXT NOT NULL, due REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, last_status INTEGER, last_error TEXT);
CREATE INDEX IF NOT EXISTS deliveries_pending ON deliveries (due) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS deliveries_by_event ON deliveries (event);
"""


class StateInUse(RuntimeError):
    """Another process has this state folder open."""


@dataclass(slots=True)
class Row:
    """An object as the API shows it (`body`) and what only the sandbox knows of it (`private`)."""

    account: str
    kind: str
    id: str
    body: Json
    private: Json
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """A page of a list: newest first, between two cursors."""

    limit: int
    after: str | None = None
    before: str | None = None


def dumps(value: Any) -> str:
    return orjson.dumps(value).decode()


class Store:
    """Everything under one lock: a request sees and leaves a consistent state."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.lock = threading.RLock()
        self._depth = 0
        self._db = sqlite3.connect(
            folder / "stripe.sqlite3", check_same_thread=False, isolation_level=None, timeout=0.5
        )
        try:
            # Exclusive: two sandboxes on one folder would each deliver every webhook.
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
            self._add_clocks()
        except sqlite3.OperationalError as error:
            raise StateInUse(f"The state folder {folder} is in use: {error}.") from error

    def _add_clocks(self) -> None:
        """Folders of an older sandbox have timers that know no test clock."""
        columns = {name for _, name, *_ in self._db.execute("PRAGMA table_info(timers)")}
        if "clock" not in columns:
            self._db.execute("ALTER TABLE timers ADD COLUMN clock TEXT NOT NULL DEFAULT ''")
        self._db.execute("CREATE INDEX IF NOT EXISTS timers_by_clock ON timers (clock, due)")

    def close(self) -> None:
        with self.lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; a transaction inside another joins it."""
        with self.lock:
            if self._depth:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException as error:
                # A declined charge answers with an error and yet leaves its traces.
                self._db.execute("COMMIT" if getattr(error, "keep", False) else "ROLLBACK")
                raise
            else:
                self._db.execute("COMMIT")
            finally:
                self._depth -= 1

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """A transaction's part that is taken back at its end, whatever was written in it."""
        with self.transaction():
            self._db.execute("SAVEPOINT rehearsal")
            try:
                yield
            finally:
                self._db.execute("ROLLBACK TO rehearsal")
                self._db.execute("RELEASE rehearsal")

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """A transaction's part that is taken back if it fails; the error goes on."""
        with self.transaction():
            self._db.execute("SAVEPOINT attempt")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK TO attempt")
                raise
            finally:
                self._db.execute("RELEASE attempt")

    def all(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self.lock:
            return self._db.execute(sql, values).fetchall()

    def one(self, sql: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        with self.lock:
            row: tuple[Any, ...] | None = self._db.execute(sql, values).fetchone()
            return row

    def run(self, sql: str, values: Sequence[object] = ()) -> int:
        with self.lock:
            return self._db.execute(sql, values).rowcount

    # Objects

    def insert(self, row: Row) -> None:
        self.run(
            "INSERT INTO objects (account, kind, id, created, body, private) VALUES (?,?,?,?,?,?)",
            (
                row.account,
                row.kind,
                row.id,
                row.body.get("created") or row.body.get("date", 0),
                dumps(row.body),
                dumps(row.private),
            ),
        )

    def update(self, row: Row) -> None:
        self.run(
            "UPDATE objects SET body=?, private=?, deleted=? WHERE account=? AND kind=? AND id=?",
            (dumps(row.body), dumps(row.private), row.deleted, row.account, row.kind, row.id),
        )

    def find(self, account: str, kind: str, id: str) -> Row | None:
        found = self.one(
            "SELECT body, private, deleted FROM objects WHERE account=? AND kind=? AND id=?",
            (account, kind, id),
        )
        if found is None:
            return None
        body, private, deleted = orjson.loads(found[0]), orjson.loads(found[1]), bool(found[2])
        return Row(account, kind, id, body, private, deleted)

    def owner(self, kind: str, id: str) -> str | None:
        """The account of an object named in a public address such as a hosted page's."""
        found = self.one("SELECT account FROM objects WHERE id=? AND kind=?", (id, kind))
        return found[0] if found else None

    def page(
        self,
        account: str,
        kind: str,
        window: Window,
        where: Sequence[str] = (),
        values: Sequence[object] = (),
    ) -> tuple[list[Row], bool]:
        """Rows of a page and whether more follow in the direction of travel."""
        clauses = ["account=?", "kind=?", "deleted=0", *where]
        arguments: list[object] = [account, kind, *values]
        order = "DESC"
        if window.after:
            clauses.append("seq < ?")
            arguments.append(self._seq(account, kind, window.after))
        if window.before:
            clauses.append("seq > ?")
            arguments.append(self._seq(account, kind, window.before))
            order = "ASC"
        rows = self.all(
            f"SELECT id, body, private FROM objects WHERE {' AND '.join(clauses)} "
            f"ORDER BY seq {order} LIMIT ?",
            [*arguments, window.limit + 1],
        )
        more = len(rows) > window.limit
        rows = rows[: window.limit]
        if order == "ASC":
            rows.reverse()
        read = orjson.loads
        return [Row(account, kind, r[0], read(r[1]), read(r[2])) for r in rows], more

    def _seq(self, account: str, kind: str, id: str) -> int:
        found = self.one(
            "SELECT seq FROM objects WHERE account=? AND kind=? AND id=?", (account, kind, id)
        )
        if found is None:
            raise LookupError(id)
        return int(found[0])

    # Settings

    def setting(self, key: str, default: Any = None) -> Any:
        found = self.one("SELECT value FROM meta WHERE key=?", (key,))
        return orjson.loads(found[0]) if found else default

    def remember(self, key: str, value: Any) -> None:
        self.run("INSERT OR REPLACE INTO meta VALUES (?,?)", (key, dumps(value)))

    def account_of(self, key: str) -> str | None:
        found = self.one("SELECT account FROM keys WHERE key=?", (key,))
        return found[0] if found else None
