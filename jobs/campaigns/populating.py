"""Gathers the recipients of a mail, which takes too long for a request when they are many."""

from webapp.campaigns.errors import NoSuchEmail, WrongEmailState
from webapp.campaigns.services import populating
from webapp.core.db import db


def populate(email_id: int) -> None:
    """Add a row for everybody who is to get the mail and has none. Repeating it is safe."""
    try:
        populating.populate(email_id)
    except (NoSuchEmail, WrongEmailState):
        # Deleted or taken back to draft before its turn: whoever readies it again asks again.
        db.session.rollback()
        return
    db.session.commit()
