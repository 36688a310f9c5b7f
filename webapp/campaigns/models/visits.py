"""Advertisements with their codes, and what visitors did."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core import clock
from webapp.core.db import Base, created, identity


class Ad(Base):
    """An advertisement elsewhere: ``/a/<code>`` leads to ``landing`` and is remembered."""

    __tablename__ = "ad"
    __table_args__ = (UniqueConstraint("code"),)

    id: Mapped[int] = identity()
    code: Mapped[str]
    name: Mapped[str]
    landing: Mapped[str] = mapped_column(default="/")
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = created()


class ClientEventKind(StrEnum):
    PAGE_VIEW = "page_view"
    BUTTON = "button"
    LINK = "link"
    SCRIPT_ERROR = "script_error"


class ClientEvent(Base):
    """One thing a visitor did. ``event_id`` is the browser's own, so a repeat counts once.

    ``visitor_id`` is random and the browser's until a login ties it to a user.
    """

    __tablename__ = "client_event"
    __table_args__ = (
        UniqueConstraint("event_id"),
        Index("ix_client_event_at", "at"),
        Index("ix_client_event_kind", "kind", "at"),
        Index("ix_client_event_user_id", "user_id"),
        Index("ix_client_event_visitor_id", "visitor_id"),
    )

    id: Mapped[int] = identity()
    event_id: Mapped[uuid.UUID]
    kind: Mapped[ClientEventKind]
    visitor_id: Mapped[uuid.UUID]
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"))
    path: Mapped[str]
    label: Mapped[str] = mapped_column(default="")
    ad_code: Mapped[str | None]
    email_code: Mapped[str | None]
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    at: Mapped[datetime]
    received_at: Mapped[datetime] = mapped_column(default=clock.now)
