"""A worker's side: what RQ calls, and how a promise is claimed, kept and closed."""

import logging
import os
import random
import socket
from collections.abc import Callable
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

from flask import current_app
from sqlalchemy import or_, update
from sqlalchemy.dialects.postgresql import insert

from webapp.core import clock
from webapp.core import logging as log
from webapp.core.db import db
from webapp.core.errors import DomainError, Unprocessable
from webapp.core.models import Job, JobAttempt, JobState
from webapp.core.redis import redis_client
from webapp.core.state import current_config, current_fork

logger = logging.getLogger(__name__)

# What becomes of a row whose lease ran out: tried again, or given up after the last try.
GIVEN_BACK = (JobState.QUEUED, JobState.FAILED)


def answer_ring(fork: str, path: str) -> None:
    """RQ's entry point for a ring."""
    _refuse_other_fork(fork)
    redis_client().delete(current_fork().redis_key("ring", path))
    with current_app.app_context():
        resolve(path)()


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


def _refuse_other_fork(fork: str) -> None:
    if fork != current_fork().name:
        raise RuntimeError(f"a job of fork {fork} reached a worker of {current_fork().name}")


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
            resolve(job.path)(*job.args)
    except Exception as error:
        level = logging.WARNING if isinstance(error, DomainError) else logging.ERROR
        logger.log(
            level, "job failed", exc_info=error, extra={"path": job.path, "attempt": job.attempts}
        )
        return error
    return None


def resolve(path: str) -> Callable[..., object]:
    """Return the job of this path. Raises Unprocessable for what is none."""
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
    # Where nobody took it yet, what was done late is done all the same.
    open_states = [JobState.RUNNING] if error else [JobState.RUNNING, *GIVEN_BACK]
    db.session.execute(
        update(Job)
        .where(Job.id == job.id, Job.attempts == job.attempts, Job.state.in_(open_states))
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
