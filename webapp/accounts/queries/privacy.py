"""Whose data is whose: what a user may have a copy of, and what goes when they go."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select, tuple_
from sqlalchemy.orm import aliased

from webapp.accounts.models import (
    DataExport,
    EmailChange,
    ExportState,
    Member,
    Prospect,
    User,
)
from webapp.core.db import db
from webapp.core.privacy import Person, among


def identify(user: User) -> Person:
    """Return the person behind a login with the addresses that are theirs beyond doubt."""
    member_id = db.session.scalar(select(Member.id).where(Member.user_id == user.id))
    addresses = _addresses(user)
    theirs = or_(among(Prospect.email, addresses), Prospect.member_id == (member_id or 0))
    prospects = db.session.scalars(select(Prospect.id).where(theirs).order_by(Prospect.id))
    return Person(user.id, member_id, tuple(prospects), tuple(addresses))


def _addresses(user: User) -> list[str]:
    """Return the verified address, and former ones unless they have become somebody else's.

    A change that an unverified address began has its old side's yes from the start: such an
    address was only ever typed in.
    """
    other = aliased(User)
    taken = select(other.id).where(
        other.email == EmailChange.old_email,
        other.email_verified_at.is_not(None),
        other.id != user.id,
    )
    former = select(EmailChange.old_email).where(
        EmailChange.user_id == user.id,
        EmailChange.done_at.is_not(None),
        EmailChange.old_confirmed_at > EmailChange.created_at,
        ~taken.exists(),
    )
    current = [user.email] if user.email_verified_at is not None else []
    return sorted({*current, *db.session.scalars(former)})


def list_exports(user_id: uuid.UUID, limit: int = 5) -> list[DataExport]:
    """Return the copies a user asked for, the newest first."""
    statement = (
        select(DataExport)
        .where(DataExport.user_id == user_id)
        .order_by(DataExport.created_at.desc())
        .limit(limit)
    )
    return list(db.session.scalars(statement))


def list_asked_since(user_id: uuid.UUID, since: datetime) -> list[ExportState]:
    """Return the states of the copies a user asked for since a moment."""
    statement = select(DataExport.state).where(
        DataExport.user_id == user_id, DataExport.created_at > since
    )
    return list(db.session.scalars(statement))


@dataclass(frozen=True, slots=True)
class Due:
    """Somebody to be erased, and since when."""

    since: datetime
    user_id: uuid.UUID


def list_due_erasures(now: datetime, limit: int, after: Due | None = None) -> list[Due]:
    """Return whose grace is over, who waited longest first. Whoever works here has to stay.

    ``after`` is the last one of the page before.
    """
    waiting = tuple_(User.erase_after, User.id)
    statement = (
        select(User.erase_after, User.id)
        .where(User.erase_after <= now, User.erased_at.is_(None), User.role.is_(None))
        .order_by(waiting)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(waiting > (after.since, after.user_id))
    return [Due(since, user_id) for since, user_id in db.session.execute(statement) if since]
