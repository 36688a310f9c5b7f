"""A member's own name and number, and the member row itself where a login has none yet."""

import uuid

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from webapp.accounts.models import Member
from webapp.accounts.queries import find_member
from webapp.core.audit import Actor, record
from webapp.core.db import db


def make_member(user_id: uuid.UUID) -> Member:
    """Return the member behind a login; staff who begin to shop get theirs now. Flushes."""
    member = find_member(user_id)
    if member is None:
        # Two tabs may get here at once; the second finds the first's row.
        statement = insert(Member).values(user_id=user_id).on_conflict_do_nothing()
        db.session.execute(statement)
        member = db.session.scalars(select(Member).where(Member.user_id == user_id)).one()
    return member


def change_profile(user_id: uuid.UUID, name: str, phone: str, by: Actor) -> None:
    """Set name and phone; only which of them changed is noted. Flushes."""
    member = make_member(user_id)
    wanted = {"name": name.strip(), "phone": phone.strip()}
    changed = [field for field, value in wanted.items() if getattr(member, field) != value]
    if not changed:
        return
    member.name, member.phone = wanted["name"], wanted["phone"]
    record(by, "profile.changed", f"member:{member.id}", user_id=user_id, fields=changed)
    db.session.flush()
