"""What every capability stands on: the shop's own settings and the outbox of jobs."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, false, text, true
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.core import clock
from webapp.core.db import Base, created, identity


class Shop(Base):
    """The fork's own face and habits; the table has exactly one row."""

    __tablename__ = "shop"
    __table_args__ = (CheckConstraint("id = 1", name="single_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    name: Mapped[str]
    tagline: Mapped[str] = mapped_column(default="")
    accent: Mapped[str] = mapped_column(default="#1f5eff")
    currency: Mapped[str] = mapped_column(default="usd")
    locale: Mapped[str] = mapped_column(default="en_US")
    country: Mapped[str] = mapped_column(default="US")
    support_email: Mapped[str] = mapped_column(default="support@localhost")
    sender_name: Mapped[str] = mapped_column(default="")
    sender_email: Mapped[str] = mapped_column(default="shop@localhost")
    postal_address: Mapped[str] = mapped_column(default="")
    # Whether staff need a passkey or an authenticator app beside their password.
    staff_second_factor: Mapped[bool] = mapped_column(default=False, server_default=false())
    # Whether what visitors do is recorded at all.
    record_client_events: Mapped[bool] = mapped_column(default=True, server_default=true())
    # Whether a plan is published, so that every page can offer prices without counting plans.
    has_plans: Mapped[bool] = mapped_column(default=False, server_default=false())


class ActorKind(StrEnum):
    """``system`` is a job or the clock, ``operator`` the command line."""

    STAFF = "staff"
    MEMBER = "member"
    VISITOR = "visitor"
    SYSTEM = "system"
    OPERATOR = "operator"


class AuditEntry(Base):
    """Who did what to whom, when, from where. A trigger lets rows be added and never changed.

    People are named by id alone, networks by their first part: nothing here is personal once the
    person's own row is erased. ``user_id`` is whom it was done to, who may read it too.
    """

    __tablename__ = "audit_entry"
    __table_args__ = (
        Index("ix_audit_entry_user_id", "user_id", "id"),
        Index("ix_audit_entry_actor_id", "actor_id", "id"),
        Index("ix_audit_entry_action", "action", "id"),
        Index("ix_audit_entry_subject", "subject", "id"),
        Index("ix_audit_entry_at", "at"),
    )

    id: Mapped[int] = identity()
    at: Mapped[datetime] = created()
    actor_id: Mapped[uuid.UUID | None]
    actor_kind: Mapped[ActorKind]
    action: Mapped[str]
    subject: Mapped[str]
    user_id: Mapped[uuid.UUID | None]
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    network: Mapped[str] = mapped_column(default="")
    request_id: Mapped[str | None]


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job(Base):
    """A promise to call ``path(*args)``: Postgres holds it, Redis only rings the bell for it."""

    __tablename__ = "job"
    __table_args__ = (
        UniqueConstraint("key"),
        Index("ix_job_due", "run_at", postgresql_where=text("state = 'queued'")),
        Index("ix_job_lease", "lease_until", postgresql_where=text("state = 'running'")),
        Index("ix_job_failed", "id", postgresql_where=text("state = 'failed'")),
        Index("ix_job_subject", "subject", "id"),
        Index("ix_job_finished_at", "finished_at"),
    )

    id: Mapped[int] = identity()
    path: Mapped[str]
    args: Mapped[list[Any]]
    queue: Mapped[str]
    subject: Mapped[str | None]
    key: Mapped[str | None]
    state: Mapped[JobState] = mapped_column(default=JobState.QUEUED)
    attempts: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int]
    run_at: Mapped[datetime] = mapped_column(default=clock.now)
    deadline_at: Mapped[datetime]
    pushed_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    error: Mapped[str | None]
    request_id: Mapped[str | None]
    created_at: Mapped[datetime] = created()

    tries: Mapped[list["JobAttempt"]] = relationship(
        order_by="JobAttempt.number", passive_deletes=True
    )


class JobAttempt(Base):
    """One try of a job, kept for the timeline of its subject."""

    __tablename__ = "job_attempt"
    __table_args__ = (UniqueConstraint("job_id", "number"),)

    id: Mapped[int] = identity()
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"))
    number: Mapped[int]
    worker: Mapped[str]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime]
    error: Mapped[str | None]
