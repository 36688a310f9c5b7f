"""Keeps caught mail in one SQLite file, parsed once on arrival."""

import json
import sqlite3
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sender TEXT NOT NULL,
    recipients TEXT NOT NULL,
    subject TEXT NOT NULL,
    headers TEXT NOT NULL,
    body_text TEXT NOT NULL,
    body_html TEXT NOT NULL,
    received_at TEXT NOT NULL,
    source BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS deliveries (
    address TEXT NOT NULL,
    message_id INTEGER NOT NULL REFERENCES messages ON DELETE CASCADE,
    PRIMARY KEY (address, message_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS envelopes (
    message_id INTEGER PRIMARY KEY REFERENCES messages ON DELETE CASCADE,
    sender TEXT NOT NULL
);
"""
COLUMNS = "id, sender, recipients, subject, headers, body_text, body_html, received_at"


@dataclass(frozen=True, slots=True)
class Message:
    """One caught mail. `to` is whom the SMTP client named, blind copies included."""

    id: int
    sender: str
    to: list[str]
    subject: str
    headers: dict[str, str]
    text: str
    html: str
    received_at: str

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "from": self.sender,
            "to": self.to,
            "subject": self.subject,
            "headers": self.headers,
            "text": self.text,
            "html": self.html,
            "received_at": self.received_at,
        }


@dataclass(frozen=True, slots=True)
class Envelope:
    """Whom the SMTP client named: bounces go back to `sender`, whatever the mail's From says."""

    sender: str
    recipients: list[str]
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Part:
    """An attachment or a picture inside a mail."""

    number: int
    name: str
    content_type: str
    content_id: str
    content: bytes


class Store:
    """Threads share one connection; a message is on disk before the SMTP client hears 250."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(folder / "mailbox.sqlite3", check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA foreign_keys = ON")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def add(self, sender: str, recipients: list[str], source: bytes) -> int:
        """Keep one mail as it came over the wire; returns its id."""
        parsed = parse(source)
        row = (
            header(parsed, "From") or sender,
            json.dumps(recipients),
            header(parsed, "Subject"),
            json.dumps(headers_of(parsed)),
            body(parsed, "plain"),
            body(parsed, "html"),
            datetime.now(UTC).isoformat(timespec="milliseconds"),
            source,
        )
        with self._lock, self._db:
            cursor = self._db.execute(
                "INSERT INTO messages (sender, recipients, subject, headers, body_text, body_html,"
                " received_at, source) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            message_id = cursor.lastrowid or 0
            self._db.executemany(
                "INSERT OR IGNORE INTO deliveries VALUES (?, ?)",
                [(address.lower(), message_id) for address in recipients],
            )
            self._db.execute("INSERT INTO envelopes VALUES (?, ?)", (message_id, sender))
        return message_id

    def list_messages(
        self, *, to: str | None = None, after: int = 0, limit: int | None = None
    ) -> list[Message]:
        """Newest last; `to` is a whole address in any case; `limit` keeps the newest."""
        where, values = "id > ?", [after]
        arguments: list[Any] = list(values)
        if to:
            where += " AND id IN (SELECT message_id FROM deliveries WHERE address = ?)"
            arguments.append(to.strip().lower())
        return self._select(where, arguments, limit)

    def search(self, words: str, limit: int) -> list[Message]:
        """Newest last; `words` anywhere in recipient, sender or subject."""
        pattern = "%" + words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        where = " OR ".join(
            rf"{column} LIKE ? ESCAPE '\'" for column in ("recipients", "sender", "subject")
        )
        return self._select(where, [pattern] * 3, limit)

    def find_message(self, message_id: int) -> Message | None:
        found = self._select("id = ?", [message_id], 1)
        return found[0] if found else None

    def find_source(self, message_id: int) -> bytes | None:
        with self._lock:
            row = self._db.execute(
                "SELECT source FROM messages WHERE id = ?", (message_id,)
            ).fetchone()
        return bytes(row[0]) if row else None

    def find_envelope(self, message_id: int) -> Envelope | None:
        """Where a mail came from and where to; None for one without a sender to tell."""
        with self._lock:
            row = self._db.execute(
                "SELECT e.sender, m.recipients, m.received_at FROM envelopes e"
                " JOIN messages m ON m.id = e.message_id WHERE m.id = ? AND e.sender <> ''",
                (message_id,),
            ).fetchone()
        if row is None:
            return None
        return Envelope(row[0], json.loads(row[1]), datetime.fromisoformat(row[2]))

    def list_parts(self, message_id: int) -> list[Part]:
        """What a mail carries besides its text and HTML."""
        source = self.find_source(message_id)
        return parts_of(parse(source)) if source is not None else []

    def count(self) -> int:
        with self._lock:
            row = self._db.execute("SELECT count(*) FROM messages").fetchone()
        return int(row[0])

    def clear(self) -> int:
        """Delete everything; returns how many there were."""
        with self._lock, self._db:
            return self._db.execute("DELETE FROM messages").rowcount

    def _select(self, where: str, arguments: list[Any], limit: int | None) -> list[Message]:
        query = f"SELECT {COLUMNS} FROM messages WHERE {where} ORDER BY id DESC LIMIT ?"
        with self._lock:
            rows = self._db.execute(query, (*arguments, -1 if limit is None else limit)).fetchall()
        return [
            Message(row[0], row[1], json.loads(row[2]), row[3], json.loads(row[4]), *row[5:])
            for row in reversed(rows)
        ]


def parse(source: bytes) -> EmailMessage:
    message = message_from_bytes(source, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def header(message: EmailMessage, name: str) -> str:
    """A header's decoded text; what can't be decoded is shown as it came."""
    try:
        return " ".join(str(message.get(name, "")).split())
    except Exception:
        raw = next((value for key, value in message.raw_items() if key.lower() == name.lower()), "")
        return str(raw)


def headers_of(message: EmailMessage) -> dict[str, str]:
    """Every header by its name as written; repeated ones on lines of their own."""
    found: dict[str, str] = {}
    names: dict[str, str] = {}
    for key, raw in message.raw_items():
        name = names.setdefault(key.lower(), key)
        if name in found:
            found[name] += "\n" + " ".join(str(raw).split())
        else:
            found[name] = header(message, key)
    return found


def body(message: EmailMessage, kind: str) -> str:
    """The decoded `plain` or `html` body, empty if there is none."""
    try:
        part = message.get_body((kind,))
        return str(part.get_content()) if part is not None else ""
    except Exception:
        # A part that lies about its charset or encoding: better shown raw than lost.
        payload = part.get_payload(decode=True) if part is not None else b""
        return payload.decode(errors="replace") if isinstance(payload, bytes) else ""


def parts_of(message: EmailMessage) -> list[Part]:
    bodies = {id(message.get_body((kind,))) for kind in ("plain", "html")}
    found: list[Part] = []
    for part in message.walk():
        if part.is_multipart() or id(part) in bodies:
            continue
        content = part.get_payload(decode=True)
        found.append(
            Part(
                number=len(found),
                name=part.get_filename() or f"part-{len(found) + 1}",
                content_type=part.get_content_type(),
                content_id=str(part.get("Content-ID", "")).strip().strip("<>"),
                content=content if isinstance(content, bytes) else b"",
            )
        )
    return found
