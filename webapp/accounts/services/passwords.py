"""Making logins and checking passwords."""

import hashlib
import re
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY
from email_validator import EmailNotValidError, validate_email

from webapp.accounts.errors import EmailTaken, InvalidEmail, WeakPassword
from webapp.accounts.models import Role, User
from webapp.accounts.queries import find_user_by_email
from webapp.core import clock
from webapp.core.db import db

# RFC 9106, section 4, second recommended option: Argon2id, 64 MiB, 3 passes, 4 lanes. A change
# here reaches every stored hash at its owner's next login.
_HASHER = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)

MIN_LENGTH = 10
MAX_LENGTH = 200
_COMMON = (
    " abc abcd abcde abcdef abcdefg admin administrator asdf asdfgh asdfghjkl baseball basketball"
    " changeme charlie computer default dragon football freedom guest hallo hello iloveyou"
    " jennifer jessica jordan letmein login master michael monkey mustang owner pass passphrase"
    " passwd password passwort princess qazwsx qwer qwert qwerty qwertyuiop qwertz root secret"
    " shadow spring startupwebapp summer autumn winter sunshine superman temp temporary test"
    " testing trustno welcome whatever zxcvbn zxcvbnm "
)
_LOOKALIKES = str.maketrans("@4031!$5+7", "aaoeiisstt")


def create_staff(email: str, role: Role, password: str) -> User:
    """Add a login with ``role``. Raises InvalidEmail, EmailTaken or WeakPassword."""
    address = _read_email(email)
    if find_user_by_email(address) is not None:
        raise EmailTaken(address)
    check_password_rules(password, address)
    user = User(email=address, password_hash=_HASHER.hash(password), role=role)
    db.session.add(user)
    db.session.flush()
    return user


def change_password(user: User, password: str) -> None:
    """Replace the password, which ends every session of ``user``. Raises WeakPassword."""
    check_password_rules(password, user.email)
    user.password_hash = _HASHER.hash(password)
    db.session.flush()


def authenticate(email: str, password: str) -> User | None:
    """Return the active user whose password this is, and note the login.

    Costs one verification whether the address is known or not, so the time tells nothing.
    """
    user = find_user_by_email(email)
    known = user.password_hash if user is not None and user.active else None
    good = _verify(known or _decoy(), password[: MAX_LENGTH + 1])
    if user is None or known is None or not good:
        return None
    if _HASHER.check_needs_rehash(known):
        user.password_hash = _HASHER.hash(password)
    user.last_login_at = clock.now()
    db.session.flush()
    return user


def fingerprint(user: User) -> str:
    """Return a short text that changes with the password, for sessions to be bound to."""
    return hashlib.sha256((user.password_hash or "").encode()).hexdigest()[:16]


def check_password_rules(password: str, email: str) -> None:
    """Raise WeakPassword, with everything that is missing in one sentence."""
    missing = []
    if len(password) < MIN_LENGTH:
        missing.append(f"at least {MIN_LENGTH} characters")
    if len(password) > MAX_LENGTH:
        missing.append(f"at most {MAX_LENGTH} characters")
    if not any(character.isupper() for character in password):
        missing.append("a capital letter")
    if all(character.isalnum() or character.isspace() for character in password):
        missing.append("a special character like ! or -")
    if missing:
        raise WeakPassword(f"The password needs {_join(missing)}.")
    if _resembles(password, email):
        raise WeakPassword("The password is too much like the email address.")
    if _is_common(password):
        raise WeakPassword("That is one of the passwords tried first. Choose another.")


def _read_email(email: str) -> str:
    try:
        found = validate_email(email.strip(), check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        raise InvalidEmail(email) from None
    return found.normalized.lower()


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


@lru_cache(maxsize=1)
def _decoy() -> str:
    return _HASHER.hash("nobody has this password")


def _resembles(password: str, email: str) -> bool:
    lowered = password.casefold()
    name, _, domain = email.casefold().partition("@")
    parts = [name, domain.partition(".")[0], *re.split(r"[^a-z0-9]+", name)]
    return any(len(part) >= 4 and part in lowered for part in parts)


def _is_common(password: str) -> bool:
    """Compare what remains without digits and signs, and with look-alikes (p@ssw0rd) undone."""
    lowered = password.casefold()
    undone = re.sub(r"[\W\d_]+$", "", lowered).translate(_LOOKALIKES)
    cores = {re.sub(r"[^a-z]", "", text) for text in (lowered, undone)}
    return len(set(lowered)) < 5 or any(f" {core} " in _COMMON for core in cores if core)


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
