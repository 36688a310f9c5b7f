"""How Postgres goes about a statement, as it is at the moment it does."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event


@contextmanager
def explained(connection: Connection, *about: str) -> Iterator[list[str]]:
    """Gather the plan of every statement that holds one of these words, right before it runs."""
    plans: list[str] = []

    def note(on: Connection, _: Any, words: str, values: Any, __: Any, ___: Any) -> None:
        if any(each in words for each in about) and not words.startswith("EXPLAIN"):
            plans.append("\n".join(on.exec_driver_sql(f"EXPLAIN {words}", values).scalars()))

    event.listen(connection, "before_cursor_execute", note)
    try:
        yield plans
    finally:
        event.remove(connection, "before_cursor_execute", note)
