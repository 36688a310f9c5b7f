"""From Redis to Postgres exactly once, whatever dies on the way and whoever else is at it."""

import logging
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import ConnectionError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from jobs.campaigns import drain_client_events, purge_client_events, visits
from tests.campaigns.conftest import VISITOR, list_events, make_event, send
from tests.campaigns.waiting import count_waiting
from tests.conftest import make_config
from tests.factories.people import browser_of, make_user
from tests.other_apps import create_quietly
from tests.services import Addresses, Database
from webapp.campaigns.models import ClientEvent, ClientEventKind
from webapp.campaigns.services import events
from webapp.campaigns.services.events import Happening, hold
from webapp.core import clock
from webapp.core.db import db
from webapp.core.models import Shop
from webapp.core.redis import redis_client
from webapp.core.state import current_fork


class Killed(BaseException):
    """The process ends here: nothing catches this."""


def happen(**changes: Any) -> Happening:
    now = clock.now()
    facts: dict[str, Any] = {
        "event_id": uuid.uuid4(),
        "kind": ClientEventKind.PAGE_VIEW,
        "visitor_id": VISITOR,
        "user_id": None,
        "path": "/",
        "label": "",
        "ad_code": None,
        "email_code": None,
        "details": {},
        "at": now,
        "received_at": now,
    }
    return Happening(**facts | changes)


def put_into_stream(fields: dict[Any, Any]) -> None:
    redis_client().xadd(current_fork().redis_key("client_events"), fields)


def die(*_args: object, **_kwargs: object) -> None:
    raise Killed


@pytest.mark.parametrize(
    ("victim", "name"),
    [
        (events, "take"),
        (events, "take_turn"),
        (events, "write"),
        (db.session, "commit"),
        (events, "forget"),
    ],
)
def test_a_worker_killed_at_any_step_loses_and_doubles_nothing(
    app: Flask, session: Session, monkeypatch: pytest.MonkeyPatch, victim: object, name: str
) -> None:
    hold([happen() for _ in range(7)])
    with monkeypatch.context() as fault:
        fault.setattr(victim, name, die)
        with pytest.raises(Killed):
            drain_client_events()
    session.rollback()
    drain_client_events()
    assert len(list_events(session)) == 7
    assert count_waiting() == 0


def test_a_worker_killed_between_the_commit_and_the_stream_has_committed(
    app: Flask, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold([happen() for _ in range(7)])
    monkeypatch.setattr(events, "forget", die)
    with pytest.raises(Killed):
        drain_client_events()
    session.rollback()
    assert (len(list_events(session)), count_waiting()) == (7, 7)


def test_a_web_process_killed_after_the_stream_has_the_event_has_told_it(
    client: FlaskClient, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "WORTH_A_RING", 1)
    event = make_event()
    with monkeypatch.context() as fault:
        fault.setattr(events, "ring", die)
        with pytest.raises(Killed):
            send(client, event)
    # The browser heard nothing and reports again.
    assert send(client, event) == 202
    drain_client_events()
    assert len(list_events(session)) == 1


def test_redis_that_goes_after_the_commit_is_no_failure(
    app: Flask,
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def gone(_batch: object) -> None:
        raise ConnectionError("gone")

    hold([happen()])
    with monkeypatch.context() as fault:
        fault.setattr(events, "forget", gone)
        drain_client_events()
    assert "drain put off" in caplog.messages
    drain_client_events()
    assert (len(list_events(session)), count_waiting()) == (1, 0)


def test_poison_is_dropped_with_a_counted_line(
    app: Flask, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    put_into_stream({b"event": b"not json"})
    put_into_stream({b"something": b"else"})
    put_into_stream({b"event": happen().model_dump_json().replace("page_view", "stolen")})
    hold([happen()])
    with caplog.at_level(logging.WARNING):
        drain_client_events()
    assert (len(list_events(session)), count_waiting()) == (1, 0)
    (line,) = [record for record in caplog.records if record.message == "client events dropped"]
    assert vars(line)["count"] == 3


def test_what_postgres_refuses_does_not_hold_up_the_rest(
    app: Flask, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    hold([happen(), happen(label="a\0b"), happen(details={"a": "\0"}), happen()])
    drain_client_events()
    assert (len(list_events(session)), count_waiting()) == (2, 0)
    (line,) = [record for record in caplog.records if record.message == "client events dropped"]
    assert vars(line)["count"] == 2


def test_many_events_are_written_in_batches(
    app: Flask, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visits, "BATCH", 10)
    hold([happen() for _ in range(25)])
    drain_client_events()
    assert (len(list_events(session)), count_waiting()) == (25, 0)


def test_after_half_a_minute_other_jobs_have_the_worker(
    app: Flask, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    rings: list[str] = []
    monkeypatch.setattr(visits, "ring", lambda path, _queue: rings.append(path))
    monkeypatch.setattr(visits, "BATCH", 10)
    monkeypatch.setattr(visits, "BUDGET_SECONDS", -1)
    hold([happen() for _ in range(25)])
    drain_client_events()
    assert rings == [events.DRAIN]
    assert len(list_events(session)) == 10


def test_a_worker_is_called_when_there_is_enough_for_it(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    rings: list[str] = []
    monkeypatch.setattr(events, "ring", lambda path, _queue: rings.append(path))
    hold([happen() for _ in range(events.WORTH_A_RING - 1)])
    assert rings == []
    hold([happen()])
    assert rings == [events.DRAIN]


def test_the_stream_does_not_grow_for_ever(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_WAITING", 100)
    for _ in range(10):
        hold([happen() for _ in range(100)])
    assert 100 <= count_waiting() <= 300


def test_somebody_erased_meanwhile_is_not_named(
    app: Flask, client: FlaskClient, session: Session
) -> None:
    alice, bob = make_user(), make_user("bob@example.com")
    send(browser_of(app, alice), make_event())
    send(browser_of(app, bob), make_event())
    hold([happen(user_id=uuid.uuid4())])
    alice.erased_at = clock.now()
    session.commit()
    drain_client_events()
    assert {row.user_id for row in list_events(session)} == {None, bob.id}
    assert len(list_events(session)) == 3


def test_old_events_are_purged_and_young_ones_stay(
    app: Flask, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visits, "PURGE_BATCH", 2)
    old = clock.now() - visits.KEEP - timedelta(minutes=1)
    young = happen(at=clock.now() - visits.KEEP + timedelta(minutes=1))
    events.write([young, *(happen(at=old) for _ in range(5))])
    session.commit()
    purge_client_events()
    assert [row.event_id for row in list_events(session)] == [young.event_id]


@pytest.fixture
def own_app(
    addresses: Addresses, fresh_database: Database, clean_redis: str, tmp_path: Path
) -> Iterator[Flask]:
    """An app that commits for real, for threads that meet each other."""
    app = create_quietly(make_config(addresses, fresh_database, clean_redis, tmp_path, pool_size=8))
    with app.app_context():
        db.session.add(Shop(name="Northwind Goods"))
        db.session.commit()
    yield app
    with app.app_context():
        db.engine.dispose()


def test_many_workers_write_each_event_once(
    own_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when each believes that it is alone."""
    monkeypatch.setattr(visits, "BATCH", 50)

    def drain(alone: bool) -> None:
        with own_app.app_context():
            visits.drain_client_events() if alone else write_without_turns()

    def write_without_turns() -> None:
        while (batch := events.take(50)).entries:
            events.write(batch.items)
            db.session.commit()
            events.forget(batch)

    with own_app.app_context():
        hold([happen() for _ in range(2000)])
    with ThreadPoolExecutor(6) as workers:
        list(workers.map(drain, [True, False] * 3))
    with own_app.app_context():
        assert db.session.scalar(select(func.count()).select_from(ClientEvent)) == 2000
        assert count_waiting() == 0
        db.session.remove()
