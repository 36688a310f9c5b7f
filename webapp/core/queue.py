"""Jobs: Postgres keeps every promise in the ``job`` table, RQ on Redis only rings for them.

A job is at least once: whoever claims its row runs it, and the clock rings again for rows that
nobody closed. Emptying Redis therefore loses nothing, and ringing twice does no harm.
"""

import logging
import os
import random
import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from enum import StrEnum
from importlib import import_module
from typing import Any

import rq
from flask import current_app
from redis import RedisError
from rq.exceptions import DuplicateJobError, InvalidJobOperation
from rq.serializers import JSONSerializer
from sqlalchemy import event, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from webapp.core import clock
from webapp.core import logging as log
from webapp.core.db import db
from webapp.core.errors import DomainError, Unprocessable
from webapp.core.models import Job, JobAttempt, JobState
from webapp.core.redis import redis_client
from webapp.core.state import current_config, current_fork

logger = logging.getLogger(__name__)

RUN = "webapp.core.queue.perform"
ANSWER = "webapp.core.queue.answer_ring"
RING_SECONDS = 30
PENDING = "jobs_to_push"


class Queue(StrEnum):
    """The queues, in the order a worker empties them.

    Bulk comes last: a send calls itself again until it is over, which may take hours.
    """

    CRITICAL = "critical"
    MAIL = "mail"
    TRACKING = "tracking"
    MAINTENANCE = "maintenance"
    BULK = "bulk"


class NoSuchJob(DomainError):
    code = "job_not_found"
    status = 404


def enqueue(
    path: str,
    *args: Any,
    queue: Queue = Queue.CRITICAL,
    subject: str | None = None,
    key: str | None = None,
    run_at: datetime | None = None,
    max_attempts: int = 8,
    within: timedelta = timedelta(minutes=15),
) -> int | None:
    """Promise ``path(*args)`` in the caller's transaction; it is rung for after the commit.

    ``subject`` ("order:42") puts the job on that thing's timeline. ``key`` makes the promise
    unique for ever: the second one with the same key returns None. ``within`` sets the deadline
    after ``run_at`` past which ``flask doctor`` complains.
    """
    now = clock.now()
    due = run_at or now
    values = {
        "path": path,
        "args": list(args),
        "queue": queue.value,
        "subject": subject,
        "key": key,
        "max_attempts": max_attempts,
        "run_at": due,
        "deadline_at": due + within,
        "request_id": log.request_id.get(),
    }
    statement = insert(Job).values(values).on_conflict_do_nothing().returning(Job.id)
    job_id = db.session.scalar(statement)
    if job_id is not None and due <= now:
        db.session.info.setdefault(PENDING, []).append((job_id, queue.value))
    return job_id


def ring(path: str, queue: Queue = Queue.CRITICAL) -> None:
    """Call ``path()`` soon, once for any number of rings until it begins.

    For tables that are their own outbox (the webhook inbox, the mails): call it after the commit.
    The bell is taken down before the job looks, so a row committed before a ring is always seen.
    """
    bell = current_fork().redis_key("ring", path)
    try:
        if redis_client().set(bell, 1, nx=True, ex=RING_SECONDS):
            _rq_queue(queue.value).enqueue(ANSWER, current_fork().name, path, **_RQ_OPTIONS)
    except RedisError as error:
        logger.warning("ring lost, the clock will call", extra={"path": path, "why": repr(error)})


def has_waiting(*queues: Queue) -> bool:
    """Say whether jobs wait in one of these queues, so that a long job can make way for them."""
    try:
        return any(_rq_queue(queue.value).count for queue in queues)
    except RedisError:
        return False


def answer_ring(fork: str, path: str) -> None:
    """RQ's entry point for a ring."""
    _refuse_other_fork(fork)
    redis_client().delete(current_fork().redis_key("ring", path))
    with current_app.app_context():
        _resolve(path)()


_RQ_OPTIONS: dict[str, Any] = {"result_ttl": 0, "failure_ttl": 3600, "job_timeout": 600}


@event.listens_for(Session, "after_commit")
def _push_committed(session: Session) -> None:
    # Releasing a savepoint also fires after_commit; only the outermost commit makes rows visible.
    if session.in_nested_transaction():
        return
    pending = session.info.pop(PENDING, None)
    if pending:
        push(pending)


@event.listens_for(Session, "after_rollback")
def _forget_rolled_back(session: Session) -> None:
    if not session.in_nested_transaction():
        session.info.pop(PENDING, None)


def push(jobs: Iterable[tuple[int, str]]) -> int:
    """Ring for ``(job id, queue)`` pairs; returns how many bells rang. Never raises."""
    rung = 0
    try:
        for job_id, queue in jobs:
            rung += _push_one(job_id, queue)
    except RedisError as error:
        logger.warning("jobs not pushed, the clock will", extra={"why": repr(error)})
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


def _rq_id(job_id: int) -> str:
    return f"{current_fork().name}-{job_id}"


def _rq_queue(queue: str) -> rq.Queue:
    return rq.Queue(
        current_fork().queue_name(queue), connection=redis_client(), serializer=JSONSerializer
    )


def _refuse_other_fork(fork: str) -> None:
    if fork != current_fork().name:
        raise RuntimeError(f"a job of fork {fork} reached a worker of {current_fork().name}")


def perform(fork: str, job_id: int) -> None:
    """RQ's entry point: claim the row, run it, close the row."""
    _refuse_other_fork(fork)
    with current_app.app_context(), log.job_context(job_id):
        job = _claim(job_id)
        if job is None:
            return
        started = clock.now()
        error = _call(job)
        db.session.rollback()
        _close(job, started, error)


def _claim(job_id: int) -> Job | None:
    """Take the row for this worker, or return None when it is done, taken or not yet due."""
    now = clock.now()
    free = or_(
        Job.state == JobState.QUEUED,
        (Job.state == JobState.RUNNING) & (Job.lease_until < now),
    )
    statement = (
        update(Job)
        .where(Job.id == job_id, free, Job.run_at <= now)
        .values(
            state=JobState.RUNNING,
            attempts=Job.attempts + 1,
            lease_until=now + timedelta(seconds=current_config().job_lease_seconds),
        )
        .returning(Job)
    )
    job = db.session.scalar(statement)
    if job is not None:
        db.session.expunge(job)
    db.session.commit()
    return job


def _call(job: Job) -> Exception | None:
    try:
        with log.request_context(job.request_id):
            _resolve(job.path)(*job.args)
    except Exception as error:
        level = logging.WARNING if isinstance(error, DomainError) else logging.ERROR
        logger.log(
            level, "job failed", exc_info=error, extra={"path": job.path, "attempt": job.attempts}
        )
        return error
    return None


def _resolve(path: str) -> Callable[..., object]:
    module, _, name = path.rpartition(".")
    if not module.startswith("jobs."):
        raise Unprocessable(f"{path} is not a job.")
    function: Callable[..., object] = getattr(import_module(module), name)
    return function


def _close(job: Job, started: datetime, error: Exception | None) -> None:
    now = clock.now()
    db.session.execute(
        insert(JobAttempt)
        .values(
            job_id=job.id,
            number=job.attempts,
            worker=_worker_name(),
            started_at=started,
            finished_at=now,
            error=_describe(error),
        )
        .on_conflict_do_nothing()
    )
    # A lease that ran out may have given the row to another worker: only its own try may close it.
    db.session.execute(
        update(Job)
        .where(Job.id == job.id, Job.attempts == job.attempts, Job.state == JobState.RUNNING)
        .values(_outcome(job, error, now))
    )
    db.session.commit()


def _outcome(job: Job, error: Exception | None, now: datetime) -> dict[str, Any]:
    if error is None:
        return {"state": JobState.DONE, "finished_at": now, "error": None, "lease_until": None}
    again = job.attempts < job.max_attempts and not isinstance(error, Unprocessable)
    values: dict[str, Any] = {"error": _describe(error), "lease_until": None}
    if again:
        run_at = now + backoff(job.attempts)
        return values | {"state": JobState.QUEUED, "run_at": run_at, "pushed_at": None}
    return values | {"state": JobState.FAILED, "finished_at": now}


def backoff(attempts: int) -> timedelta:
    """Return the wait before the next try: about 5 s, 20 s, 80 s ... at most an hour."""
    seconds = min(5 * 4 ** (attempts - 1), 3600)
    return timedelta(seconds=seconds * random.uniform(0.8, 1.2))  # noqa: S311 - only a jitter


def _describe(error: Exception | None) -> str | None:
    if error is None:
        return None
    sentence = error.sentence if isinstance(error, DomainError) else str(error)
    return f"{type(error).__name__}: {sentence}"[:2000]


def _worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def relay(limit: int = 500) -> int:
    """Ring for due rows that no worker has closed, and free rows of dead workers.

    Called by the clock about every second. Returns the number of bells rung.
    """
    now = clock.now()
    _free_expired_leases(now)
    stale = now - timedelta(seconds=current_config().relay_after_seconds)
    due = (
        select(Job.id)
        .where(
            Job.state == JobState.QUEUED,
            Job.run_at <= now,
            or_(Job.pushed_at.is_(None), Job.pushed_at < stale),
        )
        .order_by(Job.run_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = db.session.execute(
        update(Job).where(Job.id.in_(due)).values(pushed_at=now).returning(Job.id, Job.queue)
    ).all()
    db.session.commit()
    return _push_again(rows)


def _free_expired_leases(now: datetime) -> None:
    dead = Job.state == JobState.RUNNING, Job.lease_until < now
    again = {"state": JobState.QUEUED, "run_at": now, "pushed_at": None, "lease_until": None}
    lost = "The worker was lost during the last try."
    db.session.execute(
        update(Job).where(*dead, Job.attempts < Job.max_attempts).values(error=lost, **again)
    )
    db.session.execute(
        update(Job).where(*dead).values(error=lost, state=JobState.FAILED, finished_at=now)
    )


def _push_again(rows: Sequence[Any]) -> int:
    rung = 0
    try:
        for job_id, queue in rows:
            _forget_lost_bell(job_id, queue)
            rung += _push_one(job_id, queue)
    except RedisError as error:
        logger.warning("relay found Redis away", extra={"why": repr(error)})
    return rung


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


def run_again(job_id: int) -> Job:
    """Give a failed or cancelled job a fresh set of tries, now.

    Raises NoSuchJob when there is none, DomainError when it is not over.
    """
    job = db.session.get(Job, job_id, with_for_update=True, populate_existing=True)
    if job is None:
        raise NoSuchJob(f"There is no job {job_id}.")
    if job.state not in (JobState.FAILED, JobState.CANCELLED):
        raise DomainError(f"Job {job_id} is {job.state.value}; only a failed one can run again.")
    now = clock.now()
    job.state = JobState.QUEUED
    job.run_at = now
    job.deadline_at = now + timedelta(minutes=15)
    job.max_attempts = job.attempts + 8
    job.finished_at = None
    job.pushed_at = None
    db.session.flush()
    db.session.info.setdefault(PENDING, []).append((job.id, job.queue))
    return job


def due_job_ids() -> list[int]:
    """Return the ids of all jobs that could run now, oldest first."""
    due = Job.state == JobState.QUEUED, Job.run_at <= clock.now()
    return list(db.session.scalars(select(Job.id).where(*due).order_by(Job.id)))


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
