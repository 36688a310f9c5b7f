"""What people may ask of us about their own data: change, copy, forget."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core import clock
from webapp.core.db import Base, created, identity


class EmailChange(Base):
    """A wish for another address, done when both mailboxes have said yes."""

    __tablename__ = "email_change"
    __table_args__ = (
        Index("ix_email_change_user_id", "user_id"),
        Index(
            "uq_email_change_open",
            "user_id",
            unique=True,
            postgresql_where=text("done_at IS NULL AND cancelled_at IS NULL"),
        ),
    )

    id: Mapped[int] = identity()
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"))
    old_email: Mapped[str]
    new_email: Mapped[str]
    old_confirmed_at: Mapped[datetime | None]
    new_confirmed_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]
    done_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = created()


class ExportState(StrEnum):
    REQUESTED = "requested"
    READY = "ready"
    DELETED = "deleted"


class DataExport(Base):
    """A copy of everything we know about a person, as a ZIP that is deleted after some days."""

    __tablename__ = "data_export"
    __table_args__ = (
        Index("ix_data_export_user_id", "user_id"),
        Index("ix_data_export_expires_at", "expires_at", postgresql_where=text("state = 'ready'")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"))
    state: Mapped[ExportState] = mapped_column(default=ExportState.REQUESTED)
    file_name: Mapped[str | None]
    size: Mapped[int | None]
    ready_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = created()


class Erasure(Base):
    """The report of what was erased for somebody: figures only, nothing about the person."""

    __tablename__ = "erasure"
    __table_args__ = (UniqueConstraint("user_id"),)

    id: Mapped[int] = identity()
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"))
    report: Mapped[dict[str, Any]]
    erased_at: Mapped[datetime] = mapped_column(default=clock.now)
