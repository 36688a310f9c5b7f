"""Where the parts of a running demo are, in the shape of the file that --ready names."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Addresses:
    """A pid is None for a server that DATABASE_URL or REDIS_URL names: it isn't our process."""

    web: str
    admin_url: str
    admin_email: str
    admin_password: str
    mailbox: str
    stripe: str
    stripe_key: str
    webhook_secret: str
    database_url: str
    redis_url: str
    pids: dict[str, int | None]

    def as_json(self) -> dict[str, Any]:
        return {
            "web": self.web,
            "admin": {
                "url": self.admin_url,
                "email": self.admin_email,
                "password": self.admin_password,
            },
            "mailbox": self.mailbox,
            "stripe": self.stripe,
            "stripe_key": self.stripe_key,
            "webhook_secret": self.webhook_secret,
            "database_url": self.database_url,
            "redis_url": self.redis_url,
            "pids": self.pids,
        }
