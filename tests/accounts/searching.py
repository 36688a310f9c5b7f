"""Searches everything that keeps something for the marks of a person."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from webapp.core.redis import redis_client

KEEPS_TEXT = """
SELECT c.table_name, c.column_name, c.data_type FROM information_schema.columns c
JOIN information_schema.tables t USING (table_schema, table_name)
WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE'
  AND (c.data_type IN ('text', 'character varying', 'character', 'json', 'jsonb', 'bytea',
                       'ARRAY', 'xml', 'USER-DEFINED', 'inet', 'cidr', 'tsvector', 'name'))
ORDER BY 1, 2
"""


def columns_that_keep_text(connection: Connection) -> list[tuple[str, str, str]]:
    return [(row[0], row[1], row[2]) for row in connection.execute(text(KEEPS_TEXT))]


def find_in_database(connection: Connection, marks: list[str]) -> set[tuple[str, str, str]]:
    """Return ``(table, column, mark)`` wherever a row says a mark, in any case."""
    found = set()
    for table, column, kind in columns_that_keep_text(connection):
        said = f'"{column}"::text' if kind != "bytea" else f"encode(\"{column}\", 'escape')"
        rows = connection.execute(
            text(f'SELECT {said} FROM "{table}" WHERE {said} ~* :any'),
            {"any": "|".join(re.escape(mark) for mark in marks)},
        )
        for (value,) in rows:
            found |= {(table, column, mark) for mark in marks if mark.lower() in value.lower()}
    return found


def rows_with(connection: Connection, marks: list[str]) -> dict[str, list[str]]:
    """Return every row that says a mark, whole, by table."""
    found: dict[str, list[str]] = {}
    tables = sorted({table for table, _, _ in columns_that_keep_text(connection)})
    for table in tables:
        rows = connection.execute(
            text(f'SELECT t::text FROM "{table}" t WHERE t::text ~* :any ORDER BY 1'),
            {"any": "|".join(re.escape(mark) for mark in marks)},
        )
        found[table] = list(rows.scalars())
    return found


def whole_database(connection: Connection) -> dict[str, list[str]]:
    """Return every row of every table, as text."""
    names = connection.execute(
        text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    )
    return {
        name: list(connection.execute(text(f'SELECT t::text FROM "{name}" t ORDER BY 1')).scalars())
        for name in names.scalars().all()
    }


def find_in_redis(marks: list[str]) -> set[tuple[str, str]]:
    """Return ``(key, mark)`` for keys and values of every kind."""
    found = set()
    for key in redis_client().scan_iter():
        said = " ".join([_plain(key), *map(_plain, _values(key))]).lower()
        found |= {(_plain(key), mark) for mark in marks if mark.lower() in said}
    return found


def _values(key: bytes) -> Iterator[object]:
    redis: Any = redis_client()
    match redis.type(key):
        case b"string":
            yield redis.get(key)
        case b"list":
            yield from redis.lrange(key, 0, -1)
        case b"set":
            yield from redis.smembers(key)
        case b"zset":
            yield from redis.zrange(key, 0, -1)
        case b"hash":
            yield from (part for pair in redis.hgetall(key).items() for part in pair)
        case b"stream":
            for _, fields in redis.xrange(key):
                yield from (part for pair in fields.items() for part in pair)
        case other:
            raise AssertionError(f"a kind of key nobody searches: {other!r}")


def _plain(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def find_in_files(folder: Path, marks: list[str]) -> set[tuple[str, str]]:
    """Return ``(file, mark)`` for names and contents; ZIPs are looked into."""
    import zipfile

    found = set()
    for path in folder.rglob("*"):
        said = path.name
        if path.is_file():
            said += path.read_bytes().decode("utf-8", "replace")
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                said += "".join(archive.read(name).decode() for name in archive.namelist())
        found |= {(path.name, mark) for mark in marks if mark.lower() in said.lower()}
    return found
