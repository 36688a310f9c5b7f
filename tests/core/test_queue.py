"""Jobs: promised in Postgres, rung for in Redis, run at least once, closed once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update

import jobs.maintenance
from tests.waiting import all_at_once
from webapp.core import clock, queue
from webapp.core.db import db
from webapp.core.errors import DomainError, Unprocessable
from webapp.core.models import Job, JobAttempt, JobState
from webapp.core.queue import Queue, bells, enqueue, perform, relay, run_again
from webapp.core.redis import redis_client
from webapp.core.state import current_fork

PURGE = "jobs.maintenance.purge"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """The calls of a job that does nothing else."""
    made: list[tuple[object, ...]] = []
    monkeypatch.setattr(jobs.maintenance, "purge", lambda *args: made.append(args))
    return made


def promise(**options: Any) -> int:
    job_id = enqueue(PURGE, 7, **options)
    db.session.commit()
    assert job_id is not None
    return job_id


def get(job_id: int) -> Job:
    return db.session.get_one(Job, job_id, populate_existing=True)


def rung() -> int:
    return sum(
        redis_client().llen(f"rq:queue:{current_fork().queue_name(q.value)}") for q in queue.Queue
    )


def run(job_id: int) -> None:
    perform(current_fork().name, job_id)


def test_a_job_runs_after_the_commit(
    app: Flask, calls: list[object], run_jobs: Callable[[], int]
) -> None:
    job_id = promise(subject="order:1")
    assert rung() == 1
    assert run_jobs() == 1
    assert calls == [(7,)]
    assert get(job_id).state is JobState.DONE
    attempt = db.session.scalars(select(JobAttempt).where(JobAttempt.job_id == job_id)).one()
    assert (attempt.number, attempt.error) == (1, None)


def test_a_rolled_back_promise_rings_nowhere(app: Flask) -> None:
    enqueue(PURGE)
    db.session.rollback()
    assert rung() == 0
    assert db.session.scalar(select(func.count(Job.id))) == 0


def test_a_released_savepoint_rings_nowhere_yet(app: Flask) -> None:
    with db.session.begin_nested():
        enqueue(PURGE)
    assert rung() == 0
    db.session.commit()
    assert rung() == 1


def test_a_key_makes_a_promise_once(app: Flask) -> None:
    assert promise(key="once")
    assert enqueue(PURGE, key="once") is None


def test_performing_twice_runs_once(app: Flask, calls: list[object]) -> None:
    job_id = promise()
    run(job_id)
    run(job_id)
    assert len(calls) == 1


def test_a_job_of_another_fork_is_refused(app: Flask, calls: list[object]) -> None:
    job_id = promise()
    with pytest.raises(RuntimeError, match="reached a worker of"):
        perform("healthtech_dev", job_id)
    assert not calls


def test_an_emptied_redis_is_rung_again(app: Flask, calls: list[object]) -> None:
    promise()
    redis_client().flushdb()
    assert relay() == 1
    assert rung() == 1


def test_the_relay_leaves_a_bell_that_still_hangs(app: Flask) -> None:
    job_id = promise()
    assert relay() == 0
    db.session.execute(update(Job).values(pushed_at=clock.now() - timedelta(minutes=5)))
    assert relay() == 0
    assert rung() == 1
    assert get(job_id).state is JobState.QUEUED


def test_a_job_popped_by_a_worker_that_died_is_rung_again(app: Flask) -> None:
    promise()
    fork = current_fork()
    redis_client().lpop(f"rq:queue:{fork.queue_name('critical')}")
    assert relay() == 1
    assert rung() == 1


def test_a_bell_whose_execution_is_forgotten_is_rung_again(app: Flask) -> None:
    job_id = promise()
    fork = current_fork()
    redis_client().lpop(f"rq:queue:{fork.queue_name('critical')}")
    executions = f"rq:executions:{fork.name}-{job_id}"
    redis_client().zadd(executions, {"gone": clock.now().timestamp() + 60})
    assert relay() == 1
    assert rung() == 1


def test_a_dead_workers_lease_is_freed(app: Flask, calls: list[object]) -> None:
    job_id = promise()
    gone = clock.now() - timedelta(seconds=1)
    db.session.execute(update(Job).values(state=JobState.RUNNING, attempts=1, lease_until=gone))
    db.session.commit()
    relay()
    run(job_id)
    assert get(job_id).state is JobState.DONE
    assert get(job_id).attempts == 2


def test_a_worker_lost_on_the_last_try_leaves_a_failed_job(app: Flask) -> None:
    job_id = promise()
    gone = clock.now() - timedelta(seconds=1)
    last = {"attempts": Job.max_attempts, "lease_until": gone, "run_at": gone}
    db.session.execute(update(Job).values(state=JobState.RUNNING, **last))
    db.session.commit()
    assert relay() == 0
    job = get(job_id)
    assert (job.state, job.run_at, job.lease_until) == (JobState.FAILED, gone, None)
    assert job.finished_at is not None
    assert job.error == "The worker was lost during the last try."


@pytest.mark.parametrize("attempts", [0, 7])
def test_what_took_longer_than_its_lease_is_done_all_the_same(
    app: Flask, monkeypatch: pytest.MonkeyPatch, attempts: int
) -> None:
    """Nobody else has begun it yet: it isn't done again, nor given up after the last try."""
    given_back: list[JobState] = []

    def outlive_the_lease(*_args: object) -> None:
        with clock.frozen(clock.now() + timedelta(hours=1)):
            relay()
        given_back.append(get(job_id).state)

    monkeypatch.setattr(jobs.maintenance, "purge", outlive_the_lease)
    job_id = promise(max_attempts=8)
    db.session.execute(update(Job).values(attempts=attempts))
    db.session.commit()
    run(job_id)
    assert given_back == [JobState.FAILED if attempts else JobState.QUEUED]
    job = get(job_id)
    assert (job.state, job.attempts, job.error) == (JobState.DONE, attempts + 1, None)


def test_a_failure_is_tried_again_later(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> None:
        raise DomainError("The printer is out of paper.")

    monkeypatch.setattr(jobs.maintenance, "purge", fail)
    job_id = promise(max_attempts=2)
    run(job_id)
    job = get(job_id)
    assert job.state is JobState.QUEUED
    assert job.run_at > clock.now()
    assert job.error == "DomainError: The printer is out of paper."
    with clock.frozen(clock.now() + timedelta(hours=1)):
        run(job_id)
    assert get(job_id).state is JobState.FAILED


def test_what_can_never_succeed_fails_at_once(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> None:
        raise Unprocessable("No such thing.")

    monkeypatch.setattr(jobs.maintenance, "purge", fail)
    job_id = promise()
    run(job_id)
    assert get(job_id).state is JobState.FAILED


def test_a_failed_job_runs_again_on_request(app: Flask, calls: list[object]) -> None:
    job_id = promise()
    db.session.execute(update(Job).values(state=JobState.FAILED, attempts=8))
    db.session.commit()
    run_again(job_id)
    db.session.commit()
    run(job_id)
    assert get(job_id).state is JobState.DONE


def test_a_running_job_can_not_be_run_again(app: Flask) -> None:
    with pytest.raises(DomainError, match="only a failed one"):
        run_again(promise())


def test_only_jobs_can_be_called(app: Flask) -> None:
    job_id = enqueue("os.system", "true")
    db.session.commit()
    assert job_id
    run(job_id)
    assert get(job_id).state is JobState.FAILED


def test_rings_are_heard_once_until_answered(app: Flask, calls: list[object]) -> None:
    queue.ring(PURGE)
    queue.ring(PURGE)
    assert rung() == 1
    queue.answer_ring(current_fork().name, PURGE)
    assert calls == [()]
    queue.ring(PURGE)
    assert rung() == 2


def test_of_several_rings_those_are_new_whose_bell_does_not_hang(app: Flask) -> None:
    queue.ring(PURGE)
    queue.ring_all([(PURGE, Queue.CRITICAL), ("jobs.a.b", Queue.BULK), ("jobs.c.d", Queue.BULK)])
    fork = current_fork()
    waiting = {which: redis_client().llen(f"rq:queue:{fork.queue_name(which)}") for which in Queue}
    assert {which: count for which, count in waiting.items() if count} == {
        Queue.CRITICAL: 1,
        Queue.BULK: 2,
    }


def test_many_who_ring_at_once_hang_up_one_bell(app: Flask, calls: list[object]) -> None:
    def ring(_number: int) -> None:
        with app.app_context():
            queue.ring(PURGE)

    for _ in range(10):
        all_at_once(12, ring)
    assert rung() == 1


def test_redis_away_loses_no_promise(
    app: Flask, calls: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    from redis import ConnectionError as Away

    def away(*_args: object, **_kwargs: object) -> None:
        raise Away

    with monkeypatch.context() as patch:
        patch.setattr(bells, "_rq_queue", away)
        job_id = promise()
        assert not queue.ring_all([(PURGE, Queue.CRITICAL)])
    assert relay() == 1
    run(job_id)
    assert len(calls) == 1
    before = rung()
    assert queue.ring_all([(PURGE, Queue.CRITICAL)])
    assert rung() == before + 1, "a bell must not hang that nobody will answer"
