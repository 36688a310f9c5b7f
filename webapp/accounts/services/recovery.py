"""Recovery codes: for the day the phone is lost. Each opens the door once."""

import hashlib
import secrets
import uuid

from sqlalchemy import delete, func, select, update

from webapp.accounts.models import RecoveryCode, User
from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db

COUNT = 10
# Without letters and digits that are mistaken for one another: 16 of 31 are 79 bits.
ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
LENGTH = 16


def make_codes(user: User, by: Actor) -> list[str]:
    """Return new codes, to be shown this once; those of before are void. Flushes."""
    # If the user presses twice, the second set waits for the first and replaces it.
    db.session.execute(select(User.id).where(User.id == user.id).with_for_update())
    db.session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    codes = [_make() for _ in range(COUNT)]
    db.session.add_all(
        RecoveryCode(user_id=user.id, code_hash=_hash(user.id, code)) for code in codes
    )
    record(by, "recovery_codes.made", f"user:{user.id}", user_id=user.id, count=COUNT)
    db.session.flush()
    return codes


def accept(user_id: uuid.UUID, code: str) -> bool:
    """Say whether ``code`` is one of the user's, and use it up."""
    used = (
        update(RecoveryCode)
        .where(
            RecoveryCode.user_id == user_id,
            RecoveryCode.code_hash == _hash(user_id, code),
            RecoveryCode.used_at.is_(None),
        )
        .values(used_at=clock.now())
        .returning(RecoveryCode.id)
    )
    return db.session.scalar(used) is not None


def count_left(user_id: uuid.UUID) -> int:
    left = (
        select(func.count())
        .select_from(RecoveryCode)
        .where(RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None))
    )
    return db.session.scalar(left) or 0


def forget(user_id: uuid.UUID) -> None:
    """Void all codes: there is no second step left that they could replace."""
    db.session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))


def looks_like_one(code: str) -> bool:
    return len(_tidy(code)) == LENGTH


def _make() -> str:
    letters = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    return "-".join(letters[at : at + 4] for at in range(0, LENGTH, 4))


def _tidy(code: str) -> str:
    return "".join(letter for letter in code.upper() if letter in ALPHABET)


def _hash(user_id: uuid.UUID, code: str) -> str:
    # Long and random: a plain hash can't be guessed back, and a row tells whose it is by itself.
    return hashlib.sha256(f"{user_id}:{_tidy(code)}".encode()).hexdigest()
