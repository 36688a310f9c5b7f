"""The pixel and the links: where they lead, what they keep, and what may be away meanwhile."""

import logging
import random
import signal
import subprocess
import sys
import time
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from jobs.campaigns import drain_tracking, purge_tracking
from tests.campaigns.tracking.conftest import (
    ALICE,
    ELSEWHERE,
    SENT_AT,
    SHOP,
    Ask,
    Sent,
    drain,
    events_of,
    settle,
)
from tests.conftest import make_config
from tests.factories.emails import code_of, recipient_of
from tests.other_apps import MakeApp, create_quietly
from tests.services import Addresses, Database
from tests.waiting import eventually
from webapp.campaigns.codes import write_code
from webapp.campaigns.models import EmailLink, TrackingKind
from webapp.campaigns.services.tracking import holding, links, publish_links, spool
from webapp.campaigns.services.unsubscribing import choose_tracking
from webapp.core import clock
from webapp.core.config import Env
from webapp.core.db import db
from webapp.core.redis import redis_client

MAIL_COOKIE = "_mail="


def test_a_link_leads_where_it_was_registered_and_nowhere_else(
    sent: Sent, session: Session
) -> None:
    there = sent.ask(Ask(60, "link:3"))
    assert (there.status_code, there.location) == (302, f"{ELSEWHERE}3")
    assert there.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in there.headers
    unknown = sent.ask(Ask(61, "link:99"))
    assert (unknown.status_code, unknown.location) == (302, "/")
    nobodys = sent.client.get(f"/c/{write_code(4_000_000_000, 1, 1)}/1?url=https://evil.example")
    assert (nobodys.status_code, nobodys.location) == (302, "/")
    for broken in ("/c/short/1", f"/c/{'1' * 32}/1", "/o/short.gif", "/o/.gif"):
        answer = sent.client.get(broken)
        assert answer.status_code == 404, broken
        assert "Location" not in answer.headers
    settle(timedelta(minutes=10))
    assert [event.link for event in events_of(session)] == [3]


def test_the_pixel_is_a_picture_that_nobody_keeps(sent: Sent, session: Session) -> None:
    answer = sent.ask(Ask(60, "open"))
    assert (answer.status_code, answer.mimetype, len(answer.data)) == (200, "image/gif", 43)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in answer.headers
    settle(timedelta(minutes=10))
    (event,) = events_of(session)
    assert (event.kind, event.link, event.human) == (TrackingKind.OPEN, None, True)
    assert event.network == "203.0.113.0/24"


def test_head_leads_on_and_never_counts(sent: Sent, session: Session) -> None:
    answer = sent.ask(Ask(60, "link:1", "HEAD"))
    assert (answer.status_code, answer.location, answer.data) == (302, SHOP, b"")
    assert "Set-Cookie" not in answer.headers
    sent.ask(Ask(61, "open", "HEAD"))
    settle(timedelta(minutes=10))
    assert {(event.human, event.why) for event in events_of(session)} == {(False, "head")}


def test_a_click_to_the_shop_is_remembered_for_five_days(sent: Sent) -> None:
    cookie = sent.ask(Ask(60, "link:1")).headers["Set-Cookie"]
    assert f"{MAIL_COOKIE}{code_of(recipient_of(sent.email, ALICE))};" in cookie
    for part in ("HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=432000"):
        assert part in cookie
    assert "Set-Cookie" not in sent.ask(Ask(62, "trap")).headers


@pytest.mark.parametrize("wish", ["DNT", "Sec-GPC"])
def test_who_asks_to_be_left_alone_is_led_on_and_not_noted(
    sent: Sent, session: Session, wish: str
) -> None:
    answer = sent.ask(Ask(60, "link:1"), **{wish: "1"})
    assert answer.location == SHOP
    assert "Set-Cookie" not in answer.headers
    assert sent.ask(Ask(61, "open"), **{wish: "1"}).status_code == 200
    settle(timedelta(minutes=10))
    assert events_of(session) == []


def test_who_chose_not_to_be_recorded_is_not_by_earlier_mails_either(
    sent: Sent, session: Session
) -> None:
    sent.ask(Ask(60, "open"))
    choose_tracking(ALICE, record=False)
    session.commit()
    assert sent.ask(Ask(61, "link:3")).location == f"{ELSEWHERE}3"
    sent.ask(Ask(62, "link:3"), "bob@example.com")
    drain()
    assert [each.link for each in events_of(session)] == [3]


def test_mail_providers_may_ask_as_often_as_they_like(sent: Sent, make_app: MakeApp) -> None:
    limited_app = make_app(app_env=Env.DEVELOPMENT, request_limit="2 per minute")
    limited = limited_app.test_client()
    pixel, link = sent.path("open"), sent.path("link:3")
    assert [limited.get(path).status_code for path in (pixel, link) * 3] == [200, 302] * 3
    assert [limited.get("/robots.txt").status_code for _ in range(3)] == [200, 200, 429]
    with limited_app.app_context():
        holding.carry()


def test_an_event_is_a_row_once_however_often_it_is_written(
    sent: Sent, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "getrandbits", lambda _bits: 7)
    for _ in range(3):
        sent.ask(Ask(60, "link:3"))
    settle(timedelta(minutes=10))
    settle(timedelta(minutes=20))
    assert len(events_of(session)) == 1


def test_a_made_up_secret_leads_on_and_writes_nothing(sent: Sent, session: Session) -> None:
    alice = recipient_of(sent.email, ALICE)
    forged = write_code(alice.email_id, alice.id, alice.secret ^ 1)
    assert sent.client.get(f"/c/{forged}/3").location == f"{ELSEWHERE}3"
    sent.client.get(f"/o/{write_code(alice.email_id, (1 << 64) - 1, 1)}.gif")
    settle(timedelta(minutes=10))
    assert events_of(session) == []


def test_poison_is_dropped_with_a_counted_line(
    sent: Sent, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    redis_client().xadd(holding.stream_key(), {holding.FIELD: "not json\nnor this"})
    redis_client().xadd(holding.stream_key(), {"something": "else"})
    sent.ask(Ask(60, "link:3", agent="a\x01b"))
    with caplog.at_level(logging.WARNING):
        settle(timedelta(minutes=10))
    dropped = [vars(r)["count"] for r in caplog.records if r.message == "mail events dropped"]
    assert sum(dropped) == 3
    assert len(events_of(session)) == 1
    assert redis_client().xlen(holding.stream_key()) == 0


def test_what_was_noted_reaches_redis_by_itself(
    sent: Sent, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(holding, "CARRY_SECONDS", 0.01)
    for _ in range(3):
        sent.ask(Ask(60, "link:3"))
    eventually(lambda: not spool.list_files(), "the spool is carried over")
    assert redis_client().xlen(holding.stream_key()) >= 1
    drain_tracking()
    assert len(events_of(session)) == 3


def test_without_redis_events_wait_on_the_disk(
    sent: Sent, session: Session, no_redis: None, caplog: pytest.LogCaptureFixture
) -> None:
    for second in range(5):
        assert sent.ask(Ask(60 + second, "link:3")).location == f"{ELSEWHERE}3"
    # A file that a living process writes to is nobody else's.
    drain_tracking()
    assert events_of(session) == []
    drain()
    assert "mail events stay on the disk" in caplog.messages
    assert len(events_of(session)) == 5
    assert spool.list_files() == []


def test_a_worker_killed_while_it_reads_the_disk_loses_nothing(
    sent: Sent, session: Session, no_redis: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent.ask(Ask(60, "link:3"))
    with monkeypatch.context() as fault:
        fault.setattr("webapp.campaigns.services.tracking.draining.write", _die)
        with pytest.raises(KeyboardInterrupt):
            drain()
    session.rollback()
    sent.ask(Ask(61, "link:4"))
    drain()
    assert [event.link for event in events_of(session)] == [3, 4]


def _die(*_args: object) -> None:
    raise KeyboardInterrupt


def test_what_a_killed_web_process_noted_is_not_lost(
    sent: Sent, app: Flask, session: Session
) -> None:
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from webapp.campaigns.services.tracking.spool import Notebook\n"
        "Notebook(Path(sys.argv[1])).append(sys.stdin.buffer.read())\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    sent.ask(Ask(60, "link:3"))
    (path,) = spool.list_files()
    line = path.read_bytes().strip(b"\0\n")
    holding.carry()
    redis_client().delete(holding.stream_key())
    command = [sys.executable, "-c", script, str(spool.folder())]
    assert subprocess.run(command, input=line, check=False).returncode == -signal.SIGKILL
    drain_tracking()
    assert [event.link for event in events_of(session)] == [3]


def test_a_full_disk_leaves_redis(
    sent: Sent, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool, "_take_room", full)
    assert sent.ask(Ask(60, "link:3")).location == f"{ELSEWHERE}3"
    settle(timedelta(minutes=10))
    assert [event.link for event in events_of(session)] == [3]


def test_links_frozen_anew_are_found_anew(sent: Sent, session: Session) -> None:
    assert sent.ask(Ask(60, "link:3")).location == f"{ELSEWHERE}3"
    session.get_one(EmailLink, (sent.email.id, 3)).url = "https://elsewhere.example/new"
    session.commit()
    assert sent.ask(Ask(61, "link:3")).location == f"{ELSEWHERE}3"
    publish_links(sent.email.id)
    assert sent.ask(Ask(62, "link:3")).location == "https://elsewhere.example/new"


@pytest.fixture
def stranded(
    addresses: Addresses,
    database: Database,
    redis_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Flask:
    """An app whose Postgres is away."""
    folder = tmp_path_factory.mktemp("stranded")
    dead = "postgresql://nobody@127.0.0.1:9/nothing"
    config = make_config(addresses, database, redis_url, folder, database_url=dead)
    return create_quietly(config)


def test_links_lead_on_without_postgres(sent: Sent, stranded: Flask, session: Session) -> None:
    publish_links(sent.email.id)
    away = stranded.test_client()
    assert away.get(sent.path("link:3")).location == f"{ELSEWHERE}3"
    # What a process has known it goes on knowing, also without Redis.
    redis_client().flushdb()
    maps = stranded.extensions["email_links"]
    maps.by_email[sent.email.id].fresh_until = 0
    assert away.get(sent.path("link:4")).location == f"{ELSEWHERE}4"
    assert away.get(sent.path("open")).status_code == 200
    unknown = away.get(f"/c/{write_code(4_000_000_000, 1, 1)}/1")
    assert (unknown.status_code, unknown.headers["Retry-After"]) == (503, "5")
    with stranded.app_context():
        holding.carry()
    drain()
    assert {event.link for event in events_of(session)} == {3, 4, None}


def test_unknown_mails_are_asked_for_only_so_often(
    sent: Sent, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "ASKS_PER_SECOND", 2)
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    guesses = [f"/c/{write_code(3_000_000_000 + n, 1, 1)}/1" for n in range(4)]
    assert [client.get(guess).status_code for guess in guesses] == [302, 302, 503, 503]


def test_old_events_are_purged(sent: Sent, session: Session) -> None:
    sent.ask(Ask(60, "link:3"))
    sent.ask(Ask(86400, "link:4"))
    drain()
    with clock.frozen(SENT_AT + timedelta(days=396, seconds=90)):
        purge_tracking()
    assert [event.link for event in events_of(session)] == [4]
    db.session.rollback()
