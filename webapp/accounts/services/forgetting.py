"""Takes logins away that nobody has a claim to any more, with all that hangs on them."""

import uuid

from sqlalchemy import delete, select

from webapp.accounts.models import (
    Address,
    DataExport,
    EmailChange,
    LinkedIdentity,
    LoginSession,
    Member,
    Passkey,
    PersonNote,
    RecoveryCode,
    TermsAgreement,
    Totp,
    User,
)
from webapp.core.audit import Actor, record
from webapp.core.db import db

_BELONGINGS = (
    DataExport,
    LoginSession,
    TermsAgreement,
    EmailChange,
    Passkey,
    Totp,
    RecoveryCode,
    LinkedIdentity,
)


def remove_login(user_id: uuid.UUID, by: Actor) -> None:
    """Delete a login and everything of accounts that belongs to it; flushes.

    Raises IntegrityError while something of another capability still points at it.
    """
    members = select(Member.id).where(Member.user_id == user_id)
    db.session.execute(delete(PersonNote).where(PersonNote.member_id.in_(members)))
    db.session.execute(delete(Address).where(Address.member_id.in_(members)))
    db.session.execute(delete(Member).where(Member.user_id == user_id))
    for kind in _BELONGINGS:
        db.session.execute(delete(kind).where(kind.user_id == user_id))
    db.session.execute(delete(User).where(User.id == user_id))
    record(by, "member.removed", f"user:{user_id}", user_id=user_id)
    db.session.flush()
