"""What came of a mail: opens, clicks, goodbyes and orders."""

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core import clock
from webapp.core.db import Base, created, identity
from webapp.messaging.models import MailTopic


class TrackingKind(StrEnum):
    """``trap``: the link that no person sees."""

    OPEN = "open"
    CLICK = "click"
    TRAP = "trap"


class TrackingEvent(Base):
    """One request for a pixel or a link, as it came. ``human`` is judged a little later.

    ``network`` is the first part of the address it came from, ``why`` what told a machine.
    """

    __tablename__ = "tracking_event"
    __table_args__ = (
        UniqueConstraint("event_id"),
        ForeignKeyConstraint(
            ["email_id", "recipient_id"],
            ["email_recipient.email_id", "email_recipient.id"],
            ondelete="CASCADE",
        ),
        Index("ix_tracking_event_recipient", "email_id", "recipient_id", "at"),
        Index("ix_tracking_event_at", "at"),
        # For the figures of a mail, which are counted within the index alone.
        Index("ix_tracking_event_judged", "email_id", "human", "kind", "link", "recipient_id"),
        Index("ix_tracking_event_undecided", "received_at", postgresql_where=text("human IS NULL")),
    )

    id: Mapped[int] = identity()
    event_id: Mapped[uuid.UUID]
    email_id: Mapped[int]
    recipient_id: Mapped[int]
    kind: Mapped[TrackingKind]
    link: Mapped[int | None] = mapped_column(SmallInteger)
    method: Mapped[str]
    agent: Mapped[str] = mapped_column(default="")
    network: Mapped[str] = mapped_column(default="")
    human: Mapped[bool | None]
    why: Mapped[str] = mapped_column(default="")
    at: Mapped[datetime]
    received_at: Mapped[datetime] = mapped_column(default=clock.now)


class LeaveReason(StrEnum):
    """Why somebody left; ``unsaid`` by a mail program's own button."""

    NO_LONGER = "no_longer"
    NEVER_SIGNED_UP = "never_signed_up"
    INAPPROPRIATE = "inappropriate"
    SPAM = "spam"
    OTHER = "other"
    UNSAID = "unsaid"


class LeaveWay(StrEnum):
    """``header``: RFC 8058's one click. ``page``: the shop's own page."""

    HEADER = "header"
    PAGE = "page"


class EmailUnsubscribe(Base):
    """Somebody left a topic through a mail."""

    __tablename__ = "email_unsubscribe"
    __table_args__ = (
        UniqueConstraint("email_id", "recipient_id"),
        ForeignKeyConstraint(
            ["email_id", "recipient_id"],
            ["email_recipient.email_id", "email_recipient.id"],
            ondelete="CASCADE",
        ),
    )

    id: Mapped[int] = identity()
    email_id: Mapped[int]
    recipient_id: Mapped[int]
    topic: Mapped[MailTopic]
    way: Mapped[LeaveWay]
    reason: Mapped[LeaveReason] = mapped_column(default=LeaveReason.UNSAID)
    comment: Mapped[str] = mapped_column(default="")
    at: Mapped[datetime] = created()


class OrderCredit(StrEnum):
    """``click``: the mail's own. ``open``: it was read before, but not clicked: told apart."""

    CLICK = "click"
    OPEN = "open"


class EmailOrder(Base):
    """The mail that an order is owed to; at most one for each order."""

    __tablename__ = "email_order"
    __table_args__ = (
        ForeignKeyConstraint(
            ["email_id", "recipient_id"],
            ["email_recipient.email_id", "email_recipient.id"],
            ondelete="CASCADE",
        ),
        Index("ix_email_order_email_id", "email_id", "order_id"),
    )

    order_id: Mapped[int] = mapped_column(
        ForeignKey("order.id"), primary_key=True, autoincrement=False
    )
    email_id: Mapped[int]
    recipient_id: Mapped[int]
    credit: Mapped[OrderCredit]
    link: Mapped[int | None] = mapped_column(SmallInteger)
    acted_at: Mapped[datetime]
    created_at: Mapped[datetime] = created()
