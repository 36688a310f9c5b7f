"""Terms of use by version, and who agreed to which and when."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core import clock
from webapp.core.db import Base, created, identity


class TermsOfUse(Base):
    """One version. The newest published one is in force; a trigger keeps a published one
    as it is."""

    __tablename__ = "terms_of_use"
    __table_args__ = (
        UniqueConstraint("version"),
        Index(
            "ix_terms_of_use_published_at",
            "published_at",
            postgresql_where=text("published_at IS NOT NULL"),
        ),
    )

    id: Mapped[int] = identity()
    version: Mapped[str]
    title: Mapped[str] = mapped_column(default="Terms of use")
    body: Mapped[str]
    summary: Mapped[str] = mapped_column(default="")
    published_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = created()


class TermsAgreement(Base):
    """A user agreed to a version. Never changed; only erased with the person."""

    __tablename__ = "terms_agreement"
    __table_args__ = (
        UniqueConstraint("user_id", "terms_id"),
        Index("ix_terms_agreement_terms_id", "terms_id"),
    )

    id: Mapped[int] = identity()
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"))
    terms_id: Mapped[int] = mapped_column(ForeignKey("terms_of_use.id"))
    agreed_at: Mapped[datetime] = mapped_column(default=clock.now)
