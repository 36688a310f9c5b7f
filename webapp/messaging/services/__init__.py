"""Mails: written down in the transaction of what they tell about, delivered by a job."""

from webapp.messaging.services.delivery import (
    Letter,
    Settled,
    begin,
    claim,
    conclude,
    send_again,
    settle_stale,
)
from webapp.messaging.services.posting import post

__all__ = [
    "Letter",
    "Settled",
    "begin",
    "claim",
    "conclude",
    "post",
    "send_again",
    "settle_stale",
]
