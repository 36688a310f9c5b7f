"""The doorbell: the only place that knows RQ. What it loses, the clock rings for again."""

import logging
import os
import random
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Any

import rq
from redis import RedisError
from redis.client import Pipeline
from rq.exceptions import DuplicateJobError, InvalidJobOperation
from rq.serializers import JSONSerializer

from webapp.core.redis import redis_client
from webapp.core.state import current_fork

logger = logging.getLogger(__name__)

# RQ calls these by their paths, also those that an earlier release left in Redis.
RUN = "webapp.core.queue.perform"
ANSWER = "webapp.core.queue.answer_ring"
RING_SECONDS = 30
_RQ_OPTIONS: dict[str, Any] = {"result_ttl": 0, "failure_ttl": 3600, "job_timeout": 600}


class Queue(StrEnum):
    """The queues, in the order a worker empties them.

    Bulk comes last: a send calls itself again until it is over, which may take hours.
    """

    CRITICAL = "critical"
    MAIL = "mail"
    TRACKING = "tracking"
    MAINTENANCE = "maintenance"
    BULK = "bulk"


def ring(path: str, queue: Queue = Queue.CRITICAL) -> None:
    """Call ``path()`` soon, once for any number of rings until it begins.

    For tables that are their own outbox (the webhook inbox, reports): call it after the commit.
    The bell is taken down before the job looks, so a row committed before a ring is always seen.
    """
    ring_all([(path, queue)])


def ring_all(calls: Sequence[tuple[str, Queue]]) -> bool:
    """The same for several at once; returns whether Redis took them."""
    try:
        _ring_new(calls)
    except RedisError as error:
        paths = [path for path, _ in calls]
        logger.warning(
            "rings lost, the clock will call", extra={"paths": paths, "why": repr(error)}
        )
        return False
    return True


def _ring_new(calls: Sequence[tuple[str, Queue]]) -> None:
    """Hang up each missing bell together with its call: none hangs that nobody will answer."""
    bells = [current_fork().redis_key("ring", path) for path, _ in calls]
    if not bells or all(redis_client().mget(bells)):
        return

    def ring_missing(pipe: Pipeline) -> None:
        hanging = pipe.mget(bells)
        pipe.multi()
        for (path, queue), bell, hangs in zip(calls, bells, hanging, strict=True):
            if not hangs:
                pipe.set(bell, 1, ex=RING_SECONDS)
                _rq_queue(queue.value).enqueue(
                    ANSWER, current_fork().name, path, pipeline=pipe, **_RQ_OPTIONS
                )

    # Again where somebody else rang, or a worker answered, in the same moment.
    redis_client().transaction(ring_missing, *bells)


def has_waiting(*queues: Queue) -> bool:
    """Say whether jobs wait in one of these queues, so that a long job can make way for them."""
    try:
        return any(_rq_queue(queue.value).count for queue in queues)
    except RedisError:
        return False


def push(jobs: Iterable[tuple[int, str]]) -> int:
    """Ring for ``(job id, queue)`` pairs; returns how many bells rang. Never raises."""
    rung = 0
    try:
        for job_id, queue in jobs:
            rung += _push_one(job_id, queue)
    except RedisError as error:
        logger.warning("jobs not pushed, the clock will", extra={"why": repr(error)})
    return rung


def push_again(rows: Iterable[tuple[int, str]]) -> int:
    """Ring anew for jobs whose bells may be lost; returns how many rang. Never raises."""
    rung = 0
    try:
        for job_id, queue in rows:
            _forget_lost_bell(job_id, queue)
            rung += _push_one(job_id, queue)
    except RedisError as error:
        logger.warning("relay found Redis away", extra={"why": repr(error)})
    return rung


def _push_one(job_id: int, queue: str) -> bool:
    fork = current_fork()
    try:
        _rq_queue(queue).enqueue(
            RUN, fork.name, job_id, job_id=_rq_id(job_id), unique=True, **_RQ_OPTIONS
        )
    except DuplicateJobError:
        return False
    return True


def _forget_lost_bell(job_id: int, queue: str) -> None:
    """Remove RQ's record of a job whose id is no longer in the list a worker pops from."""
    rq_queue = _rq_queue(queue)
    record = rq_queue.fetch_job(_rq_id(job_id))
    if record is not None and rq_queue.get_job_position(_rq_id(job_id)) is None:
        _forget_record(record)


def _forget_record(record: rq.job.Job) -> None:
    # A flush, or the worker itself, may take the record between two of RQ's own commands.
    with suppress(InvalidJobOperation, ValueError):
        try:
            record.delete()
        except ValueError:
            # An execution's record ends before the list that names it, and RQ insists on both.
            redis_client().delete(record.execution_registry.key)
            record.delete()


def work(queues: Sequence[Queue], *, burst: bool = False) -> None:
    """Run jobs of this fork in this process until told to stop.

    The in-process worker costs a third of the forking one per job. A job that outlives its
    time-out is ended by an alarm; a killed process loses nothing, its rows are leased.
    """
    names = [current_fork().queue_name(queue) for queue in queues]
    worker = rq.SimpleWorker(
        names,
        name=f"{current_fork().name}-{socket.gethostname()}-{os.getpid()}-{random.getrandbits(32)}",
        connection=redis_client(),
        serializer=JSONSerializer,
    )
    worker.work(burst=burst, logging_level="WARNING")


def _rq_id(job_id: int) -> str:
    return f"{current_fork().name}-{job_id}"


def _rq_queue(queue: str) -> rq.Queue:
    return rq.Queue(
        current_fork().queue_name(queue), connection=redis_client(), serializer=JSONSerializer
    )
