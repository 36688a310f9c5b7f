"""Who a mail is for: saved rules, and the tags that staff and imports give people."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core import clock
from webapp.core.db import Base, created, identity


class Audience(Base):
    """A saved segment. ``rules`` is the JSON that ``services.audiences.rules`` reads."""

    __tablename__ = "audience"
    __table_args__ = (UniqueConstraint("name"),)

    id: Mapped[int] = identity()
    name: Mapped[str]
    rules: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = created()
    updated_at: Mapped[datetime] = mapped_column(default=clock.now, onupdate=clock.now)


class PersonTag(Base):
    """A word that staff or an import hung on an address."""

    __tablename__ = "person_tag"
    __table_args__ = (
        Index("ix_person_tag_tag", "tag"),
        CheckConstraint("email = lower(email)", name="email_folded"),
        CheckConstraint("tag = lower(tag)", name="tag_folded"),
    )

    email: Mapped[str] = mapped_column(primary_key=True)
    tag: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = created()
