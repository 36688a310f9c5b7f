"""Reading the audit: what was done to a thing or a person, and which deeds there are at all."""

import uuid

from sqlalchemy import ColumnElement, func, select

from webapp.core.db import db
from webapp.core.models import AuditEntry

MOST = 200


def list_about(subject: str, limit: int = MOST) -> list[AuditEntry]:
    """Return the newest entries about a thing ("order:42"), the newest first."""
    return _newest(AuditEntry.subject == subject, limit)


def list_done_to(user_id: uuid.UUID, limit: int = MOST) -> list[AuditEntry]:
    """Return what was done to a person or by themselves to their account, the newest first."""
    return _newest(AuditEntry.user_id == user_id, limit)


def list_actions() -> list[str]:
    """Return every action that was ever recorded, by name.

    Each step jumps to the next name in the index over actions: as many look-ups as there are
    names, however many entries there are.
    """
    first = select(func.min(AuditEntry.action).label("action")).cte("names", recursive=True)
    following = (
        select(func.min(AuditEntry.action))
        .where(AuditEntry.action > first.c.action)
        .correlate(first)
        .scalar_subquery()
    )
    names = first.union_all(select(following).where(first.c.action.is_not(None)))
    found = db.session.scalars(select(names.c.action).where(names.c.action.is_not(None)))
    return list(found)


def words(action: str) -> str:
    """Return an action as a person says it: ``Discount code switched off``."""
    return action.replace(".", " ").replace("_", " ").capitalize()


def _newest(condition: ColumnElement[bool], limit: int) -> list[AuditEntry]:
    statement = select(AuditEntry).where(condition)
    return list(db.session.scalars(statement.order_by(AuditEntry.id.desc()).limit(limit)))
