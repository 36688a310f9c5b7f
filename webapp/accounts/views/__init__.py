"""Pages about oneself: getting in, getting out, and everything a person may change."""

from webapp.accounts.views import (
    emails,
    entering,
    federation,
    passkeys,
    privacy,
    proving,
    recovering,
    registering,
    second_step,
    security,
    totp,
    waiting,
)
from webapp.accounts.views.blueprint import blueprint

__all__ = [
    "blueprint",
    "emails",
    "entering",
    "federation",
    "passkeys",
    "privacy",
    "proving",
    "recovering",
    "registering",
    "second_step",
    "security",
    "totp",
    "waiting",
]
