"""Erasing is killed, repeated, held up: all of it is done in the end, and once."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, text
from sqlalchemy.orm import Session

import jobs.privacy
from jobs.privacy import erase_due
from tests.accounts.erasure.forgetting import REMAINS, close, erase, found, say_goodbye
from tests.accounts.searching import whole_database
from tests.factories.lives import ALICE, RunJobs
from tests.factories.people import make_user
from webapp.accounts.models import Erasure, User
from webapp.accounts.services import exporting
from webapp.accounts.services.erasing import PATIENCE
from webapp.core import clock
from webapp.core.db import db
from webapp.core.models import Job, JobState
from webapp.core.redis import redis_client
from webapp.core.state import current_fork
from webapp.messaging.models import Mail, MailState

STEPS = [
    "scrub_events",
    "orders.erase",
    "campaigns.erase",
    "messaging.erase",
    "erasing.erase",
    "forget_jobs",
    "forget_in_redis",
    "erasing.finish",
]


class Killed(BaseException):
    """What no ``except Exception`` catches, like the end of the process."""


def test_killed_at_any_step_it_did_nothing_and_does_all_the_next_time(
    connection: Connection, alice: User, run_jobs: RunJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    close(alice)
    say_goodbye(run_jobs)
    db.session.commit()
    before = whole_database(connection)
    for step in STEPS:
        place: Any = jobs.privacy
        owner, _, name = step.rpartition(".")
        place = getattr(place, owner) if owner else place
        done = getattr(place, name)

        def die(*args: Any, _done: Callable[..., Any] = done, **kwargs: Any) -> None:
            _done(*args, **kwargs)
            db.session.flush()
            raise Killed

        monkeypatch.setattr(place, name, die)
        with pytest.raises(Killed):
            erase_due()
        db.session.rollback()
        monkeypatch.undo()
        assert whole_database(connection) == before, step
    erase_due()
    assert found(connection) == set(REMAINS)


def test_who_cannot_be_erased_keeps_nobody_else_from_it(
    alice: User, run_jobs: RunJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = make_user("bob@example.com")
    close(alice)
    close(bob)
    say_goodbye(run_jobs)
    forget = jobs.privacy._forget

    def refuse_alice(user_id: uuid.UUID) -> None:
        if user_id == alice.id:
            raise RuntimeError("not this one")
        forget(user_id)

    monkeypatch.setattr(jobs.privacy, "BATCH", 1)
    monkeypatch.setattr(jobs.privacy, "_forget", refuse_alice)
    erase_due()
    db.session.expire_all()
    assert alice.erased_at is None
    assert bob.erased_at is not None


def test_killed_before_its_files_are_deleted_the_sweep_finds_them(
    connection: Connection, alice: User, run_jobs: RunJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = current_fork().upload_folder / "exports"
    assert len(list(folder.glob("*.zip"))) == 1
    close(alice)
    say_goodbye(run_jobs)

    def die() -> None:
        raise Killed

    monkeypatch.setattr(exporting, "folder", die)
    with pytest.raises(Killed):
        erase_due()
    monkeypatch.undo()
    db.session.rollback()
    assert len(list(folder.glob("*.zip"))) == 1
    jobs.privacy.delete_old_exports()
    assert found(connection) == set(REMAINS)


def test_erasing_twice_does_no_harm(
    connection: Connection, session: Session, alice: User, run_jobs: RunJobs
) -> None:
    close(alice)
    erase(run_jobs)
    db.session.commit()
    before = whole_database(connection)
    erase(run_jobs)
    session.execute(text('UPDATE "user" SET erased_at = erased_at'))
    erase(run_jobs)
    db.session.commit()
    assert whole_database(connection) == before
    assert session.scalar(select(func.count()).select_from(Erasure)) == 1


def test_the_last_mail_is_sent_and_not_kept(
    session: Session, run_jobs: RunJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = make_user(ALICE.email)
    close(user)
    erase_due()
    farewell = session.scalars(select(Mail).where(Mail.kind == "account_erased")).one()
    assert farewell.recipient == ALICE.email
    assert not session.get_one(User, user.id).active
    erase_due()
    assert session.scalars(select(Erasure)).all() == [], "it waits until the mail is sent"
    run_jobs()
    session.commit()
    assert session.scalar(select(Mail.state).where(Mail.id == farewell.id)) is MailState.SENT
    erase_due()
    assert session.scalars(select(Mail)).all() == []
    assert session.scalars(select(Erasure.user_id)).all() == [user.id]


def test_a_mail_server_that_is_away_only_delays_it(session: Session, run_jobs: RunJobs) -> None:
    user = make_user(ALICE.email)
    close(user)
    erase_due()
    erase_due()
    assert session.get_one(User, user.id, populate_existing=True).erased_at is None
    user.erase_after = clock.now() - PATIENCE
    session.commit()
    erase_due()
    assert session.get_one(User, user.id, populate_existing=True).erased_at is not None
    assert session.scalars(select(Mail)).all() == []
    assert run_jobs() == 0, "nothing is left to be sent"


def test_it_waits_for_a_worker_who_has_a_job_about_them_in_hand(
    session: Session, run_jobs: RunJobs
) -> None:
    user = make_user(ALICE.email)
    close(user)
    say_goodbye(run_jobs)
    job = Job(
        path="jobs.accounts.welcome",
        args=[str(user.id)],
        queue="mail",
        subject=f"user:{user.id}",
        state=JobState.RUNNING,
        lease_until=clock.now() + timedelta(minutes=1),
        max_attempts=1,
        deadline_at=clock.now(),
    )
    session.add(job)
    session.commit()
    erase_due()
    assert session.get_one(User, user.id, populate_existing=True).erased_at is None
    session.get_one(Job, job.id).state = JobState.DONE
    session.commit()
    erase_due()
    assert session.get_one(User, user.id, populate_existing=True).erased_at is not None


def test_without_redis_it_is_done_all_the_same(
    session: Session, run_jobs: RunJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    from redis import ConnectionError as Away

    def away(*_args: object, **_kwargs: object) -> None:
        raise Away("no Redis")

    user = make_user(ALICE.email)
    close(user)
    say_goodbye(run_jobs)
    monkeypatch.setattr(type(redis_client()), "scan_iter", away)
    erase_due()
    assert session.get_one(User, user.id, populate_existing=True).erased_at is not None
