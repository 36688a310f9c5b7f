"""Who is behind an id: for lists that keep ids alone, like the audit."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select

from webapp.accounts.models import Member, Prospect, Role, User
from webapp.core.db import db


@dataclass(frozen=True, slots=True)
class Person:
    """A login by the address it has now; ``member_id`` is None for staff who never shopped."""

    user_id: uuid.UUID
    email: str
    role: Role | None
    member_id: int | None


def name_people(ids: Iterable[uuid.UUID | None]) -> dict[uuid.UUID, Person]:
    """Return the people behind the ids, in one statement; removed ones are left out."""
    wanted = {each for each in ids if each is not None}
    if not wanted:
        return {}
    rows = db.session.execute(
        select(User.id, User.email, User.role, Member.id)
        .outerjoin(Member, Member.user_id == User.id)
        .where(User.id.in_(wanted))
    )
    return {row[0]: Person(*row) for row in rows}


def find_ids_by_email(email: str) -> list[uuid.UUID]:
    """Return all logins with the address: one that verified it, and any that claim it."""
    return list(db.session.scalars(select(User.id).where(User.email == email.strip().lower())))


def find_prospect_id(email: str) -> int | None:
    return db.session.scalar(select(Prospect.id).where(Prospect.email == email.strip().lower()))
