"""A login, the member behind it, and prospects we have only met."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.core.db import Base, created, identity


class Role(StrEnum):
    """Staff roles, from most to least; a customer has none."""

    OWNER = "owner"
    ADMIN = "admin"
    MANAGER = "manager"
    STAFF = "staff"
    VIEWER = "viewer"


class User(Base):
    """A login. The email is stored case-folded.

    An address belongs to whoever verified it: only verified ones are unique. So registering with
    a known address looks like any other registration and tells nobody that it is known, and
    nobody can keep an address from its owner by registering it first.
    """

    __tablename__ = "user"
    __table_args__ = (
        Index(
            "uq_user_verified_email",
            "email",
            unique=True,
            postgresql_where=text("email_verified_at IS NOT NULL"),
        ),
        Index("ix_user_email", "email", "created_at"),
        Index("ix_user_erase_after", "erase_after", postgresql_where=text("erased_at IS NULL")),
        Index("ix_user_role", "role", postgresql_where=text("role IS NOT NULL")),
        Index(
            "ix_user_unverified", "created_at", postgresql_where=text("email_verified_at IS NULL")
        ),
        CheckConstraint("email = lower(email)", name="email_folded"),
        CheckConstraint("role IS NULL OR email_verified_at IS NOT NULL", name="staff_verified"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    email: Mapped[str]
    email_verified_at: Mapped[datetime | None]
    password_hash: Mapped[str | None]
    password_changed_at: Mapped[datetime | None]
    role: Mapped[Role | None]
    active: Mapped[bool] = mapped_column(default=True)
    last_login_at: Mapped[datetime | None]
    # The owner asked to be forgotten: from then on it is only a matter of days.
    closed_at: Mapped[datetime | None]
    erase_after: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = created()


class Member(Base):
    """A customer with an account."""

    __tablename__ = "member"
    __table_args__ = (UniqueConstraint("user_id"),)

    id: Mapped[int] = identity()
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"))
    name: Mapped[str] = mapped_column(default="")
    phone: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime] = created()

    user: Mapped[User] = relationship()


class Address(Base):
    """Where a member has parcels sent; at most one is the default."""

    __tablename__ = "address"
    __table_args__ = (
        Index("ix_address_member_id", "member_id"),
        Index(
            "uq_address_default",
            "member_id",
            unique=True,
            postgresql_where=text("is_default"),
        ),
    )

    id: Mapped[int] = identity()
    member_id: Mapped[int] = mapped_column(ForeignKey("member.id"))
    name: Mapped[str]
    line1: Mapped[str]
    line2: Mapped[str] = mapped_column(default="")
    city: Mapped[str]
    state: Mapped[str] = mapped_column(default="")
    postal_code: Mapped[str] = mapped_column(default="")
    country: Mapped[str]
    phone: Mapped[str] = mapped_column(default="")
    is_default: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = created()


class ProspectSource(StrEnum):
    PURCHASE = "purchase"
    NEWSLETTER = "newsletter"
    CART = "cart"
    CONTACT = "contact"
    IMPORT = "import"


class Prospect(Base):
    """Somebody with an address and no account: a guest who bought, a reader of the newsletter.

    One who registers and verifies the address stays, converted: the history hangs on the row.
    """

    __tablename__ = "prospect"
    __table_args__ = (
        UniqueConstraint("email"),
        Index("ix_prospect_member_id", "member_id"),
        CheckConstraint("email = lower(email)", name="email_folded"),
    )

    id: Mapped[int] = identity()
    email: Mapped[str]
    name: Mapped[str] = mapped_column(default="")
    source: Mapped[ProspectSource]
    # What an import knew of them; empty is unknown.
    country: Mapped[str] = mapped_column(default="", server_default="")
    time_zone: Mapped[str] = mapped_column(default="", server_default="")
    attributes: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    member_id: Mapped[int | None] = mapped_column(ForeignKey("member.id"))
    converted_at: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = created()


class PersonNote(Base):
    """What staff want to remember about a member or a prospect."""

    __tablename__ = "person_note"
    __table_args__ = (
        Index("ix_person_note_member_id", "member_id"),
        Index("ix_person_note_prospect_id", "prospect_id"),
        Index("ix_person_note_author_id", "author_id"),
        CheckConstraint("(member_id IS NULL) <> (prospect_id IS NULL)", name="one_person"),
    )

    id: Mapped[int] = identity()
    member_id: Mapped[int | None] = mapped_column(ForeignKey("member.id"))
    prospect_id: Mapped[int | None] = mapped_column(ForeignKey("prospect.id"))
    author_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"))
    text: Mapped[str]
    created_at: Mapped[datetime] = created()

    author: Mapped[User] = relationship()
