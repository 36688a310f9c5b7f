"""What a member may use right now, by one look at a primary key."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select

from webapp.accounts.models import LoginSession, User
from webapp.billing.models import Entitlement
from webapp.core import clock
from webapp.core.db import db


@dataclass(frozen=True, slots=True)
class Access:
    """An entitlement as a request has read it: no commit in between makes it ask again."""

    plan_slug: str
    features: frozenset[str]
    limits: dict[str, int | None]
    owing: bool
    walled_at: datetime | None


_COLUMNS = (
    Entitlement.plan_slug,
    Entitlement.features,
    Entitlement.limits,
    Entitlement.owing,
    Entitlement.walled_at,
)


def find_access(user_id: uuid.UUID) -> Access | None:
    return _read(select(*_COLUMNS).where(Entitlement.user_id == user_id))


def find_access_of_session(session_id: uuid.UUID) -> Access | None:
    """Return what the member of a login session may use, in one statement.

    It serves pages that are for everyone and only show something of it; what is for members alone
    asks who they are.
    """
    return _read(
        select(*_COLUMNS)
        .join(LoginSession, LoginSession.user_id == Entitlement.user_id)
        .join(User, User.id == LoginSession.user_id)
        .where(
            LoginSession.id == session_id,
            LoginSession.ended_at.is_(None),
            LoginSession.expires_at > clock.now(),
            User.active,
            User.erased_at.is_(None),
        )
    )


def _read(statement: Select[Any]) -> Access | None:
    row = db.session.execute(statement).first()
    if row is None:
        return None
    return Access(row[0], frozenset(row[1]), row[2], row[3], row[4])
