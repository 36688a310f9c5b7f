"""One experiment of a founder: every name that must not be shared is derived here."""

import re
from dataclasses import dataclass
from pathlib import Path

from webapp.core.errors import InvalidForkName

FORK_NAME = re.compile(r"[a-z][a-z0-9_]{1,47}")


@dataclass(frozen=True, slots=True)
class Fork:
    """A fork is named by its Postgres database; all other names follow from it."""

    name: str
    uploads_root: Path

    def __post_init__(self) -> None:
        if not FORK_NAME.fullmatch(self.name):
            raise InvalidForkName(self.name)

    def redis_key(self, *parts: object) -> str:
        """Return a Redis key no other fork can use: ``key("ring", "x")`` -> ``fork:ring:x``."""
        return ":".join([self.name, *map(str, parts)])

    def queue_name(self, queue: str) -> str:
        """Return the RQ queue that only this fork's workers listen to."""
        return f"{self.name}.{queue}"

    def cookie_name(self, purpose: str, *, secure: bool) -> str:
        """Return a cookie name; behind HTTPS it takes the ``__Host-`` prefix (RFC 6265bis)."""
        return f"{'__Host-' if secure else ''}{self.name}_{purpose}"

    def salt(self, purpose: str) -> str:
        """Return the signing salt, so that a link of one fork is invalid in every other."""
        return f"{self.name}/{purpose}"

    @property
    def upload_folder(self) -> Path:
        return self.uploads_root / self.name
