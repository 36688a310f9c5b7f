"""Addresses that must not be written to, and the reports that made them so."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core.db import Base, created, identity


class SuppressionScope(StrEnum):
    """``marketing`` still lets mails about orders, security and billing through."""

    ALL = "all"
    MARKETING = "marketing"


class SuppressionReason(StrEnum):
    """``bounce``: no such mailbox, or soft bounces past the threshold. ``manual``: by staff."""

    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    MANUAL = "manual"
    IMPORT = "import"


class MailSuppression(Base):
    """One address that gets no mail of ``scope``; ``source`` says where that is known from."""

    __tablename__ = "mail_suppression"
    __table_args__ = (
        UniqueConstraint("email"),
        CheckConstraint("email = lower(email)", name="email_folded"),
    )

    id: Mapped[int] = identity()
    email: Mapped[str]
    scope: Mapped[SuppressionScope]
    reason: Mapped[SuppressionReason]
    source: Mapped[str]
    detail: Mapped[str] = mapped_column(default="")
    at: Mapped[datetime] = created()


class BounceKind(StrEnum):
    """``hard``: for good (RFC 3463 class 5). ``soft``: for now (class 4). ``complaint``: spam."""

    HARD = "hard"
    SOFT = "soft"
    COMPLAINT = "complaint"


class MailBounce(Base):
    """One report that a mail was not delivered, or not wanted. ``code`` is the mail's own.

    ``status`` is RFC 3463's ("5.1.1"); ``key`` makes the same report count once.
    """

    __tablename__ = "mail_bounce"
    __table_args__ = (
        UniqueConstraint("key"),
        Index("ix_mail_bounce_email", "email", "at"),
        CheckConstraint("email = lower(email)", name="email_folded"),
    )

    id: Mapped[int] = identity()
    key: Mapped[str]
    email: Mapped[str]
    code: Mapped[str | None]
    kind: Mapped[BounceKind]
    status: Mapped[str] = mapped_column(default="")
    diagnostic: Mapped[str] = mapped_column(default="")
    source: Mapped[str]
    at: Mapped[datetime] = created()


class ReportSource(StrEnum):
    """``mail``: a bounce or complaint that came as a message (RFC 3464, RFC 5965)."""

    MAIL = "mail"
    SES = "ses"
    SENDGRID = "sendgrid"


class ReportState(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    UNREADABLE = "unreadable"


class MailReport(Base):
    """A bounce report as it came in, checked for its signature and not yet understood."""

    __tablename__ = "mail_report"
    __table_args__ = (
        UniqueConstraint("key"),
        Index("ix_mail_report_waiting", "id", postgresql_where=text("state = 'waiting'")),
        Index("ix_mail_report_unreadable", "id", postgresql_where=text("state = 'unreadable'")),
        Index("ix_mail_report_received_at", "received_at"),
    )

    id: Mapped[int] = identity()
    key: Mapped[str]
    source: Mapped[ReportSource]
    content: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[ReportState] = mapped_column(default=ReportState.WAITING)
    error: Mapped[str | None]
    received_at: Mapped[datetime] = created()
