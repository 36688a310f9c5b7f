"""Mails: written down in the transaction of what they tell about, delivered by a job."""

from webapp.messaging.services.delivery import (
    STUCK,
    Letter,
    Settled,
    begin,
    claim,
    conclude,
    send_again,
    settle_stale,
)
from webapp.messaging.services.posting import post, post_words

__all__ = [
    "STUCK",
    "Letter",
    "Settled",
    "begin",
    "claim",
    "conclude",
    "post",
    "post_words",
    "send_again",
    "settle_stale",
]
