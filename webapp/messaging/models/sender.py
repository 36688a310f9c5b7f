"""Who bulk mail comes from, and how much of it a mail server is asked to take."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, Date, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core.db import Base, created, identity


class MailSender(Base):
    """A From address with its own limits. ``warmup`` is mails a day from ``warmup_from`` on.

    ``domain_per_second`` holds for each domain of recipients without a limit of its own. No value
    is no limit.
    """

    __tablename__ = "mail_sender"
    __table_args__ = (
        UniqueConstraint("address"),
        Index(
            "uq_mail_sender_default", "is_default", unique=True, postgresql_where=text("is_default")
        ),
        CheckConstraint("per_second > 0", name="per_second"),
        CheckConstraint("per_day > 0", name="per_day"),
        CheckConstraint("domain_per_second > 0", name="domain_per_second"),
    )

    id: Mapped[int] = identity()
    name: Mapped[str]
    address: Mapped[str]
    reply_to: Mapped[str | None]
    is_default: Mapped[bool] = mapped_column(default=False)
    active: Mapped[bool] = mapped_column(default=True)
    per_second: Mapped[int | None]
    per_day: Mapped[int | None]
    domain_per_second: Mapped[int | None]
    warmup_from: Mapped[date | None] = mapped_column(Date)
    warmup: Mapped[list[Any]] = mapped_column(default=list)
    created_at: Mapped[datetime] = created()


class MailSenderDay(Base):
    """How many mails of a day (UTC) were taken for a sender: the day's limit is kept by it."""

    __tablename__ = "mail_sender_day"

    sender_id: Mapped[int] = mapped_column(ForeignKey("mail_sender.id"), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    taken: Mapped[int] = mapped_column(default=0)


class MailDomainLimit(Base):
    """How many mails a second a domain of recipients is sent, whoever they come from."""

    __tablename__ = "mail_domain_limit"
    __table_args__ = (
        UniqueConstraint("domain"),
        CheckConstraint("per_second > 0", name="per_second"),
        CheckConstraint("domain = lower(domain)", name="domain_folded"),
    )

    id: Mapped[int] = identity()
    domain: Mapped[str]
    per_second: Mapped[int]
