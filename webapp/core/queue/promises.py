"""Promises: rows of the ``job`` table, written in the transaction that makes them necessary."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import event, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from webapp.core import clock
from webapp.core import logging as log
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.models import Job, JobState
from webapp.core.queue.bells import Queue, push

PENDING = "jobs_to_push"


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
