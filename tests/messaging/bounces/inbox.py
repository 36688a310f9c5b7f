"""What became of reports: what is kept of them, and who gets less mail since."""

from sqlalchemy import select

from webapp.core.db import db
from webapp.messaging.models import MailReport, MailSuppression, SuppressionScope

SES, SENDGRID = "/webhooks/mail/ses", "/webhooks/mail/sendgrid"
BOB = "bob@example.com"


def reports() -> list[MailReport]:
    return list(db.session.scalars(select(MailReport)))


def suppressed() -> list[tuple[str, SuppressionScope]]:
    rows = db.session.execute(select(MailSuppression.email, MailSuppression.scope))
    return [(email, scope) for email, scope in rows]
