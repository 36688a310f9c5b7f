"""A session somebody planted, kept or copied is never worth more than it was."""

from flask import Flask
from itsdangerous import URLSafeTimedSerializer
from sqlalchemy import select

from tests.attacks.cast import ALICE, BOB, PASSWORD, Cast
from tests.attacks.intruder import Intruder
from tests.factories.people import make_user
from tests.other_apps import MakeApp
from webapp.accounts.models import LoginMethod, LoginSession, User
from webapp.accounts.services.sessions import open_session, prove
from webapp.core.audit import SYSTEM
from webapp.core.db import db
from webapp.core.fork import Fork


def log_in(browser: Intruder, email: str = ALICE, password: str = PASSWORD) -> int:
    fields = {"email": email, "password": password, "csrf_token": browser.token()}
    return browser.post("/login", data=fields).status_code


def cookie_of(browser: Intruder) -> str:
    """The session cookie's value as the browser sends it."""
    name = browser.application.config["SESSION_COOKIE_NAME"]
    found = browser.get_cookie(name)
    return found.value if found else ""


def with_cookie(app: Flask, value: str) -> Intruder:
    copy = Intruder(app, app.response_class)
    copy.set_cookie(app.config["SESSION_COOKIE_NAME"], value)
    return copy


def is_in(browser: Intruder) -> bool:
    """Whether the browser is let into a page for members."""
    answer = browser.get("/account", follow_redirects=False)
    assert answer.status_code in (200, 303, 404), answer.status
    return answer.status_code == 200


def test_a_planted_session_is_not_the_one_logged_in(app: Flask, cast: Cast) -> None:
    attacker = cast.browser("guest")
    attacker.token()
    planted = cookie_of(attacker)
    victim = with_cookie(app, planted)
    assert log_in(victim) == 303
    assert cookie_of(victim) != planted
    assert is_in(victim)
    assert not is_in(with_cookie(app, planted))
    with victim.session_transaction() as opened, attacker.session_transaction() as old:
        assert opened.get("csrf_token") != old["csrf_token"]


def test_an_attackers_own_session_does_not_become_the_victims(app: Flask, cast: Cast) -> None:
    bob = cast.browser("bob")
    bobs = cookie_of(bob)
    victim = with_cookie(app, bobs)
    victim.token()
    assert log_in(victim) == 303
    with victim.session_transaction() as opened:
        token = opened["_user_id"]
    login = db.session.get_one(LoginSession, token.partition(".")[0])
    assert login.user_id == cast.people["alice"]
    with with_cookie(app, bobs).session_transaction() as opened:
        assert not opened["_user_id"].startswith(str(login.id))


def test_a_session_names_its_secret_and_not_its_user(app: Flask, cast: Cast) -> None:
    """Neither a user's id nor a session's id without the secret opens anything."""
    row = db.session.scalars(
        select(LoginSession).where(LoginSession.user_id == cast.people["alice"])
    ).first()
    assert row is not None
    guesses = [str(cast.people["alice"]), str(row.id), f"{row.id}.", f"{row.id}.{row.secret_hash}"]
    for guess in guesses:
        browser = cast.browser("guest")
        with browser.session_transaction() as opened:
            opened["_user_id"] = guess
            opened["_fresh"] = True
        assert not is_in(browser), guess


def test_a_copied_cookie_dies_with_the_logout(app: Flask, cast: Cast) -> None:
    browser = cast.browser("alice")
    copy = with_cookie(app, cookie_of(browser))
    assert is_in(copy)
    browser.post("/logout", data={"csrf_token": browser.token()})
    assert not is_in(copy)


def test_a_copied_cookie_dies_when_the_session_is_proven_again(app: Flask, cast: Cast) -> None:
    browser = cast.browser("alice")
    copy = with_cookie(app, cookie_of(browser))
    with browser.session_transaction() as opened:
        login = db.session.get_one(LoginSession, opened["_user_id"].partition(".")[0])
        opened["_user_id"] = prove(login)
        db.session.commit()
    assert is_in(browser)
    assert not is_in(copy)


def test_somebody_shut_out_is_out_everywhere(app: Flask, cast: Cast) -> None:
    browser = cast.browser("alice")
    assert is_in(browser)
    cast.alice.active = False
    db.session.commit()
    assert not is_in(browser)
    assert log_in(cast.browser("guest")) == 401


def test_a_cookie_of_another_fork_opens_nothing(app: Flask, cast: Cast) -> None:
    token = open_session(cast.alice, LoginMethod.PASSWORD, SYSTEM)
    db.session.commit()
    assert app.secret_key
    ours = app.extensions["startupwebapp"][1]
    theirs = Fork("another", ours.uploads_root)
    opened = []
    for salt in (ours.salt("session"), theirs.salt("session"), "cookie-session", "session"):
        signer = URLSafeTimedSerializer(
            app.secret_key, salt=salt, signer_kwargs={"key_derivation": "hmac"}
        )
        cookie = str(signer.dumps({"_user_id": token, "_fresh": True}))
        opened.append(is_in(with_cookie(app, cookie)))
    # The first is as our own cookies are, so it is for their salt that the others open nothing.
    assert opened == [True, False, False, False]


def test_no_second_cookie_opens_the_door(app: Flask, cast: Cast) -> None:
    """Flask-Login's own remember cookie isn't used, so there is nothing to steal but the one."""
    token = open_session(cast.alice, LoginMethod.PASSWORD, SYSTEM)
    db.session.commit()
    browser = cast.browser("guest")
    fields = {"email": ALICE, "password": PASSWORD, "remember": "y", "csrf_token": browser.token()}
    answer = browser.post("/login", data=fields)
    assert answer.status_code == 303
    names = {line.split("=")[0] for line in answer.headers.getlist("Set-Cookie")}
    assert "remember_token" not in names
    forged = cast.browser("guest")
    forged.set_cookie("remember_token", f"{token}|{'0' * 128}")
    assert not is_in(forged)


def test_the_cookie_over_https_belongs_to_the_host_alone(cast: Cast, make_app: MakeApp) -> None:
    secure = make_app(base_url="https://localhost")
    browser = Intruder(secure, secure.response_class)
    page = browser.get("/login", base_url="https://localhost")
    (cookie,) = [line for line in page.headers.getlist("Set-Cookie") if "session" in line]
    assert cookie.startswith("__Host-")
    for flag in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert flag in cookie
    assert "Domain" not in cookie
    victim = Intruder(secure, secure.response_class)
    planted = secure.config["SESSION_COOKIE_NAME"].removeprefix("__Host-")
    victim.set_cookie(planted, cookie.split("=", 1)[1].split(";")[0])
    with victim.session_transaction(base_url="https://localhost") as opened:
        assert "csrf_token" not in opened


def test_two_people_of_one_address_stay_two(app: Flask, cast: Cast) -> None:
    """Somebody who registers with bob's address is another user, whatever they do."""
    pretender = make_user(BOB, verified=False, password="Other-Harbour-43").id
    assert log_in(cast.browser("guest"), BOB) == 303
    found = db.session.scalars(
        select(LoginSession).order_by(LoginSession.created_at.desc())
    ).first()
    assert found is not None and found.user_id == cast.people["bob"]
    assert db.session.get_one(User, pretender).email_verified_at is None
