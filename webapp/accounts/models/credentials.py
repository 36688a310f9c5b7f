"""Ways in beside the password: passkeys, authenticator apps, recovery codes, linked accounts."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core.db import Base, created, identity


class Passkey(Base):
    """A WebAuthn credential: https://www.w3.org/TR/webauthn-3/#credential-record."""

    __tablename__ = "passkey"
    __table_args__ = (
        UniqueConstraint("credential_id"),
        Index("ix_passkey_user_id", "user_id"),
    )

    id: Mapped[int] = identity()
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"))
    credential_id: Mapped[bytes] = mapped_column(LargeBinary)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[int]
    transports: Mapped[list[Any]]
    aaguid: Mapped[str] = mapped_column(default="")
    backed_up: Mapped[bool] = mapped_column(default=False)
    name: Mapped[str]
    last_used_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = created()


class Totp(Base):
    """An authenticator app (RFC 6238). The secret is encrypted; a step is taken only once."""

    __tablename__ = "totp"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"), primary_key=True)
    secret: Mapped[str]
    confirmed_at: Mapped[datetime | None]
    last_step: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = created()


class RecoveryCode(Base):
    """One of the codes for the day the phone is lost; each opens the door once."""

    __tablename__ = "recovery_code"
    __table_args__ = (UniqueConstraint("user_id", "code_hash"),)

    id: Mapped[int] = identity()
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"))
    code_hash: Mapped[str]
    used_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = created()


class IdentityProvider(StrEnum):
    GOOGLE = "google"
    APPLE = "apple"


class LinkedIdentity(Base):
    """An account elsewhere that opens this one: OpenID Connect's ``iss`` and ``sub``."""

    __tablename__ = "linked_identity"
    __table_args__ = (
        UniqueConstraint("provider", "subject"),
        UniqueConstraint("user_id", "provider"),
    )

    id: Mapped[int] = identity()
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"))
    provider: Mapped[IdentityProvider]
    subject: Mapped[str]
    email: Mapped[str] = mapped_column(default="")
    last_used_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = created()
