"""Campaigns' mails that came back, or were called spam: marked at their recipients."""

from datetime import datetime

from sqlalchemy import func, select, update

from webapp.campaigns.codes import read_code
from webapp.campaigns.models import EmailRecipient
from webapp.core.db import db
from webapp.messaging.models import BounceKind
from webapp.messaging.services.addresses import folded

# What Postgres takes for a number; a code that somebody made up may hold more.
MOST = 1 << 63


def note_bounce(code_text: str, kind: BounceKind, at: datetime) -> str | None:
    """Mark the recipient whose code this is, and return the address; flushes.

    None when the code is nobody's: numbers alone don't do, its secret must be the row's. Mail
    servers may have changed its case. The first bounce and the first complaint stay.
    """
    code = read_code(code_text.lower())
    if code is None or code.recipient_id >= MOST:
        return None
    column = (
        EmailRecipient.complained_at if kind is BounceKind.COMPLAINT else EmailRecipient.bounced_at
    )
    address: str | None = db.session.scalar(
        update(EmailRecipient)
        .where(
            EmailRecipient.email_id == code.email_id,
            EmailRecipient.id == code.recipient_id,
            EmailRecipient.secret == code.secret,
        )
        .values({column: func.coalesce(column, at)})
        .returning(EmailRecipient.address)
    )
    return address


def has_written_to(email: str, since: datetime) -> bool:
    """Say whether a campaign's mail went to this address since a moment."""
    sent = EmailRecipient.address == folded(email), EmailRecipient.sent_at > since
    return db.session.scalar(select(EmailRecipient.id).where(*sent).limit(1)) is not None
