"""New passwords: for those who forgot the old one, and for those who know it."""

import secrets
import uuid
from datetime import timedelta

from sqlalchemy import delete

from webapp.accounts.errors import LinkUsed, WrongPassword
from webapp.accounts.models import (
    LinkedIdentity,
    Passkey,
    RecoveryCode,
    SessionEnd,
    Totp,
    User,
)
from webapp.accounts.queries import find_user, find_verified_user
from webapp.accounts.queries.claims import find_claimant
from webapp.accounts.services.addressing import read_email
from webapp.accounts.services.alerts import write_to_owner
from webapp.accounts.services.passwords import fingerprint, matches, set_password
from webapp.accounts.services.sessions import end_all
from webapp.accounts.services.verifying import confirm_address
from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db
from webapp.core.queue import Queue, enqueue
from webapp.core.signing import InvalidToken, sign, unsign
from webapp.core.state import current_config
from webapp.messaging.queries import count_lately
from webapp.messaging.services import post

PURPOSE = "reset-password"
LASTS = timedelta(hours=1)
MOST_AN_HOUR = 5

SEND = "jobs.accounts.send_reset"


def ask_for_reset(email: str) -> None:
    """Promise a mail with a link, or what looks like such a promise; flushes.

    Known and unknown addresses cost the same. The job gets an id, so that no address stands in the
    table of jobs. Raises InvalidEmail.
    """
    address = read_email(email)
    owner, claimant = find_verified_user(address), find_claimant(address)
    user = owner or claimant
    user_id = user.id if user is not None else uuid.uuid4()
    enqueue(SEND, str(user_id), secrets.token_hex(8), queue=Queue.MAIL)


def send_reset(user_id: uuid.UUID, nonce: str) -> None:
    """Post the link, if there is somebody to get it; flushes."""
    user = find_user(user_id)
    if user is None or not user.active or user.erased_at is not None:
        return
    hour = clock.now() - timedelta(hours=1)
    if count_lately(user.email, ("reset_password",), hour) >= MOST_AN_HOUR:
        return
    post(
        "reset_password",
        user.email,
        {"link": _reset_link(user), "hours": 1},
        dedupe_key=f"reset_password:{nonce}",
        subject_ref=f"user:{user.id}",
        secret=True,
    )


def _reset_link(user: User) -> str:
    token = sign(PURPOSE, {"user": str(user.id), "fingerprint": fingerprint(user)})
    return f"{current_config().base_url.rstrip('/')}/password/reset/{token}"


def read_reset(token: str) -> User:
    """Return whom the link is for, locked. Raises InvalidToken, ExpiredToken or LinkUsed."""
    value = unsign(PURPOSE, token, int(LASTS.total_seconds()))
    user = db.session.get(
        User, uuid.UUID(value["user"]), with_for_update=True, populate_existing=True
    )
    if user is None:
        raise InvalidToken
    if not user.active or fingerprint(user) != value["fingerprint"]:
        raise LinkUsed("This link was used already, or a newer one took its place.")
    return user


def reset(token: str, password: str, by: Actor) -> User:
    """Set a new password for whoever got the link; flushes. Every session ends.

    Raises as read_reset, WeakPassword, and AddressTaken.
    """
    user = read_reset(token)
    set_password(user, password)
    if user.email_verified_at is None:
        # Whoever had the login before never showed the mailbox: their keys must not outlive it.
        _forget_other_keys(user)
        confirm_address(user, by)
    end_all(user.id, SessionEnd.PASSWORD_CHANGED, by)
    record(by, "password.reset", f"user:{user.id}", user_id=user.id)
    _tell(user, by)
    return user


def _forget_other_keys(user: User) -> None:
    for kind in (Passkey, Totp, RecoveryCode, LinkedIdentity):
        db.session.execute(delete(kind).where(kind.user_id == user.id))


def change_password(user: User, current: str, password: str, by: Actor, keep: uuid.UUID) -> None:
    """Replace a password by who knows it; flushes. All sessions but ``keep`` end.

    Raises WrongPassword or WeakPassword.
    """
    if not matches(user.password_hash, current):
        raise WrongPassword
    set_first_password(user, password, by, keep)


def set_first_password(user: User, password: str, by: Actor, keep: uuid.UUID) -> None:
    """Give a password to somebody who has just proved otherwise who they are; flushes."""
    set_password(user, password)
    end_all(user.id, SessionEnd.PASSWORD_CHANGED, by, keep=keep)
    record(by, "password.changed", f"user:{user.id}", user_id=user.id)
    _tell(user, by)


def _tell(user: User, by: Actor) -> None:
    """Mail the owner, for it may not have been them."""
    at = user.password_changed_at or clock.now()
    context = {
        "at": at,
        "device": by.device,
        "forgot_url": f"{current_config().base_url.rstrip('/')}/password/forgot",
    }
    write_to_owner(user, "password_changed", at.isoformat(), context)
