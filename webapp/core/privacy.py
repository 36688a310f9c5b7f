"""What every capability needs to hand over, or to erase, what it knows about one person."""

import html
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import ARRAY, ColumnElement, CursorResult, Text, any_, func, literal, select
from sqlalchemy.orm import InstrumentedAttribute

from webapp.core.db import Base, db

ERASED = "[erased]"
BATCH = 500

Column = InstrumentedAttribute[Any] | ColumnElement[Any]


@dataclass(frozen=True, slots=True)
class Person:
    """One user, and what is theirs beyond doubt.

    ``addresses`` are mail addresses they have shown to be theirs. One that was only typed in is
    not among them: it may be somebody else's, whose data this person must neither get nor erase.
    """

    user_id: uuid.UUID
    member_id: int | None
    prospects: tuple[int, ...]
    addresses: tuple[str, ...]

    @property
    def subject(self) -> str:
        return f"user:{self.user_id}"


@dataclass(frozen=True, slots=True)
class Chapter:
    """One file of a person's copy: a single object, or rows that are read while it is written."""

    name: str
    about: str
    content: dict[str, Any] | Iterator[dict[str, Any]]


@dataclass(slots=True)
class Tally:
    """The report of an erasure: how many rows of each table went, changed or stay, and why."""

    tables: dict[str, dict[str, Any]] = field(default_factory=dict)

    def erased(self, table: str, rows: int) -> None:
        self._add(table, "erased", rows)

    def anonymised(self, table: str, rows: int, kept: str) -> None:
        """``kept`` says what of the rows stays, and why."""
        self._add(table, "anonymised", rows, kept)

    def kept(self, table: str, rows: int, why: str) -> None:
        self._add(table, "kept", rows, why)

    def _add(self, table: str, what: str, rows: int, why: str = "") -> None:
        if not rows:
            return
        line = self.tables.setdefault(table, {})
        line[what] = line.get(what, 0) + rows
        if why:
            line["why"] = why


def among(column: Column, values: Sequence[Any]) -> ColumnElement[bool]:
    """Say that ``column`` is one of ``values``; however many there are, they are one parameter."""
    return column == any_(literal(list(values), ARRAY(column.type)))


def lowered(column: Column) -> ColumnElement[str]:
    return func.lower(column, type_=Text())


def rows_of(
    model: type[Base], *where: ColumnElement[bool], leave_out: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """Yield rows as dicts, read in batches by primary key, so that memory stays flat."""
    table = cast(sa.Table, model.__table__)
    key = next(iter(table.primary_key.columns))
    columns = [column for column in table.columns if column.name not in leave_out]
    last: Any = None
    while True:
        after = [] if last is None else [key > last]
        statement = select(*columns, key.label("_last")).where(*where, *after)
        batch = db.session.execute(statement.order_by(key).limit(BATCH)).mappings().all()
        for row in batch:
            yield {name: value for name, value in row.items() if name != "_last"}
        if len(batch) < BATCH:
            return
        last = batch[-1]["_last"]


def spellings(words: Sequence[str]) -> list[str]:
    """Return the words, also as they look within a web address or a page."""
    found: dict[str, None] = {}
    for word in words:
        for spelled in (word, quote(word, safe=""), html.escape(word)):
            found[spelled] = None
    return list(found)


def mentions(column: Column, words: Sequence[str]) -> ColumnElement[bool]:
    """Say that the text (or JSON) of ``column`` contains one of the words, in any case."""
    patterns = ["%" + re.sub(r"([\\%_])", r"\\\1", word) + "%" for word in spellings(words)]
    return sa.cast(column, Text).ilike(any_(literal(patterns, ARRAY(Text))))


def blot_out(model: type[Base], column: InstrumentedAttribute[Any], words: Sequence[str]) -> int:
    """Replace the words wherever a text says them; returns in how many rows."""
    if not words:
        return 0
    pattern = "|".join(re.sub(r"(\W)", r"\\\1", word) for word in spellings(words))
    said = func.regexp_replace(sa.cast(column, Text), pattern, ERASED, "gi")
    changed = sa.update(model).where(mentions(column, words))
    return run(changed.values({column.key: sa.cast(said, column.type)}))


def run(statement: sa.Update | sa.Delete) -> int:
    """Execute an UPDATE or DELETE and return how many rows it met.

    It goes past the objects in the session: callers read again what they still need.
    """
    quiet = statement.execution_options(synchronize_session=False)
    return cast("CursorResult[Any]", db.session.execute(quiet)).rowcount
