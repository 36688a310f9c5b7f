"""Every mail is a row before it is a message, so "was it sent?" always has an answer."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core.db import Base, created, identity


class MailState(StrEnum):
    """``unknown``: a worker died between handing the bytes over and hearing the reply.

    ``suppressed``: never handed over, as the address must not be written to. ``withdrawn``: never
    handed over either, as what it says was no longer true.
    """

    PENDING = "pending"
    CLAIMED = "claimed"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SUPPRESSED = "suppressed"
    WITHDRAWN = "withdrawn"


class Mail(Base):
    """One mail to one person. ``subject_ref`` ("order:42") names the thing it is about.

    A ``secret`` one carries a key to somebody's account: staff never see its body, and the body
    is removed once it is sent.
    """

    __tablename__ = "mail"
    __table_args__ = (
        UniqueConstraint("dedupe_key"),
        UniqueConstraint("code"),
        Index("ix_mail_subject_ref", "subject_ref", "id"),
        Index("ix_mail_recipient", "recipient", "id"),
        Index(
            "ix_mail_trouble",
            "id",
            postgresql_where=text("state IN ('failed', 'unknown')"),
        ),
        Index(
            "ix_mail_open",
            "state",
            "id",
            postgresql_where=text("state IN ('pending', 'claimed', 'sending')"),
        ),
    )

    id: Mapped[int] = identity()
    dedupe_key: Mapped[str]
    kind: Mapped[str]
    code: Mapped[str]
    recipient: Mapped[str]
    sender: Mapped[str]
    reply_to: Mapped[str | None]
    subject: Mapped[str]
    text: Mapped[str]
    html: Mapped[str]
    subject_ref: Mapped[str | None]
    secret: Mapped[bool] = mapped_column(default=False, server_default=false())
    state: Mapped[MailState] = mapped_column(default=MailState.PENDING)
    attempts: Mapped[int] = mapped_column(default=0)
    claimed_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    # No try begun later may send it; one under way may still turn out to have been sent.
    withdrawn_at: Mapped[datetime | None]
    smtp_reply: Mapped[str | None]
    created_at: Mapped[datetime] = created()
