"""Writes batches of what visitors and readers did: what Postgres refuses holds up nobody else."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy.exc import DataError, IntegrityError

from webapp.core.db import db

Item = TypeVar("Item")


def write_batch(write: Callable[[Sequence[Item]], object], items: Sequence[Item]) -> int:
    """Write and commit a batch; returns how many of it Postgres will never take."""
    if _written(write, items):
        return 0
    return sum(not _written(write, [item]) for item in items)


def _written(write: Callable[[Sequence[Item]], object], items: Sequence[Item]) -> bool:
    try:
        write(items)
        db.session.commit()
    except (DataError, IntegrityError):
        db.session.rollback()
        return False
    return True
