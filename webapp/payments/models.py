"""The inbox of what Stripe tells us: one row per event, kept before anything else happens."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core import clock
from webapp.core.db import Base


class EventState(StrEnum):
    PENDING = "pending"
    DONE = "done"
    IGNORED = "ignored"
    PARKED = "parked"


class StripeEvent(Base):
    """A signed fact from Stripe. ``id`` is Stripe's (evt_...), which makes it exactly one row."""

    __tablename__ = "stripe_event"
    __table_args__ = (
        Index(
            "ix_stripe_event_pending",
            "next_attempt_at",
            postgresql_where=text("state = 'pending'"),
        ),
        Index("ix_stripe_event_parked", "received_at", postgresql_where=text("state = 'parked'")),
        Index("ix_stripe_event_subject", "subject"),
        Index("ix_stripe_event_object_id", "object_id"),
        Index("ix_stripe_event_received_at", "received_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    object_id: Mapped[str | None]
    livemode: Mapped[bool]
    created: Mapped[datetime]
    payload: Mapped[dict[str, Any]]
    state: Mapped[EventState] = mapped_column(default=EventState.PENDING)
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime]
    error: Mapped[str | None]
    subject: Mapped[str | None]
    request_id: Mapped[str | None]
    received_at: Mapped[datetime] = mapped_column(default=clock.now)
    done_at: Mapped[datetime | None]
