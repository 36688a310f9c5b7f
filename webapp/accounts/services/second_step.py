"""The second step: who has to show something more than the first, and what counts."""

import uuid
from enum import StrEnum

from webapp.accounts.errors import WrongCode
from webapp.accounts.models import SessionEnd, User
from webapp.accounts.services import alerts, passkeys, recovery, sessions, totp
from webapp.accounts.services.ways_in import check_factor_remains, count_passkeys, is_required
from webapp.core.audit import Actor, record
from webapp.core.db import db


class Factor(StrEnum):
    """What was shown at the second step, beside a passkey."""

    TOTP = "totp"
    RECOVERY = "recovery_code"


def has_factor(user: User) -> bool:
    """Say whether the user could take a second step at all."""
    return totp.is_on(user.id) or (user.role is not None and count_passkeys(user.id) > 0)


def needed(user: User) -> bool:
    """Say whether one thing shown is not enough to let this user in."""
    return totp.is_on(user.id) or (is_required(user) and count_passkeys(user.id) > 0)


def wants_codes(user: User) -> bool:
    """Say whether recovery codes would be of use, and there are none."""
    return has_factor(user) and recovery.count_left(user.id) == 0


def accept_code(user: User, code: str, by: Actor) -> Factor:
    """Take an app's code or a recovery code, each good once. Raises WrongCode; flushes."""
    if recovery.looks_like_one(code):
        if not recovery.accept(user.id, code):
            raise WrongCode
        left = recovery.count_left(user.id)
        record(by, "recovery_code.used", f"user:{user.id}", user_id=user.id, left=left)
        alerts.tell_recovery_code_used(user, left, by)
        db.session.flush()
        return Factor.RECOVERY
    if not totp.accept(user.id, code):
        raise WrongCode
    return Factor.TOTP


def add_totp(user: User, code: str, by: Actor, *, keep: uuid.UUID) -> None:
    """Switch the authenticator app on and end every session but ``keep``.

    Those were opened by one factor alone. Raises WrongCode or SecondFactorThere.
    """
    totp.confirm(user, code, by)
    sessions.end_all(user.id, SessionEnd.EVERYWHERE, by, keep=keep)
    alerts.tell_change(user, alerts.Change.TOTP_ADDED, by)


def remove_passkey(user: User, passkey_id: int, by: Actor) -> None:
    """Take a passkey away. Raises NoSuchPasskey, LastWayIn or SecondFactorNeeded."""
    passkeys.remove(user, passkey_id, by)
    alerts.tell_change(user, alerts.Change.PASSKEY_REMOVED, by)
    if not has_factor(user):
        recovery.forget(user.id)


def remove_totp(user: User, by: Actor) -> bool:
    """Take the authenticator app away; False without one. Raises SecondFactorNeeded."""
    if totp.is_on(user.id):
        check_factor_remains(user, without_totp=True)
    if not totp.remove(user, by):
        return False
    alerts.tell_change(user, alerts.Change.TOTP_REMOVED, by)
    if not has_factor(user):
        recovery.forget(user.id)
    return True
