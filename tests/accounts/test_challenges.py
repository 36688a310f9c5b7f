"""What a passkey signs: asked for without touching the session, answered once, in time, by one."""

from datetime import timedelta

from flask import Flask
from flask.testing import FlaskClient

from tests.accounts.authenticator import Authenticator
from tests.accounts.test_passkeys import add, answer_login, options
from webapp.core import clock
from webapp.core.state import current_fork


def challenge_cookie(app: Flask) -> str:
    with app.app_context():
        return current_fork().cookie_name("passkey", secure=False)


def test_a_challenge_that_comes_late_takes_nothing_back(app: Flask, browser: FlaskClient) -> None:
    """The login page asks by itself, while somebody may log in or set out for Google already."""
    answer = browser.post("/login/passkey/options", json={})
    names = [line.partition("=")[0] for line in answer.headers.getlist("Set-Cookie")]
    assert names == [challenge_cookie(app)]


def test_a_challenge_is_answered_once(app: Flask, browser: FlaskClient) -> None:
    key = Authenticator()
    add(browser, key)
    visitor = app.test_client()
    asked = options(visitor, "/login/passkey/options")
    cookie = visitor.get_cookie(challenge_cookie(app))
    assert cookie is not None
    assert answer_login(visitor, key, asked).status_code == 200
    assert answer_login(visitor, key, asked).status_code == 401
    replaying = app.test_client()
    replaying.set_cookie(cookie.key, cookie.value)
    answer = answer_login(replaying, key, asked)
    assert answer.get_json()["error"]["code"] == "passkey_expired"


def test_a_challenge_waits_five_minutes(app: Flask, browser: FlaskClient) -> None:
    key = Authenticator()
    add(browser, key)
    visitor = app.test_client()
    asked = options(visitor, "/login/passkey/options")
    with clock.frozen(clock.now() + timedelta(minutes=5)):
        answer = answer_login(visitor, key, asked)
    assert answer.get_json()["error"]["message"] == "That took too long. Please try again."


def test_a_challenge_is_for_one_browser_and_one_purpose(app: Flask, browser: FlaskClient) -> None:
    key = Authenticator()
    add(browser, key)
    asked = options(app.test_client(), "/login/passkey/options")
    assert answer_login(app.test_client(), key, asked).status_code == 401
    for_proof = options(browser, "/account/prove/passkey/options")
    assert answer_login(browser, key, for_proof).status_code == 401
