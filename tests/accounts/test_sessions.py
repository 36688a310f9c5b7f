"""A session holds as long as it should, for whom it should, and not a request longer."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from tests.factories.people import PASSWORD, browser_of, make_user
from webapp.accounts.models import LoginMethod, LoginSession, Role, SessionEnd, User
from webapp.accounts.services import sessions
from webapp.core import clock
from webapp.core.audit import SYSTEM, network_of
from webapp.core.db import db
from webapp.core.models import AuditEntry
from webapp.core.redis import redis_client

HERE = "/account/security"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"


@contextmanager
def later(**passed: float) -> Iterator[None]:
    with clock.frozen(clock.now() + timedelta(**passed)):
        yield


def is_in(browser: FlaskClient) -> bool:
    return browser.get(HERE).status_code == 200


def token_of(browser: FlaskClient) -> str:
    with browser.session_transaction() as kept:
        token: str = kept["_user_id"]
    return token


def carrying(app: Flask, token: str) -> FlaskClient:
    """Return a browser with a stolen token."""
    thief = app.test_client()
    with thief.session_transaction() as kept:
        kept["_user_id"] = token
    return thief


def log_in(browser: FlaskClient, email: str = "alice@example.com", **more: str) -> int:
    return browser.post("/login", data={"email": email, "password": PASSWORD} | more).status_code


def only_session(session: Session) -> LoginSession:
    session.expire_all()
    return session.scalars(select(LoginSession)).one()


def test_a_session_unused_for_twelve_hours_is_over(app: Flask, alice: User) -> None:
    browser = browser_of(app, alice)
    with later(hours=11):
        assert is_in(browser)
    with later(hours=22):
        assert is_in(browser), "each use begins the twelve hours anew"
    with later(hours=35):
        assert not is_in(browser)
    assert only_session(db.session()).end_reason is SessionEnd.IDLE
    assert not is_in(browser), "what is over stays over, even if a clock is set back"


def test_a_session_is_over_after_seven_days_however_busy(app: Flask, alice: User) -> None:
    browser = browser_of(app, alice)
    for half_day in range(1, 20):
        with later(hours=8 * half_day):
            assert is_in(browser)
    with later(days=7, seconds=1):
        assert not is_in(browser)
    assert only_session(db.session()).end_reason is SessionEnd.EXPIRED


def test_a_remembered_one_lasts_a_month_unused(client: FlaskClient, alice: User) -> None:
    assert log_in(client, remember="y") == 303
    with later(days=29):
        assert is_in(client)
    with later(days=60):
        assert not is_in(client)


def test_only_a_remembered_one_outlives_the_browser(
    app: Flask, client: FlaskClient, alice: User
) -> None:
    for remember in ("", "y"):
        log_in(client, remember=remember)
        cookie = client.get_cookie(app.config["SESSION_COOKIE_NAME"])
        assert cookie is not None
        assert (cookie.expires is not None) == bool(remember)


def test_a_page_that_changes_nothing_sends_no_cookie(client: FlaskClient, alice: User) -> None:
    """One that arrives late would bring back a token that was renewed meanwhile."""
    log_in(client, remember="y")
    client.get(HERE)
    answer = client.get(HERE)
    assert (answer.status_code, answer.headers.getlist("Set-Cookie")) == (200, [])


def test_staff_log_in_daily_even_if_they_wish_to_be_remembered(
    client: FlaskClient, app: Flask
) -> None:
    make_user("bob@example.com", role=Role.OWNER)
    assert log_in(client, "bob@example.com", remember="y") == 303
    with later(hours=7):
        assert client.get("/admin/").status_code == 200
    with later(hours=14):
        assert client.get("/admin/").status_code == 200
    with later(hours=21):
        assert client.get("/admin/").status_code == 200
    with later(hours=24, seconds=1):
        assert client.get("/admin/").status_code == 303


def test_who_becomes_staff_has_a_members_long_session_no_more(
    client: FlaskClient, session: Session, alice: User
) -> None:
    log_in(client, remember="y")
    with later(hours=9):
        assert is_in(client)
    alice.role = Role.STAFF
    session.commit()
    with later(hours=25):
        assert not is_in(client)


def test_an_ended_sessions_cookie_is_refused_at_once(app: Flask, alice: User) -> None:
    here, there = browser_of(app, alice), browser_of(app, alice)
    assert is_in(here) and is_in(there)
    ended = sessions.end_all(alice.id, SessionEnd.EVERYWHERE, SYSTEM)
    db.session.commit()
    assert ended == 2
    assert not is_in(here) and not is_in(there)


class NoRedis(Redis):
    """A Redis nobody reaches."""

    def __init__(self) -> None:
        super().__init__(port=1, socket_connect_timeout=0.2, retry=Retry(NoBackoff(), 1))


def take_redis_away(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.extensions, "redis", NoRedis())
    monkeypatch.setattr(sessions, "_asks_again_at", 0.0)


def test_without_redis_sessions_hold_and_end_all_the_same(
    app: Flask, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = browser_of(app, alice), browser_of(app, alice)
    assert is_in(here)
    redis_client().flushdb()
    assert is_in(here)
    take_redis_away(app, monkeypatch)
    assert is_in(here) and is_in(there)
    name = token_of(there).partition(".")[0]
    assert here.post(f"{HERE}/sessions/{name}/end").status_code == 303
    assert is_in(here) and not is_in(there)


def test_one_device_can_be_logged_out(app: Flask, session: Session, alice: User) -> None:
    here, there = browser_of(app, alice), browser_of(app, alice)
    name = token_of(there).partition(".")[0]
    answer = here.post(f"{HERE}/sessions/{name}/end", follow_redirects=True)
    assert "That device is logged out." in answer.text
    assert is_in(here) and not is_in(there)
    told = select(AuditEntry).where(AuditEntry.action == "session.revoked")
    entry = session.scalars(told).one()
    assert (entry.user_id, entry.actor_id) == (alice.id, alice.id)
    assert here.post(f"{HERE}/sessions/{name}/end").status_code == 404


def test_ones_own_device_too_which_then_is_logged_out(app: Flask, alice: User) -> None:
    here = browser_of(app, alice)
    name = token_of(here).partition(".")[0]
    answer = here.post(f"{HERE}/sessions/{name}/end")
    assert answer.location == "/login"
    assert not is_in(here)


def test_nobody_ends_the_sessions_of_another(app: Flask, alice: User) -> None:
    bob = make_user("bob@example.com")
    hers, his = browser_of(app, alice), browser_of(app, bob)
    name = token_of(hers).partition(".")[0]
    assert his.post(f"{HERE}/sessions/{name}/end").status_code == 404
    assert his.post(f"{HERE}/sessions/{uuid.uuid4()}/end").status_code == 404
    assert his.post(f"{HERE}/sessions/end-all").status_code == 303
    assert is_in(hers) and is_in(his)


def test_logging_out_everywhere_leaves_this_device_in(app: Flask, alice: User) -> None:
    here, there, elsewhere = (browser_of(app, alice) for _ in range(3))
    answer = here.post(f"{HERE}/sessions/end-all", follow_redirects=True)
    assert "2 other devices are logged out." in answer.text
    assert is_in(here) and not is_in(there) and not is_in(elsewhere)


def test_the_page_lists_devices_and_says_which_is_this(app: Flask, alice: User) -> None:
    data = {"email": alice.email, "password": PASSWORD}
    firefox = app.test_client()
    firefox.post("/login", data=data, headers={"User-Agent": FIREFOX})
    browser_of(app, alice, LoginMethod.PASSKEY)
    page = firefox.get(HERE).text
    assert page.count("This device") == 1
    assert page.index("Firefox on Linux") < page.index("This device")
    assert "127.0.0.0/24" in page
    assert "by passkey" in page and "by password" in page
    with later(hours=13):
        assert firefox.get(HERE).status_code == 303


def test_devices_whose_time_is_over_are_not_listed(app: Flask, alice: User) -> None:
    browser_of(app, alice)
    with later(hours=13):
        assert len(sessions.list_open(alice.id)) == 0
        here = browser_of(app, alice)
        assert here.get(HERE).text.count("/end") == 1


def test_what_is_older_than_five_minutes_is_written_down_and_the_rest_in_redis(
    app: Flask, session: Session, alice: User
) -> None:
    browser = browser_of(app, alice)
    began = only_session(session).last_seen_at
    with later(minutes=2):
        is_in(browser)
        login = only_session(session)
        assert login.last_seen_at == began
        assert sessions.last_seen([login.id]) == {login.id: clock.now()}
    with later(minutes=6):
        is_in(browser)
        assert only_session(session).last_seen_at == clock.now()


def test_a_login_makes_a_new_session_of_a_planted_one(app: Flask, alice: User) -> None:
    mallory = make_user("mallory@example.com")
    victim = browser_of(app, mallory)
    planted = token_of(victim)
    log_in(victim)
    assert token_of(victim) != planted
    thief = carrying(app, planted)
    assert not is_in(thief), "the session that was replaced is over"


def test_an_anonymous_cookie_known_to_a_thief_never_becomes_a_login(
    app: Flask, alice: User
) -> None:
    victim = app.test_client()
    victim.get("/login")
    cookie = victim.get_cookie(app.config["SESSION_COOKIE_NAME"])
    assert cookie is not None
    log_in(victim)
    thief = app.test_client()
    thief.set_cookie(cookie.key, cookie.value)
    assert is_in(victim) and not is_in(thief)


def test_a_stolen_token_is_worthless_after_the_password_was_shown_again(
    app: Flask, alice: User
) -> None:
    browser = browser_of(app, alice)
    stolen = token_of(browser)
    assert is_in(carrying(app, stolen))
    assert browser.post("/account/prove", data={"password": PASSWORD}).status_code == 303
    assert token_of(browser) != stolen
    assert is_in(browser) and not is_in(carrying(app, stolen))


@pytest.mark.parametrize(
    "token", ["", ".", "x.y", f"{uuid.UUID(int=7)}.secret", "\x00.\x00", "é" * 300]
)
def test_made_up_tokens_open_nothing(app: Flask, alice: User, token: str) -> None:
    assert not is_in(carrying(app, token))


def test_another_secret_for_the_right_session_opens_nothing(app: Flask, alice: User) -> None:
    browser = browser_of(app, alice)
    name = token_of(browser).partition(".")[0]
    assert not is_in(carrying(app, f"{name}.guessed"))
    assert is_in(browser)


def test_the_database_holds_no_secret(app: Flask, session: Session, alice: User) -> None:
    key, _, secret = token_of(browser_of(app, alice)).partition(".")
    row = session.execute(text("SELECT t::text FROM login_session t")).scalar_one()
    assert key in row
    assert secret and secret not in row


def test_someone_shut_out_or_erased_is_out_at_once(
    app: Flask, session: Session, alice: User
) -> None:
    browser = browser_of(app, alice)
    assert is_in(browser)
    alice.active = False
    session.commit()
    assert not is_in(browser)
    alice.active = True
    browser = browser_of(app, alice)
    assert is_in(browser)
    alice.erased_at = clock.now()
    session.commit()
    assert not is_in(browser)


def test_a_session_is_noted_as_its_owners(
    client: FlaskClient, session: Session, alice: User
) -> None:
    log_in(client)
    told = select(AuditEntry).where(AuditEntry.action == "session.opened")
    entry = session.scalars(told).one()
    assert (entry.actor_id, entry.user_id) == (alice.id, alice.id)
    assert entry.details == {"method": "password"}


def test_sessions_over_long_ago_are_forgotten(app: Flask, session: Session, alice: User) -> None:
    browser = browser_of(app, alice)
    browser.post("/logout")
    assert sessions.forget_old(10) == 0
    with later(days=91):
        assert sessions.forget_old(10) == 1


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("unknown", ""),
        (None, ""),
    ],
)
def test_only_the_first_part_of_an_address_is_kept(address: str | None, network: str) -> None:
    assert network_of(address) == network
