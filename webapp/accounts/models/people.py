"""Who somebody is: a login, a member behind it, or a prospect we have only met."""

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
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
    """A login. The email is stored case-folded."""

    __tablename__ = "user"
    __table_args__ = (
        UniqueConstraint("email"),
        CheckConstraint("email = lower(email)", name="email_folded"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    email: Mapped[str]
    password_hash: Mapped[str | None]
    role: Mapped[Role | None]
    active: Mapped[bool] = mapped_column(default=True)
    last_login_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = created()


class Member(Base):
    """A customer with an account."""

    __tablename__ = "member"
    __table_args__ = (UniqueConstraint("user_id"),)

    id: Mapped[int] = identity()
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"))
    name: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime] = created()

    user: Mapped[User] = relationship()


class ProspectSource(StrEnum):
    PURCHASE = "purchase"
    NEWSLETTER = "newsletter"
    CART = "cart"
    CONTACT = "contact"
    IMPORT = "import"


class Prospect(Base):
    """Somebody with an address and no account: a guest who bought, a reader of the newsletter."""

    __tablename__ = "prospect"
    __table_args__ = (
        UniqueConstraint("email"),
        CheckConstraint("email = lower(email)", name="email_folded"),
    )

    id: Mapped[int] = identity()
    email: Mapped[str]
    name: Mapped[str] = mapped_column(default="")
    source: Mapped[ProspectSource]
    created_at: Mapped[datetime] = created()
