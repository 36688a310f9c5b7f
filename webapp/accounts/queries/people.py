"""Finding people."""

import uuid

from sqlalchemy import select

from webapp.accounts.models import User
from webapp.core.db import db


def find_user(user_id: uuid.UUID) -> User | None:
    return db.session.get(User, user_id)


def find_user_by_email(email: str) -> User | None:
    return db.session.scalar(select(User).where(User.email == email.strip().lower()))


def list_staff() -> list[User]:
    """Return everyone with a role, by address."""
    staff = select(User).where(User.role.is_not(None)).order_by(User.email)
    return list(db.session.scalars(staff))
