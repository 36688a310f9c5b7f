"""Each person a mail goes to is a row, so "who got it?" always has an answer."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core import clock
from webapp.core.db import Base, created, identity

# The due time of those who wait for something else, like the winner of an A/B test.
NOT_YET = datetime(9999, 1, 1, tzinfo=UTC)


class RecipientState(StrEnum):
    """``claimed``: in a lease, perhaps already handed over. ``unknown``: perhaps accepted.

    ``suppressed``: never handed over, as the address may no longer be written to.
    """

    PENDING = "pending"
    CLAIMED = "claimed"
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SUPPRESSED = "suppressed"


class EmailRecipient(Base):
    """One mail to one address. Narrow, as there are millions; its code is made of its numbers.

    ``fields`` are the values of the mail's variables, as they were when it was populated. The
    public code names ``email_id`` and ``id`` and proves itself by ``secret``: nothing has to be
    looked up to know which mail a link belongs to. ``opened_at`` and ``clicked_at`` are a
    person's first, not a machine's.
    """

    __tablename__ = "email_recipient"
    __table_args__ = (
        # By address first: so that one index also finds every mail to a person.
        UniqueConstraint("address", "email_id"),
        Index(
            "ix_email_recipient_due",
            "email_id",
            "due_at",
            "id",
            postgresql_where=text("state = 'pending'"),
        ),
        Index(
            "ix_email_recipient_trouble",
            "email_id",
            "id",
            postgresql_where=text("state IN ('failed', 'unknown', 'suppressed')"),
        ),
        # Those who came back or left are few: found without reading all the others.
        Index(
            "ix_email_recipient_lost",
            "email_id",
            "id",
            postgresql_where=text(
                "bounced_at IS NOT NULL OR complained_at IS NOT NULL OR left_at IS NOT NULL"
            ),
        ),
        # How many read it, and when, of a million: counted within the index alone.
        Index(
            "ix_email_recipient_opened",
            "email_id",
            "opened_at",
            postgresql_where=text("opened_at IS NOT NULL"),
        ),
        Index(
            "ix_email_recipient_clicked",
            "email_id",
            "clicked_at",
            postgresql_where=text("clicked_at IS NOT NULL"),
        ),
        CheckConstraint("address = lower(address)", name="address_folded"),
    )

    # No foreign key: to look the same mail up a million times takes longer than to write the rows.
    # Whoever adds rows changes the mail in the same transaction; a mail with rows can't be removed.
    email_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    secret: Mapped[int]
    address: Mapped[str]
    fields: Mapped[dict[str, Any]] = mapped_column(default=dict)
    variant: Mapped[int] = mapped_column(SmallInteger, default=1)
    state: Mapped[RecipientState] = mapped_column(default=RecipientState.PENDING)
    attempts: Mapped[int] = mapped_column(SmallInteger, default=0)
    due_at: Mapped[datetime] = mapped_column(default=clock.now)
    # No foreign key: leases come and go by the thousand, and each row would be checked twice.
    lease_id: Mapped[int | None]
    smtp_reply: Mapped[str | None]
    sent_at: Mapped[datetime | None]
    opened_at: Mapped[datetime | None]
    clicked_at: Mapped[datetime | None]
    bounced_at: Mapped[datetime | None]
    complained_at: Mapped[datetime | None]
    left_at: Mapped[datetime | None]


class SendLease(Base):
    """Some hundred recipients that one worker may send to, and what became of them.

    Progress is the sum over a mail's leases, so that workers don't queue for one counter.
    ``machine`` is the boot id of the host whose disk holds the lease's journal.
    """

    __tablename__ = "send_lease"
    __table_args__ = (
        Index("ix_send_lease_email_id", "email_id", "id"),
        Index("ix_send_lease_open", "expires_at", postgresql_where=text("ended_at IS NULL")),
        Index("ix_send_lease_ended_at", "ended_at"),
    )

    id: Mapped[int] = identity()
    email_id: Mapped[int] = mapped_column(ForeignKey("email.id"))
    size: Mapped[int]
    sent: Mapped[int] = mapped_column(default=0)
    failed: Mapped[int] = mapped_column(default=0)
    unknown: Mapped[int] = mapped_column(default=0)
    suppressed: Mapped[int] = mapped_column(default=0)
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime] = created()
    ended_at: Mapped[datetime | None]
