"""Mails that the calendar asks for, rather than an event of Stripe's."""

from webapp.billing.services import notices
from webapp.core.db import db


def tell_of_trials_ending() -> None:
    """Write to everybody whose trial ends within three days, in batches."""
    after: int | None = 0
    while after is not None:
        after = notices.tell_of_trials_ending(after)
        db.session.commit()
