"""What of a visitor's doings arrives in the table, and what must not."""

import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import ConnectionError
from sqlalchemy.orm import Session

from jobs.campaigns import drain_client_events
from tests.campaigns.conftest import VISITOR, list_events, make_event, send
from tests.campaigns.waiting import count_waiting
from tests.factories.people import browser_of, make_user
from webapp.campaigns.models import ClientEvent, ClientEventKind
from webapp.core import clock
from webapp.core.models import Shop
from webapp.core.redis import redis_client


def report(session: Session, browser: FlaskClient, **changes: Any) -> ClientEvent:
    """Send one event, let the worker drain it, and return its row."""
    assert send(browser, make_event(**changes)) == 202
    drain_client_events()
    return list_events(session)[-1]


def test_a_page_view_arrives_in_the_table(client: FlaskClient, session: Session) -> None:
    event = make_event(ad="spring", em="m-42", referrer="search.example")
    assert send(client, event) == 202
    assert list_events(session) == []
    drain_client_events()
    (row,) = list_events(session)
    assert row.event_id == uuid.UUID(event["id"])
    assert row.visitor_id == VISITOR
    assert (row.kind, row.path, row.user_id) == (ClientEventKind.PAGE_VIEW, "/products", None)
    assert (row.ad_code, row.email_code) == ("spring", "m-42")
    assert row.details == {"referrer": "search.example"}
    assert row.received_at >= row.at


def test_whoever_is_logged_in_is_named_on_the_event(
    app: Flask, client: FlaskClient, session: Session
) -> None:
    alice = make_user()
    assert send(client, make_event()) == 202
    assert send(browser_of(app, alice), make_event(), make_event(kind="button")) == 202
    drain_client_events()
    assert [row.user_id for row in list_events(session)] == [None, alice.id, alice.id]
    assert {row.visitor_id for row in list_events(session)} == {VISITOR}


@pytest.mark.parametrize("wish", [{"DNT": "1"}, {"Sec-GPC": "1"}])
def test_a_visitor_who_asks_not_to_be_tracked_is_not(
    client: FlaskClient, session: Session, wish: dict[str, str]
) -> None:
    token = client.get("/events/token", headers=wish)
    assert (token.status_code, token.data, "Set-Cookie" in token.headers) == (204, b"", False)
    assert send(client, make_event(), **wish) == 204
    assert count_waiting() == 0
    drain_client_events()
    assert list_events(session) == []


def test_a_zero_is_no_such_wish(client: FlaskClient) -> None:
    assert send(client, make_event(), DNT="0") == 202


def test_a_shop_that_records_nothing_keeps_nothing(client: FlaskClient, session: Session) -> None:
    session.get_one(Shop, 1).record_client_events = False
    session.commit()
    assert client.get("/events/token").status_code == 204
    assert send(client, make_event()) == 204
    assert count_waiting() == 0


def test_events_need_the_token_like_every_form(app: Flask, session: Session) -> None:
    browser = app.test_client()
    assert send(browser, make_event()) == 400
    answer = browser.get("/events/token")
    assert "no-store" in answer.headers["Cache-Control"]
    token = answer.get_json()["token"]
    assert send(browser, make_event(), **{"X-CSRFToken": token}) == 202
    assert send(app.test_client(), make_event(), **{"X-CSRFToken": token}) == 400


@pytest.mark.parametrize(
    "offset", [timedelta(hours=1), timedelta(hours=-25), timedelta(days=-9999)]
)
def test_a_time_that_cannot_be_is_replaced_by_ours(
    client: FlaskClient, session: Session, offset: timedelta
) -> None:
    before = clock.now()
    told = int((before + offset).timestamp() * 1000)
    assert before <= report(session, client, at=told).at <= clock.now()


def test_a_time_of_today_is_the_browsers(client: FlaskClient, session: Session) -> None:
    told = int(time.time() * 1000) - 3_600_000
    assert report(session, client, at=told).at == datetime.fromtimestamp(told / 1000, UTC)


@pytest.mark.parametrize("at", [2**63, -(2**80), 10**30])
def test_a_time_beyond_all_calendars_does_no_harm(client: FlaskClient, at: int) -> None:
    assert send(client, make_event(at=at)) == 202


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "purchase"},
        {"id": "1"},
        {"visitor": "alice"},
        {"path": "products"},
        {"path": "https://evil.example/"},
        {"path": "/" + "x" * 500},
        {"text": "x" * 61},
        {"name": ["x"]},
        {"message": "x" * 301},
        {"line": "7"},
        {"line": -1},
        {"ad": "a b"},
        {"em": "<script>"},
        {"ad": "x" * 65},
        {"referrer": "https://search.example/?q=private"},
        {"to": "javascript:alert(1)/"},
        {"at": "2026-01-01"},
        {"user_id": str(VISITOR)},
    ],
)
def test_what_our_script_would_not_send_is_refused_whole(
    client: FlaskClient, wrong: dict[str, Any]
) -> None:
    assert send(client, make_event(), make_event(**wrong)) == 422
    assert count_waiting() == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"events": []}', b'{"events": 1}', b"\xff"])
def test_what_is_no_list_of_events_is_refused(client: FlaskClient, body: bytes) -> None:
    answer = client.post("/events", data=body, content_type="application/json")
    assert answer.status_code == 422


def test_half_a_letter_is_refused(client: FlaskClient) -> None:
    body = json.dumps({"events": [make_event(text="\ud83d")]})
    assert client.post("/events", data=body, content_type="application/json").status_code == 422


def test_a_request_carries_twenty_events_and_sixteen_kilobytes(client: FlaskClient) -> None:
    assert send(client, *(make_event() for _ in range(20))) == 202
    assert send(client, *(make_event() for _ in range(21))) == 422
    assert send(client, make_event(text="x" * 17_000)) == 413
    endless = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    body = json.dumps({"events": [make_event(text="x" * 17_000)]})
    answer = client.post(
        "/events", data=body, content_type="application/json", environ_overrides=endless
    )
    assert answer.status_code == 413


def test_a_form_from_elsewhere_is_not_read(client: FlaskClient) -> None:
    body = json.dumps({"events": [make_event()]})
    assert client.post("/events", data=body, content_type="text/plain").status_code == 415


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/", "/"),
        ("/products/oak-bowl", "/products/oak-bowl"),
        ("/products/gr%C3%B6%C3%9Fe", "/products/größe"),
        ("/orders/status/eyJrZXkiOjF9.abc", "/orders/status/<token>"),
        ("/orders/status/eyJrZXkiOjF9.abc/", "(not found)"),
        ("/a/spring", "/a/<code>"),
        ("/cart/add", "/cart/add"),
        ("/alice@example.com", "(not found)"),
        ("/products/oak%00bowl", "/products/oakbowl"),
    ],
)
def test_a_path_is_kept_without_what_opens_something(
    client: FlaskClient, session: Session, path: str, kept: str
) -> None:
    assert report(session, client, path=path, kind="link", to=path).path == kept
    assert list_events(session)[-1].details == {"to": kept}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"text": " Add\n to cart "}, "Add to cart"),
        ({"text": "Write to alice@example.com"}, "Write to …"),
        ({"text": "key eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOi"}, "key …"),
        ({"text": "Add", "name": "buy"}, "buy"),
        ({"text": "Alice Doe", "path": "/orders/status/abc"}, ""),
        ({"text": "Alice Doe", "path": "/admin/"}, ""),
        ({"text": "Alice Doe", "name": "track", "path": "/orders/status/abc"}, "track"),
    ],
)
def test_a_label_says_what_was_pressed_and_nothing_about_anybody(
    client: FlaskClient, session: Session, given: dict[str, str], kept: str
) -> None:
    assert report(session, client, kind="button", **given).label == kept


def test_a_broken_script_tells_where(client: FlaskClient, session: Session) -> None:
    row = report(
        session,
        client,
        kind="script_error",
        message="TypeError: x is undefined at alice@example.com",
        source="/static/js/product.js",
        line=17,
    )
    assert row.label == "TypeError: x is undefined at …"
    assert row.details == {"source": "/static/js/product.js", "line": 17}


def test_an_event_sent_twice_counts_once(client: FlaskClient, session: Session) -> None:
    event = make_event()
    assert send(client, event, event) == 202
    assert send(client, event) == 202
    drain_client_events()
    assert send(client, event) == 202
    drain_client_events()
    assert len(list_events(session)) == 1


@pytest.mark.usefixtures("no_redis")
def test_without_redis_events_go_straight_to_postgres(
    client: FlaskClient, session: Session
) -> None:
    event = make_event()
    assert send(client, event, make_event()) == 202
    assert send(client, event) == 202
    assert len(list_events(session)) == 2


def test_a_redis_that_dies_halfway_makes_nothing_double(
    client: FlaskClient, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [make_event() for _ in range(3)]
    assert send(client, events[0], events[1]) == 202
    # The stream holds two of them already when the third request finds Redis gone.
    redis = redis_client()
    with monkeypatch.context() as away:
        away.setattr(redis, "pipeline", lambda **_: redis_of_nobody())
        assert send(client, *events) == 202
    assert len(list_events(session)) == 3
    drain_client_events()
    assert len(list_events(session)) == 3
    assert count_waiting() == 0


def redis_of_nobody() -> Any:
    raise ConnectionError("gone")
