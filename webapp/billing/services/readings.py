"""Remembers how far Stripe's own lists were read, so that the next reading begins there."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from webapp.billing.models import ListReading, StripeList
from webapp.core.db import db


def find(which: StripeList) -> datetime | None:
    """Return up to when a list was read; None for one that never was."""
    return db.session.scalar(select(ListReading.read_until).where(ListReading.list == which))


def note(which: StripeList, until: datetime) -> None:
    """Keep that a list was read to its end up to ``until``, and never go back; flushes."""
    statement = insert(ListReading).values(list=which, read_until=until)
    latest = func.greatest(ListReading.read_until, statement.excluded.read_until)
    db.session.execute(
        statement.on_conflict_do_update(index_elements=["list"], set_={"read_until": latest})
    )
