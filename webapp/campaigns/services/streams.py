"""A Redis stream of things that wait to be rows: taken in batches, forgotten once committed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from pydantic import ValidationError

from webapp.core.redis import redis_client

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Batch(Generic[Item]):
    """The oldest entries of a stream and what they say; ``unreadable`` is poison among them."""

    entries: list[bytes]
    items: list[Item]
    unreadable: int


def take(key: str, field: bytes, read: Callable[[bytes], Item], limit: int) -> Batch[Item]:
    """Return the oldest entries. They stay in the stream until ``forget``."""
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", _xrange(key, limit))
    items, unreadable = read_all([fields.get(field, b"") for _, fields in entries], read)
    return Batch([entry for entry, _ in entries], items, unreadable)


def read_all(lines: list[bytes], read: Callable[[bytes], Item]) -> tuple[list[Item], int]:
    """Return what the lines say, and how many of them are poison."""
    items = []
    for line in lines:
        try:
            items.append(read(line))
        except ValidationError:
            continue
    return items, len(lines) - len(items)


def forget(key: str, entries: list[bytes]) -> None:
    """Take entries out of the stream: once their rows are committed, or they are hopeless."""
    redis_client().xdel(key, *entries)


def _xrange(key: str, limit: int) -> Any:
    return redis_client().xrange(key, count=limit)
