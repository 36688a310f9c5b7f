"""Passwords: what makes a good one, and how one is kept and recognised."""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from webapp.accounts.errors import WeakPassword
from webapp.accounts.models import User
from webapp.core import clock
from webapp.core.db import db
from webapp.core.state import current_config

MIN_LENGTH = 10
MAX_LENGTH = 200
_LOOKALIKES = str.maketrans("@4031!$5+7", "aaoeiisstt")


class Rule(StrEnum):
    """What a password must meet, in the order in which people are told."""

    LENGTH = "length"
    LIMIT = "limit"
    CAPITAL = "capital"
    SPECIAL = "special"
    EMAIL = "email"
    COMMON = "common"


_NEEDS = {
    Rule.LENGTH: f"at least {MIN_LENGTH} characters",
    Rule.LIMIT: f"at most {MAX_LENGTH} characters",
    Rule.CAPITAL: "a capital letter",
    Rule.SPECIAL: "a special character like ! or -",
}
_REFUSALS = {
    Rule.EMAIL: "The password is too much like the email address.",
    Rule.COMMON: "That is one of the passwords tried first. Choose another.",
}


def set_password(user: User, password: str) -> None:
    """Give ``user`` a password. Raises WeakPassword; flushes.

    Whoever calls ends the user's other sessions.
    """
    check_password_rules(password, user.email)
    user.password_hash = hash_password(password)
    user.password_changed_at = clock.now()
    db.session.flush()


def hash_password(password: str) -> str:
    return _hashing().hasher.hash(password)


def matches(password_hash: str | None, password: str) -> bool:
    """Say whether this is the password. Costs the same when there is none to compare with."""
    try:
        good = _verify(password_hash or _hashing().decoy, password[: MAX_LENGTH + 1])
    except (VerificationError, InvalidHashError):
        return False
    return good and password_hash is not None


def _verify(password_hash: str, password: str) -> bool:
    return _hashing().hasher.verify(password_hash, password)


def rehash_if_needed(user: User, password: str) -> None:
    """Bring the stored hash up to the parameters in force; the password has just been shown."""
    if user.password_hash is not None and _hashing().hasher.check_needs_rehash(user.password_hash):
        user.password_hash = hash_password(password)
        db.session.flush()


def fingerprint(user: User) -> str:
    """Return a short text that changes with password and address: links bound to it die of use."""
    known = f"{user.password_hash or ''}\n{user.email}\n{user.active}"
    return hashlib.sha256(known.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class _Hashing:
    """A hasher, and a hash of its own to compare with when there is none."""

    hasher: PasswordHasher
    decoy: str


@lru_cache(maxsize=4)
def _hashing_of(time_cost: int, memory_kib: int, parallelism: int) -> _Hashing:
    # Both at once: were the decoy made at its first use, that login would take longer.
    hasher = PasswordHasher(time_cost, memory_kib, parallelism)
    return _Hashing(hasher, hasher.hash("nobody has this password"))


def _hashing() -> _Hashing:
    config = current_config()
    return _hashing_of(config.argon2_time_cost, config.argon2_memory_kib, config.argon2_parallelism)


def check_password_rules(password: str, email: str) -> None:
    """Raise WeakPassword, with everything that is missing in one sentence."""
    missing = find_missing(password, email)
    needs = [_NEEDS[rule] for rule in missing if rule in _NEEDS]
    if needs:
        raise WeakPassword(f"The password needs {_join(needs)}.")
    if missing:
        raise WeakPassword(_REFUSALS[missing[0]])


def find_missing(password: str, email: str) -> list[Rule]:
    """Return the rules that the password doesn't meet yet."""
    met = {
        Rule.LENGTH: len(password) >= MIN_LENGTH,
        Rule.LIMIT: len(password) <= MAX_LENGTH,
        Rule.CAPITAL: any(character.isupper() for character in password),
        Rule.SPECIAL: not all(character.isalnum() or character.isspace() for character in password),
    }
    if met[Rule.LIMIT]:
        met[Rule.EMAIL] = not _resembles(password, email)
        met[Rule.COMMON] = not _is_common(password)
    return [rule for rule, is_met in met.items() if not is_met]


def _resembles(password: str, email: str) -> bool:
    lowered = password.casefold()
    name, _, domain = email.casefold().partition("@")
    parts = [name, domain.partition(".")[0], *re.split(r"[^a-z0-9]+", name)]
    return any(len(part) >= 4 and part in lowered for part in parts)


def _is_common(password: str) -> bool:
    """Look the password up as it is, without what people add to it, and with p@ssw0rd undone."""
    lowered = password.casefold()
    if len(set(lowered)) < 5:
        return True
    plain = re.sub(r"[\W_]+$", "", lowered)
    word = re.sub(r"[\W\d_]+$", "", lowered)
    cores = {lowered, plain, word}
    cores |= {core.translate(_LOOKALIKES) for core in cores}
    cores |= {re.sub(r"[^a-z]", "", core) for core in (lowered, word.translate(_LOOKALIKES))}
    return any(len(core) >= 4 and core in _common() for core in cores)


@cache
def _common() -> frozenset[str]:
    """Return the passwords tried first, all lower-case: zxcvbn's 30,000. Loaded when needed."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # type: ignore[import-untyped] # has none

    return frozenset(FREQUENCY_LISTS["passwords"])


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
