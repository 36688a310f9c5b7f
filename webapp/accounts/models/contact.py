"""What people write to the shop through its contact form."""

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.accounts.models.people import Prospect
from webapp.core.db import Base, created, identity


class ContactState(StrEnum):
    """``held``: it looks like spam, so nobody was told; a person decides."""

    NEW = "new"
    ANSWERED = "answered"
    HELD = "held"
    SPAM = "spam"


class ContactMessage(Base):
    """One message. Whoever wrote it is a prospect from then on."""

    __tablename__ = "contact_message"
    __table_args__ = (
        Index("ix_contact_message_prospect_id", "prospect_id"),
        Index("ix_contact_message_handled_by", "handled_by"),
        Index("ix_contact_message_state", "state", "id"),
    )

    id: Mapped[int] = identity()
    prospect_id: Mapped[int] = mapped_column(ForeignKey("prospect.id"))
    name: Mapped[str]
    email: Mapped[str]
    subject: Mapped[str]
    text: Mapped[str]
    state: Mapped[ContactState] = mapped_column(default=ContactState.NEW)
    why_held: Mapped[str] = mapped_column(default="")
    handled_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"))
    handled_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = created()

    prospect: Mapped[Prospect] = relationship()
