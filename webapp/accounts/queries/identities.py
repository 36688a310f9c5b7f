"""Finding accounts elsewhere that open accounts here."""

import uuid

from sqlalchemy import select

from webapp.accounts.models import IdentityProvider, LinkedIdentity
from webapp.core.db import db


def find_identity(provider: IdentityProvider, subject: str) -> LinkedIdentity | None:
    """Return what ``subject`` of ``provider`` opens here."""
    return db.session.scalar(
        select(LinkedIdentity).where(
            LinkedIdentity.provider == provider, LinkedIdentity.subject == subject
        )
    )


def find_identity_of(user_id: uuid.UUID, provider: IdentityProvider) -> LinkedIdentity | None:
    """Return the one account of ``provider`` that opens this user's."""
    return db.session.scalar(
        select(LinkedIdentity).where(
            LinkedIdentity.user_id == user_id, LinkedIdentity.provider == provider
        )
    )


def list_identities(user_id: uuid.UUID) -> list[LinkedIdentity]:
    """Return all accounts elsewhere that open this user's: one of a provider at most."""
    linked = select(LinkedIdentity).where(LinkedIdentity.user_id == user_id)
    return list(db.session.scalars(linked.order_by(LinkedIdentity.id)))
