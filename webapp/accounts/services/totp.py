"""Authenticator apps: codes of six digits that change every half minute (RFC 6238)."""

import hmac
import uuid
from dataclasses import dataclass

import pyotp
from sqlalchemy import select, update

from webapp.accounts.errors import SecondFactorThere, WrongCode
from webapp.accounts.models import Totp, User
from webapp.accounts.services.sealing import reseal, seal, unseal
from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db

# Clocks of phones are a little off: the step before and the one after count too.
WINDOW = 1


@dataclass(frozen=True, slots=True)
class TotpSetup:
    """What an authenticator app is told: as a link for its camera, and as a key to type."""

    uri: str
    key: str


def is_on(user_id: uuid.UUID) -> bool:
    """Say whether the user has an authenticator app that was confirmed."""
    found = select(Totp.user_id).where(Totp.user_id == user_id, Totp.confirmed_at.is_not(None))
    return db.session.scalar(found) is not None


def begin(user: User) -> None:
    """Make a new key, which counts for nothing until it is confirmed; flushes.

    Raises SecondFactorThere when an app is confirmed already.
    """
    # If the user presses twice, the second waits here and finds the first one's row.
    db.session.execute(select(User.id).where(User.id == user.id).with_for_update())
    totp = _locked(user.id)
    if totp is None:
        totp = Totp(user_id=user.id)
        db.session.add(totp)
    elif totp.confirmed_at is not None:
        raise SecondFactorThere
    totp.secret = seal(pyotp.random_base32())
    totp.last_step = 0
    db.session.flush()


def find_setup(user: User, issuer: str) -> TotpSetup | None:
    """Return what an app needs to know, while the key waits for its confirmation."""
    totp = db.session.get(Totp, user.id)
    if totp is None or totp.confirmed_at is not None:
        return None
    secret = unseal(totp.secret)
    if secret is None:
        return None
    uri = pyotp.TOTP(secret).provisioning_uri(name=user.email, issuer_name=issuer)
    return TotpSetup(uri, " ".join(secret[at : at + 4] for at in range(0, len(secret), 4)))


def confirm(user: User, code: str, by: Actor) -> None:
    """Switch the app on by a first code from it. Raises WrongCode or SecondFactorThere."""
    totp = _locked(user.id)
    if totp is None:
        raise WrongCode
    if totp.confirmed_at is not None:
        raise SecondFactorThere
    step = _step_of(totp, code)
    if step is None:
        raise WrongCode
    totp.confirmed_at = clock.now()
    totp.last_step = step
    record(by, "totp.added", f"user:{user.id}", user_id=user.id)
    db.session.flush()


def accept(user_id: uuid.UUID, code: str) -> bool:
    """Say whether ``code`` is good now. A step is taken once, nor is an earlier one thereafter."""
    totp = db.session.get(Totp, user_id, populate_existing=True)
    if totp is None or totp.confirmed_at is None:
        return False
    step = _step_of(totp, code)
    if step is None:
        return False
    # Of two requests with the same code, one finds the step taken.
    taken = (
        update(Totp)
        .where(Totp.user_id == user_id, Totp.last_step < step, Totp.secret == totp.secret)
        .values(last_step=step, secret=reseal(totp.secret))
        .returning(Totp.user_id)
    )
    return db.session.scalar(taken) is not None


def remove(user: User, by: Actor) -> bool:
    """Take the app away; False if there was none. The caller asks first whether it may go."""
    totp = _locked(user.id)
    if totp is None:
        return False
    was_on = totp.confirmed_at is not None
    db.session.delete(totp)
    if was_on:
        record(by, "totp.removed", f"user:{user.id}", user_id=user.id)
    db.session.flush()
    return was_on


def _locked(user_id: uuid.UUID) -> Totp | None:
    return db.session.get(Totp, user_id, with_for_update=True, populate_existing=True)


def _step_of(totp: Totp, code: str) -> int | None:
    """Return the step, later than the last one taken, whose code this is."""
    secret, digits = unseal(totp.secret), code.replace(" ", "")
    if secret is None or not (digits.isascii() and digits.isdigit() and len(digits) == 6):
        return None
    app = pyotp.TOTP(secret)
    now = int(clock.now().timestamp()) // app.interval
    found = None
    for step in range(now - WINDOW, now + WINDOW + 1):
        same = hmac.compare_digest(app.generate_otp(step), digits)
        if same and step > totp.last_step and found is None:
            found = step
    return found
