"""A campaign's mail: what it says, to whom it goes, and how far it has come."""

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.campaigns.models.audiences import Audience
from webapp.core import clock
from webapp.core.db import Base, created, identity
from webapp.messaging.models import MailSender, MailTopic


class EmailType(StrEnum):
    """Whom it may go to at all, before its audience narrows it."""

    MEMBER = "member"
    PROSPECT = "prospect"
    BOTH = "both"


class EmailState(StrEnum):
    """``automated``: a step of a sequence, sent to one person at a time for as long as it runs."""

    DRAFT = "draft"
    READY = "ready"
    SCHEDULED = "scheduled"
    SENDING = "sending"
    PAUSED = "paused"
    SENT = "sent"
    CANCELLED = "cancelled"
    AUTOMATED = "automated"


class EmailFormat(StrEnum):
    """What a body is written in. Markdown is always put into the layout."""

    MARKDOWN = "markdown"
    HTML = "html"
    MJML = "mjml"


class AbMetric(StrEnum):
    """What decides which variant the rest of the audience gets: human opens or human clicks."""

    OPENS = "opens"
    CLICKS = "clicks"


class Email(Base):
    """One mail to many. Its words are in its variants, the first of them is A.

    ``window_from`` and ``window_to`` are minutes of a day between which it may be sent, in the
    zone of the recipient with ``in_recipients_zone``. ``population`` counts the recipients that
    were populated at ``populated_at``, which froze the audience.
    """

    __tablename__ = "email"
    __table_args__ = (
        UniqueConstraint("slug"),
        Index("ix_email_state", "state", "id"),
        Index("ix_email_audience_id", "audience_id"),
        Index("ix_email_exclude_id", "exclude_id"),
        Index("ix_email_sender_id", "sender_id"),
        Index("ix_email_resend_of", "resend_of"),
        Index("ix_email_created_by", "created_by"),
        Index("ix_email_ready_by", "ready_by"),
        Index("ix_email_approved_by", "approved_by"),
        Index("ix_email_due", "scheduled_at", postgresql_where=text("state = 'scheduled'")),
        Index(
            "ix_email_live",
            "id",
            postgresql_where=text("state IN ('sending', 'automated')"),
        ),
        Index(
            "ix_email_archive",
            "finished_at",
            postgresql_where=text("public AND state = 'sent' AND slug IS NOT NULL"),
        ),
        CheckConstraint("ab_share BETWEEN 1 AND 100", name="ab_share"),
        CheckConstraint("ab_minutes > 0", name="ab_minutes"),
        CheckConstraint(
            "window_from BETWEEN 0 AND 1439 AND window_to BETWEEN 1 AND 1440"
            " AND window_from < window_to",
            name="window",
        ),
        CheckConstraint("state <> 'scheduled' OR scheduled_at IS NOT NULL", name="scheduled"),
    )

    id: Mapped[int] = identity()
    name: Mapped[str]
    type: Mapped[EmailType] = mapped_column(default=EmailType.BOTH)
    topic: Mapped[MailTopic] = mapped_column(default=MailTopic.NEWSLETTER)
    state: Mapped[EmailState] = mapped_column(default=EmailState.DRAFT)
    format: Mapped[EmailFormat] = mapped_column(default=EmailFormat.MARKDOWN)
    with_layout: Mapped[bool] = mapped_column(default=True)
    sender_id: Mapped[int | None] = mapped_column(ForeignKey("mail_sender.id"))
    audience_id: Mapped[int | None] = mapped_column(ForeignKey("audience.id"))
    exclude_id: Mapped[int | None] = mapped_column(ForeignKey("audience.id"))
    track_opens: Mapped[bool] = mapped_column(default=True)
    track_clicks: Mapped[bool] = mapped_column(default=True)
    utm_campaign: Mapped[str] = mapped_column(default="")
    scheduled_at: Mapped[datetime | None]
    window_from: Mapped[int | None] = mapped_column(SmallInteger)
    window_to: Mapped[int | None] = mapped_column(SmallInteger)
    in_recipients_zone: Mapped[bool] = mapped_column(default=False)
    ab_share: Mapped[int | None] = mapped_column(SmallInteger)
    ab_metric: Mapped[AbMetric] = mapped_column(default=AbMetric.CLICKS)
    ab_minutes: Mapped[int] = mapped_column(default=240)
    ab_decide_at: Mapped[datetime | None]
    ab_winner: Mapped[int | None] = mapped_column(SmallInteger)
    public: Mapped[bool] = mapped_column(default=False)
    slug: Mapped[str | None]
    resend_of: Mapped[int | None] = mapped_column(ForeignKey("email.id"))
    population: Mapped[int] = mapped_column(default=0)
    populated_at: Mapped[datetime | None]
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"))
    ready_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"))
    ready_at: Mapped[datetime | None]
    approved_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"))
    approved_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = created()
    updated_at: Mapped[datetime] = mapped_column(default=clock.now, onupdate=clock.now)

    sender: Mapped[MailSender | None] = relationship()
    audience: Mapped[Audience | None] = relationship(foreign_keys=[audience_id])
    exclude: Mapped[Audience | None] = relationship(foreign_keys=[exclude_id])
    variants: Mapped[list["EmailVariant"]] = relationship(
        order_by="EmailVariant.number", cascade="all, delete-orphan"
    )
    links: Mapped[list["EmailLink"]] = relationship(
        order_by="EmailLink.number", cascade="all, delete-orphan"
    )


class EmailVariant(Base):
    """The words of a mail. ``written_text`` replaces the text part that is made of the body.

    ``html`` and ``text`` are what is sent, frozen when the mail was made ready: inlined, with the
    marks of variables and of registered links still in them.
    """

    __tablename__ = "email_variant"
    __table_args__ = (CheckConstraint("number BETWEEN 1 AND 8", name="number"),)

    email_id: Mapped[int] = mapped_column(
        ForeignKey("email.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    subject: Mapped[str] = mapped_column(default="")
    preheader: Mapped[str] = mapped_column(default="")
    body: Mapped[str] = mapped_column(default="")
    written_text: Mapped[str] = mapped_column(default="")
    html: Mapped[str] = mapped_column(default="")
    text: Mapped[str] = mapped_column(default="")


class EmailLink(Base):
    """Where ``/c/<code>/<number>`` leads. ``trap``: invisible to people, so who follows is none."""

    __tablename__ = "email_link"

    email_id: Mapped[int] = mapped_column(
        ForeignKey("email.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    variant: Mapped[int] = mapped_column(SmallInteger, default=1)
    url: Mapped[str]
    trap: Mapped[bool] = mapped_column(default=False)
