"""Who is logged in where: one row per device, which ends when anybody says so."""

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.accounts.models.people import User
from webapp.core import clock
from webapp.core.db import Base, created


class LoginMethod(StrEnum):
    REGISTERED = "registered"
    PASSWORD = "password"  # noqa: S105 - the name of a way in
    PASSKEY = "passkey"
    GOOGLE = "google"
    APPLE = "apple"
    RESET = "reset"


class SessionEnd(StrEnum):
    LOGOUT = "logout"
    REVOKED = "revoked"
    EVERYWHERE = "everywhere"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a reason
    ROLE_CHANGED = "role_changed"
    SHUT_OUT = "shut_out"
    CLOSED = "closed"
    IDLE = "idle"
    EXPIRED = "expired"


class LoginSession(Base):
    """A browser that is logged in. The cookie holds the secret, the row only its hash.

    ``last_seen_at`` is exact to a few minutes: in between Redis knows. ``second_factor_at`` is
    when a passkey, a code or a recovery code was shown; ``proven_at`` when the person last showed
    any credential, for pages that ask again before something grave.
    """

    __tablename__ = "login_session"
    __table_args__ = (
        UniqueConstraint("secret_hash"),
        Index("ix_login_session_user_id", "user_id", "last_seen_at"),
        Index("ix_login_session_open", "expires_at", postgresql_where=text("ended_at IS NULL")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"))
    secret_hash: Mapped[str]
    method: Mapped[LoginMethod]
    remember: Mapped[bool] = mapped_column(default=False)
    device: Mapped[str] = mapped_column(default="")
    network: Mapped[str] = mapped_column(default="")
    proven_at: Mapped[datetime] = mapped_column(default=clock.now)
    second_factor_at: Mapped[datetime | None]
    last_seen_at: Mapped[datetime] = mapped_column(default=clock.now)
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[SessionEnd | None]
    created_at: Mapped[datetime] = created()

    user: Mapped[User] = relationship()
