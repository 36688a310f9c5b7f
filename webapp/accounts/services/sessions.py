"""Sessions: opened at a login, found by every request, ended by whoever wants them ended.

Postgres decides whether a session holds. The browser's cookie carries its id and a secret of
which only the hash is stored; Redis remembers, between two writes, when it was last used.
"""

import hashlib
import hmac
import secrets
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from redis import RedisError
from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import joinedload

from webapp.accounts.models import LoginMethod, LoginSession, SessionEnd, User
from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db
from webapp.core.redis import redis_client
from webapp.core.state import current_fork

# How stale ``last_seen_at`` may be in Postgres.
SEEN_EVERY = timedelta(minutes=5)
# How long a shown credential counts for grave steps.
PROOF_LASTS = timedelta(minutes=15)
# How long Redis isn't told of uses after it didn't answer: waiting for it would slow every page.
REST_SECONDS = 5
# How long a session that is over is kept, so that its owner can still ask where it was.
KEPT_AFTER_END = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a session lasts unused, and at the most."""

    idle: timedelta
    absolute: timedelta


BROWSER = Limits(idle=timedelta(hours=12), absolute=timedelta(days=7))
REMEMBERED = Limits(idle=timedelta(days=30), absolute=timedelta(days=180))
STAFF = Limits(idle=timedelta(hours=8), absolute=timedelta(hours=24))


def limits_for(user: User, remember: bool) -> Limits:
    """Staff log in daily, whether they are to be remembered or not."""
    if user.role is not None:
        return STAFF
    return REMEMBERED if remember else BROWSER


def open_session(
    user: User,
    method: LoginMethod,
    by: Actor,
    *,
    remember: bool = False,
    second_factor: bool = False,
) -> str:
    """Begin a session and return the token for the cookie; flushes."""
    now = clock.now()
    secret = secrets.token_urlsafe(32)
    login = LoginSession(
        id=uuid.uuid4(),
        user_id=user.id,
        secret_hash=_hash(secret),
        method=method,
        remember=remember and user.role is None,
        device=by.device,
        network=by.network,
        proven_at=now,
        second_factor_at=now if second_factor else None,
        last_seen_at=now,
        expires_at=now + limits_for(user, remember).absolute,
    )
    user.last_login_at = now
    db.session.add(login)
    record(by, "session.opened", f"session:{login.id}", user_id=user.id, method=method.value)
    db.session.flush()
    return f"{login.id}.{secret}"


def resume(token: str) -> LoginSession | None:
    """Return the session of a cookie with its user, if it still holds; note that it was used.

    Changes the row once in a while; the caller commits.
    """
    name, _, secret = token.partition(".")
    try:
        session_id = uuid.UUID(name)
    except ValueError:
        return None
    login = db.session.scalar(
        select(LoginSession)
        .where(LoginSession.id == session_id)
        .options(joinedload(LoginSession.user))
        .execution_options(populate_existing=True)
    )
    if login is None or not hmac.compare_digest(login.secret_hash, _hash(secret)):
        return None
    if login.ended_at is not None or not login.user.active or login.user.erased_at is not None:
        return None
    return login if _keep(login) else None


def _keep(login: LoginSession) -> bool:
    """Note the use; or end a session that lay idle or lasted too long, and say False."""
    over = _why_over(login)
    if over is not None:
        end(login, over)
        return False
    now = clock.now()
    if now - login.last_seen_at >= SEEN_EVERY:
        login.last_seen_at = now
        db.session.flush()
    _remember_seen(login.id, now)
    return True


def _why_over(login: LoginSession) -> SessionEnd | None:
    """Judge by the limits in force now: who became staff has a member's long session no more."""
    now, limits = clock.now(), limits_for(login.user, login.remember)
    if now >= min(login.expires_at, login.created_at + limits.absolute):
        return SessionEnd.EXPIRED
    return SessionEnd.IDLE if now - login.last_seen_at >= limits.idle else None


def rotate(login: LoginSession) -> str:
    """Give the session a new secret, so that a stolen old one is worthless; returns the token.

    Done whenever the session is worth more than before.
    """
    secret = secrets.token_urlsafe(32)
    login.secret_hash = _hash(secret)
    db.session.flush()
    return f"{login.id}.{secret}"


def prove(login: LoginSession, *, second_factor: bool = False) -> str:
    """Note that the person has just shown a credential again; returns the new token."""
    login.proven_at = clock.now()
    if second_factor:
        login.second_factor_at = clock.now()
    return rotate(login)


def is_proven(login: LoginSession) -> bool:
    """Say whether a credential was shown lately enough for a grave step."""
    return clock.now() - login.proven_at < PROOF_LASTS


def end(login: LoginSession, reason: SessionEnd) -> None:
    if login.ended_at is None:
        login.ended_at = clock.now()
        login.end_reason = reason
        db.session.flush()


def end_one(user_id: uuid.UUID, session_id: uuid.UUID, by: Actor) -> bool:
    """End one of a user's sessions; False if it isn't theirs or has ended."""
    login = db.session.get(LoginSession, session_id)
    if login is None or login.user_id != user_id or login.ended_at is not None:
        return False
    end(login, SessionEnd.REVOKED)
    record(by, "session.revoked", f"session:{session_id}", user_id=user_id)
    return True


def end_all(
    user_id: uuid.UUID, reason: SessionEnd, by: Actor, *, keep: uuid.UUID | None = None
) -> int:
    """End every session of a user but ``keep``; returns how many."""
    statement = (
        update(LoginSession)
        .where(LoginSession.user_id == user_id, LoginSession.ended_at.is_(None))
        .values(ended_at=clock.now(), end_reason=reason)
        .returning(LoginSession.id)
    )
    if keep is not None:
        statement = statement.where(LoginSession.id != keep)
    ended = len(db.session.scalars(statement).all())
    record(by, "session.all_ended", f"user:{user_id}", user_id=user_id, ended=ended, why=reason)
    return ended


def list_open(user_id: uuid.UUID) -> list[LoginSession]:
    """Return a user's live sessions, the last used first; at most 100."""
    statement = (
        select(LoginSession)
        .where(
            LoginSession.user_id == user_id,
            LoginSession.ended_at.is_(None),
            LoginSession.expires_at > clock.now(),
        )
        .options(joinedload(LoginSession.user))
        .order_by(LoginSession.last_seen_at.desc())
        .limit(100)
    )
    return [login for login in db.session.scalars(statement) if _why_over(login) is None]


def last_seen(session_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, datetime]:
    """Return when Redis last saw each session used; those it doesn't know are left out."""
    if not session_ids:
        return {}
    try:
        found = redis_client().mget([_seen_key(session_id) for session_id in session_ids])
    except RedisError:
        return {}
    return {
        session_id: datetime.fromisoformat(value.decode())
        for session_id, value in zip(session_ids, cast(list[bytes | None], found), strict=True)
        if value is not None
    }


def forget_old(most: int) -> int:
    """Delete sessions that were over long ago, with what they tell of devices; returns how many."""
    before = clock.now() - KEPT_AFTER_END
    old = (
        select(LoginSession.id)
        .where(or_(LoginSession.ended_at < before, LoginSession.expires_at < before))
        .limit(most)
    )
    gone = delete(LoginSession).where(LoginSession.id.in_(old)).returning(LoginSession.id)
    return len(db.session.scalars(gone).all())


_asks_again_at = 0.0


def _remember_seen(session_id: uuid.UUID, now: datetime) -> None:
    global _asks_again_at
    if time.monotonic() < _asks_again_at:
        return
    try:
        redis_client().set(_seen_key(session_id), now.isoformat(), ex=2 * SEEN_EVERY)
    except RedisError:
        _asks_again_at = time.monotonic() + REST_SECONDS


def _seen_key(session_id: uuid.UUID) -> str:
    return current_fork().redis_key("seen", session_id)


def _hash(secret: str) -> str:
    # The secret is random and long: a plain hash is enough, and costs nothing per request.
    return hashlib.sha256(secret.encode()).hexdigest()
