"""Drafts that say what a test wants to see."""

from typing import Any

from webapp.campaigns.models import Email, EmailFormat, EmailVariant
from webapp.core.db import db


def draft(
    body: str = "Hello, this is the news of the week from all of us in the shop, with love.",
    *,
    subject: str = "News of the week",
    preheader: str = "",
    written_text: str = "",
    format: EmailFormat = EmailFormat.MARKDOWN,
    **fields: Any,
) -> Email:
    """Return a draft with one variant, flushed."""
    words = {"subject": subject, "preheader": preheader, "written_text": written_text}
    variant = EmailVariant(number=1, body=body, **words)
    values: dict[str, Any] = {"name": "News", "format": format, **fields}
    email = Email(variants=[variant], **values)
    db.session.add(email)
    db.session.flush()
    return email
