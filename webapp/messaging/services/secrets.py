"""Mails that carry a key to an account: once they are sent, nobody keeps the key here."""

from datetime import timedelta
from typing import Any

from sqlalchemy import case, update

from webapp.core import clock
from webapp.core.db import db
from webapp.messaging.models import Mail, MailState

REMOVED = "This mail held a key to an account. What it said was removed when it was sent."
# A mail that nobody got sent in this time is out of date, and so is what its key opens.
KEYS_LAST = timedelta(days=3)


def without_key() -> dict[str, Any]:
    """Return the values that take the body out of a secret mail and leave any other as it is."""
    return {
        "text": case((Mail.secret, REMOVED), else_=Mail.text),
        "html": case((Mail.secret, REMOVED), else_=Mail.html),
    }


def remove_old_keys() -> int:
    """Take the body out of secret mails whose fate nobody decided; returns how many. Flushes."""
    over = (MailState.FAILED, MailState.UNKNOWN, MailState.SUPPRESSED)
    statement = (
        update(Mail)
        .where(
            Mail.state.in_(over),
            Mail.secret,
            Mail.text != REMOVED,
            Mail.created_at < clock.now() - KEYS_LAST,
        )
        .values(text=REMOVED, html=REMOVED)
        .returning(Mail.id)
    )
    return len(db.session.scalars(statement).all())
