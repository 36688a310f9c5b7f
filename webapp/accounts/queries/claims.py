"""Everybody who says that an address is theirs: one has proved it, others may have typed it."""

import uuid
from datetime import datetime

from sqlalchemy import ColumnElement, or_, select

from webapp.accounts.models import EmailChange, User
from webapp.core.db import db
from webapp.core.models import AuditEntry


def find_claimant(email: str) -> User | None:
    """Return the newest active login that claims the address and has not proved it."""
    return db.session.scalar(
        select(User)
        .where(
            User.email == email,
            User.email_verified_at.is_(None),
            User.erased_at.is_(None),
            User.active,
        )
        .order_by(User.created_at.desc())
        .limit(1)
    )


def lock_claims(email: str, user_id: uuid.UUID) -> list[User]:
    """Return ``user_id`` and all who claim the address, locked until the transaction's end.

    Always in the same order, so that two who prove one address wait for each other and never
    stand in each other's way.
    """
    claims = (
        select(User)
        .where(or_(User.email == email, User.id == user_id), User.erased_at.is_(None))
        .order_by(User.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return list(db.session.scalars(claims))


def list_lapsed_claims(before: datetime, limit: int, keep: ColumnElement[bool]) -> list[uuid.UUID]:
    """Return logins made before a moment that never proved an address somebody else has proved.

    ``keep`` says of which users not; were they sorted out afterwards, they would fill the limit.
    """
    owner = select(User.email).where(User.email_verified_at.is_not(None))
    lapsed = (
        select(User.id)
        .where(
            User.email_verified_at.is_(None),
            User.erased_at.is_(None),
            User.created_at < before,
            User.email.in_(owner),
            ~keep,
        )
        .order_by(User.created_at)
        .limit(limit)
    )
    return list(db.session.scalars(lapsed))


def wanted_newsletter(user_id: uuid.UUID) -> bool:
    """Say whether the person ticked the newsletter when they registered."""
    return bool(
        db.session.scalar(
            select(AuditEntry.details["newsletter"].as_boolean()).where(
                AuditEntry.user_id == user_id, AuditEntry.action == "member.registered"
            )
        )
    )


def find_open_change(user_id: uuid.UUID) -> EmailChange | None:
    """Return the wish for another address that waits for a mailbox to say yes."""
    return db.session.scalar(
        select(EmailChange).where(
            EmailChange.user_id == user_id,
            EmailChange.done_at.is_(None),
            EmailChange.cancelled_at.is_(None),
        )
    )
