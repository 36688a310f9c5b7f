"""Finding people."""

import uuid

from sqlalchemy import select

from webapp.accounts.models import Member, User
from webapp.core.db import db


def find_user(user_id: uuid.UUID) -> User | None:
    return db.session.get(User, user_id)


def find_verified_user(email: str) -> User | None:
    """Return the one whose address this is beyond doubt."""
    return db.session.scalar(
        select(User).where(User.email == email.strip().lower(), User.email_verified_at.is_not(None))
    )


def find_member(user_id: uuid.UUID) -> Member | None:
    return db.session.scalar(select(Member).where(Member.user_id == user_id))


def list_staff() -> list[User]:
    """Return everyone with a role, by address."""
    staff = select(User).where(User.role.is_not(None)).order_by(User.email)
    return list(db.session.scalars(staff))
