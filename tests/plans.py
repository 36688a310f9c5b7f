"""How Postgres goes about a statement, as it is at the moment it does."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event, text
from sqlalchemy.orm import Session

from webapp.core.db import db


def measure(session: Session) -> None:
    """Tell Postgres what its tables hold now, and keep that until the test rolls back.

    It may believe any of them to be empty: autovacuum sees nothing of what a test has written, and
    may look at any time. While this lock is held it doesn't.
    """
    quote = session.get_bind().dialect.identifier_preparer.quote
    session.execute(text(f"ANALYZE {', '.join(quote(name) for name in db.metadata.tables)}"))


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
