"""An uploaded file that waits between a look at what it would do and doing it."""

import secrets
import uuid
import zlib
from contextlib import suppress
from datetime import timedelta

from redis import RedisError
from werkzeug.datastructures import FileStorage

from webapp.core.errors import DomainError
from webapp.core.redis import redis_client
from webapp.core.state import current_fork

KEPT = timedelta(hours=1)


def read_upload(file: FileStorage | None) -> bytes:
    """Return what was uploaded; a request has a limit of its own. Raises DomainError."""
    content = file.stream.read() if file is not None else b""
    if not content.strip():
        raise DomainError("Choose a CSV file with something in it.")
    return content


def keep(content: bytes, owner: uuid.UUID) -> str | None:
    """Keep a file for its owner for an hour and return its token; None without Redis."""
    token = secrets.token_urlsafe(16)
    with suppress(RedisError):
        redis_client().set(_key(token, owner), zlib.compress(content), ex=KEPT)
        return token
    return None


def fetch(token: str, owner: uuid.UUID) -> bytes:
    """Return what its owner kept under ``token``. Raises DomainError once it is gone."""
    with suppress(RedisError, zlib.error):
        kept = redis_client().get(_key(token, owner))
        if isinstance(kept, bytes):
            return zlib.decompress(kept)
    raise DomainError("The file is no longer here. Choose it again, and look at its report again.")


def drop(token: str, owner: uuid.UUID) -> None:
    with suppress(RedisError):
        redis_client().delete(_key(token, owner))


def _key(token: str, owner: uuid.UUID) -> str:
    return current_fork().redis_key("staged", f"{owner}:{token[:64]}")
