"""Mails that follow an event by themselves: wait, send, and stop when the goal is reached."""

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

from webapp.campaigns.models.emails import Email
from webapp.core.db import Base, created, identity


class SequenceTrigger(StrEnum):
    MEMBER_JOINED = "member_joined"
    NEWSLETTER_JOINED = "newsletter_joined"
    ORDER_PLACED = "order_placed"


class SequenceGoal(StrEnum):
    """What ends a run early: what the mails were for has happened."""

    NONE = "none"
    ORDER_PLACED = "order_placed"
    LINK_CLICKED = "link_clicked"


class Sequence(Base):
    """A row of mails after an event."""

    __tablename__ = "sequence"
    __table_args__ = (
        UniqueConstraint("name"),
        Index("ix_sequence_trigger", "trigger", postgresql_where=text("active")),
    )

    id: Mapped[int] = identity()
    name: Mapped[str]
    trigger: Mapped[SequenceTrigger]
    goal: Mapped[SequenceGoal] = mapped_column(default=SequenceGoal.NONE)
    active: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = created()

    steps: Mapped[list["SequenceStep"]] = relationship(
        order_by="SequenceStep.number", cascade="all, delete-orphan"
    )


class SequenceStep(Base):
    """One mail of a sequence, ``wait_minutes`` after the step before it (or the event)."""

    __tablename__ = "sequence_step"
    __table_args__ = (
        UniqueConstraint("sequence_id", "number"),
        UniqueConstraint("email_id"),
        CheckConstraint("wait_minutes >= 0", name="wait_minutes"),
    )

    id: Mapped[int] = identity()
    sequence_id: Mapped[int] = mapped_column(ForeignKey("sequence.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(SmallInteger)
    wait_minutes: Mapped[int]
    email_id: Mapped[int] = mapped_column(ForeignKey("email.id"))

    email: Mapped[Email] = relationship()


class RunState(StrEnum):
    """``stopped``: left, suppressed, or switched off."""

    ACTIVE = "active"
    DONE = "done"
    GOAL = "goal"
    STOPPED = "stopped"


class SequenceRun(Base):
    """One person on the way through a sequence. ``step`` is the next one's number."""

    __tablename__ = "sequence_run"
    __table_args__ = (
        UniqueConstraint("sequence_id", "address"),
        Index("ix_sequence_run_due", "due_at", postgresql_where=text("state = 'active'")),
        Index("ix_sequence_run_address", "address"),
        CheckConstraint("address = lower(address)", name="address_folded"),
    )

    id: Mapped[int] = identity()
    sequence_id: Mapped[int] = mapped_column(ForeignKey("sequence.id", ondelete="CASCADE"))
    address: Mapped[str]
    step: Mapped[int] = mapped_column(SmallInteger, default=1)
    state: Mapped[RunState] = mapped_column(default=RunState.ACTIVE)
    due_at: Mapped[datetime]
    started_at: Mapped[datetime] = created()
    ended_at: Mapped[datetime | None]
