"""Signed, purpose-bound tokens: a link made for one thing, in one fork, opens nothing else."""

from typing import Any

from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

from webapp.core.errors import DomainError
from webapp.core.state import current_config, current_fork


class InvalidToken(DomainError):
    code = "link_invalid"
    status = 404

    def __init__(self) -> None:
        super().__init__("This link is not complete. Copy it whole from the mail and try again.")


class ExpiredToken(DomainError):
    code = "link_expired"
    status = 410

    def __init__(self) -> None:
        super().__init__("This link has expired. Ask us for a new one.")


def sign(purpose: str, value: Any) -> str:
    """Return a URL-safe token that carries ``value`` readably but unforgeably."""
    return _serializer(purpose).dumps(value)


def unsign(purpose: str, token: str, max_age_seconds: int | None = None) -> Any:
    """Return the value in ``token``. Raises InvalidToken or ExpiredToken."""
    try:
        return _serializer(purpose).loads(token, max_age=max_age_seconds)
    except SignatureExpired:
        raise ExpiredToken from None
    except BadSignature:
        raise InvalidToken from None


def _serializer(purpose: str) -> URLSafeTimedSerializer:
    config = current_config()
    # The last key signs; the ones before it are still accepted while a key is being rolled.
    keys = [key for key in (config.secret_key_previous, config.secret_key) if key]
    return URLSafeTimedSerializer(keys, salt=current_fork().salt(purpose))
