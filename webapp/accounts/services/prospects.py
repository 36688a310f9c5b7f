"""Prospects: people we have met by their address, until they turn out to be members."""

import uuid

from sqlalchemy import case, select, update
from sqlalchemy.dialects.postgresql import insert

from webapp.accounts.models import Member, Prospect, ProspectSource, User
from webapp.core import clock
from webapp.core.audit import SYSTEM, record
from webapp.core.db import db


def note_prospect(email: str, source: ProspectSource, name: str = "") -> Prospect:
    """Return the prospect of an address, a new one where nobody knew it; flushes.

    The first source stays, a missing name is filled in. An address that a member has verified
    makes a prospect that is converted from the start. Whoever calls has checked the address.
    """
    address = email.strip().lower()
    values = {"email": address, "name": name.strip(), "source": source}
    statement = insert(Prospect).values(values)
    # Updating what is there makes two first meetings take turns, and always gives the row back.
    prospect: Prospect = db.session.scalars(
        statement.on_conflict_do_update(
            index_elements=[Prospect.email],
            set_={
                "name": case(
                    (Prospect.name == "", statement.excluded.name),
                    else_=Prospect.name,
                )
            },
        ).returning(Prospect),
        execution_options={"populate_existing": True},
    ).one()
    if prospect.member_id is None:
        member_id = find_verified_member_id(address)
        if member_id is not None:
            _link(address, member_id)
            db.session.refresh(prospect)
    return prospect


def find_verified_member_id(email: str) -> int | None:
    """Return the member whose address this is beyond doubt."""
    return db.session.scalar(
        select(Member.id)
        .join(User, User.id == Member.user_id)
        .where(
            User.email == email.strip().lower(),
            User.email_verified_at.is_not(None),
            User.erased_at.is_(None),
        )
    )


def convert(user_id: uuid.UUID) -> int | None:
    """Tie the prospect of the user's verified address to their member, keeping its history.

    Returns the member's id if the address is verified, else None; a second time changes nothing.
    Flushes.
    """
    row = db.session.execute(
        select(Member.id, User.email)
        .join(User, User.id == Member.user_id)
        .where(User.id == user_id, User.email_verified_at.is_not(None), User.erased_at.is_(None))
    ).first()
    if row is None:
        return None
    if _link(row.email, row.id):
        record(SYSTEM, "prospect.converted", f"member:{row.id}", user_id=user_id)
        db.session.flush()
    return int(row.id)


def _link(email: str, member_id: int) -> bool:
    linked = db.session.execute(
        update(Prospect)
        .where(Prospect.email == email, Prospect.member_id.is_(None))
        .values(member_id=member_id, converted_at=clock.now())
        .returning(Prospect.id)
    ).first()
    return linked is not None
