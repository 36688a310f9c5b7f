"""Takes mails back that are not on their way yet, because what they say is no longer true."""

from sqlalchemy import ColumnElement, case, literal, update

from webapp.core import clock
from webapp.core.db import db
from webapp.messaging.models import Mail, MailState

WITHDRAWN = "Withdrawn before it was sent: what it says is no longer true."
_UNSENT = (MailState.PENDING, MailState.CLAIMED)


def withdraw(subject_ref: str, dedupe_prefix: str = "") -> list[str]:
    """Withdraw the unsent mails about a thing ("case:42"); flushes.

    Returns the dedupe keys of those that surely never went. A worker that had claimed one of them
    finds its claim gone at the message's end (``delivery.begin``) and sends nothing. One whose end
    is being sent this moment may still arrive; if the server puts it off, it isn't tried again.
    """
    about = Mail.subject_ref == subject_ref
    kind = Mail.dedupe_key.startswith(dedupe_prefix, autoescape=True)
    return _take_back(about, kind)


def _take_back(*which: ColumnElement[bool]) -> list[str]:
    unsent = Mail.state.in_(_UNSENT)
    rows = db.session.execute(
        update(Mail)
        .where(*which, Mail.state.in_((*_UNSENT, MailState.SENDING)))
        .values(
            state=case((unsent, literal(MailState.WITHDRAWN, Mail.state.type)), else_=Mail.state),
            smtp_reply=case((unsent, WITHDRAWN), else_=Mail.smtp_reply),
            withdrawn_at=clock.now(),
        )
        .returning(Mail.dedupe_key, Mail.state)
    ).all()
    return [row.dedupe_key for row in rows if row.state is MailState.WITHDRAWN]
