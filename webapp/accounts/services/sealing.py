"""Keeps what must be read back, like an authenticator's key, unreadable to whoever has only rows.

The key is derived (HKDF, RFC 5869) from SECRET_KEY and the fork: a copy of the database is no use
without the one, and no other fork reads it.
"""

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from webapp.core.state import current_config, current_fork


def seal(text: str) -> str:
    return _fernet().encrypt(text.encode()).decode()


def reseal(sealed: str) -> str:
    """Return the same under SECRET_KEY, so that the previous one can go; for what unseals."""
    return _fernet().rotate(sealed).decode()


def unseal(sealed: str) -> str | None:
    """Return what was sealed under SECRET_KEY or SECRET_KEY_PREVIOUS; None if neither fits."""
    try:
        return _fernet().decrypt(sealed.encode()).decode()
    except InvalidToken:
        return None


def _fernet() -> MultiFernet:
    config = current_config()
    keys = [key for key in (config.secret_key, config.secret_key_previous) if key]
    return MultiFernet([Fernet(_derive(key)) for key in keys])


def _derive(secret_key: str) -> bytes:
    salt = current_fork().salt("sealing").encode()
    hkdf = HKDF(algorithm=SHA256(), length=32, salt=salt, info=b"accounts.sealing")
    return base64.urlsafe_b64encode(hkdf.derive(secret_key.encode()))
