"""Which mails somebody wants: every yes and no is kept as proof."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped

from webapp.core.db import Base, created, identity


class MailTopic(StrEnum):
    """Mails that a person may do without. Orders, security and billing are not among them."""

    NEWSLETTER = "newsletter"
    OFFERS = "offers"
    REMINDERS = "reminders"


class MailConsent(Base):
    """Somebody said yes or no to a topic. Rows are added: the newest is in force, all are proof."""

    __tablename__ = "mail_consent"
    __table_args__ = (
        Index("ix_mail_consent_email", "email", "topic", "id"),
        CheckConstraint("email = lower(email)", name="email_folded"),
    )

    id: Mapped[int] = identity()
    email: Mapped[str]
    topic: Mapped[MailTopic]
    wanted: Mapped[bool]
    source: Mapped[str]
    at: Mapped[datetime] = created()
