"""Sending: at most once to each person, through any crash, as fast as the limits let it."""

from webapp.campaigns.services.sending.control import (
    cancel,
    next_due,
    pause,
    resume,
    schedule,
    send_again,
    start,
    start_due,
)
from webapp.campaigns.services.sending.deciding import decide_due
from webapp.campaigns.services.sending.dispatch import Turn, send_lease
from webapp.campaigns.services.sending.leases import finish
from webapp.campaigns.services.sending.progress import Minute, Progress, progress, rates
from webapp.campaigns.services.sending.recovering import expire, recover

__all__ = [
    "Minute",
    "Progress",
    "Turn",
    "cancel",
    "decide_due",
    "expire",
    "finish",
    "next_due",
    "pause",
    "progress",
    "rates",
    "recover",
    "resume",
    "schedule",
    "send_again",
    "send_lease",
    "start",
    "start_due",
]
