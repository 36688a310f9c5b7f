"""Jobs: Postgres keeps every promise in the ``job`` table, RQ on Redis only rings for them.

A job is at least once: whoever claims its row runs it, and the clock rings again for rows that
nobody closed. Emptying Redis therefore loses nothing, and ringing twice does no harm.
"""

from webapp.core.queue.bells import RUN, Queue, has_waiting, ring, ring_all, work
from webapp.core.queue.performing import answer_ring, backoff, perform, resolve
from webapp.core.queue.promises import NoSuchJob, due_job_ids, enqueue, run_again
from webapp.core.queue.relaying import relay

__all__ = [
    "RUN",
    "NoSuchJob",
    "Queue",
    "answer_ring",
    "backoff",
    "due_job_ids",
    "enqueue",
    "has_waiting",
    "perform",
    "relay",
    "resolve",
    "ring",
    "ring_all",
    "run_again",
    "work",
]
