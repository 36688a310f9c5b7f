"""What campaigns do outside a request: send, judge what came back, follow up, note visits."""

from jobs.campaigns.populating import populate
from jobs.campaigns.sending import keep_sending, send_due
from jobs.campaigns.sequences import advance_sequences, begin_sequences
from jobs.campaigns.tracking import (
    credit_order,
    drain_tracking,
    judge_tracking,
    purge_tracking,
)
from jobs.campaigns.visits import drain_client_events, purge_client_events
from jobs.campaigns.writing import check_links, forget_recipients

__all__ = [
    "advance_sequences",
    "begin_sequences",
    "check_links",
    "credit_order",
    "drain_client_events",
    "drain_tracking",
    "forget_recipients",
    "judge_tracking",
    "keep_sending",
    "populate",
    "purge_client_events",
    "purge_tracking",
    "send_due",
]
