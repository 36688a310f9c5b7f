"""What staff write down about a person."""

from flask_login import current_user

from webapp.accounts.models import PersonNote
from webapp.core.db import db
from webapp.core.errors import DomainError

LONGEST = 4000


def keep_note(
    text: str, *, member_id: int | None = None, prospect_id: int | None = None
) -> PersonNote:
    """Keep a note by whoever is logged in; flushes. Raises DomainError without words."""
    words = text.replace("\0", "").replace("\r\n", "\n").strip()
    if not words:
        raise DomainError("Write something into the note first.")
    if len(words) > LONGEST:
        raise DomainError(f"A note has {LONGEST} characters at most.")
    note = PersonNote(
        member_id=member_id, prospect_id=prospect_id, author_id=current_user.id, text=words
    )
    db.session.add(note)
    db.session.flush()
    return note
