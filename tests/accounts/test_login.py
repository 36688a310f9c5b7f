"""Who is let in, who is not, and what the door gives away."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.factories.people import PASSWORD, make_user
from webapp.accounts.errors import EmailTaken, InvalidEmail
from webapp.accounts.models import LoginSession, Role, User
from webapp.accounts.services import passwords
from webapp.accounts.services.entering import authenticate
from webapp.accounts.services.staff import create_staff
from webapp.accounts.views.guard import same_site
from webapp.core import clock
from webapp.core.audit import OPERATOR
from webapp.core.redis import redis_client
from webapp.core.state import bind

ALICE = "alice@example.org"
BOB = "bob@example.org"
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def alice(session: Session) -> User:
    user = create_staff(ALICE, Role.OWNER, PASSWORD, OPERATOR)
    session.commit()
    return user


def log_in(client: FlaskClient, email: str = ALICE, password: str = PASSWORD, **more: str) -> int:
    return client.post("/login", data={"email": email, "password": password, **more}).status_code


def test_the_right_password_opens_the_door(client: FlaskClient, alice: User) -> None:
    answer = client.post("/login", data={"email": " Alice@Example.org ", "password": PASSWORD})
    assert answer.status_code == 303
    assert answer.location == "/admin/"
    assert alice.last_login_at is not None


@pytest.mark.parametrize(
    ("email", "password"), [(ALICE, "Wrong-Harbour-42"), (BOB, PASSWORD), (ALICE, "x" * 900)]
)
def test_a_wrong_pair_gets_one_and_the_same_answer(
    client: FlaskClient, alice: User, email: str, password: str
) -> None:
    answer = client.post("/login", data={"email": email, "password": password})
    assert answer.status_code == 401
    assert "That address and password don&#39;t belong together." in answer.text
    assert client.get("/admin/").status_code == 303


@pytest.mark.parametrize("claimed", [False, True])
def test_known_and_unknown_addresses_cost_the_same(
    session: Session, alice: User, claimed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if claimed:
        make_user(ALICE, verified=False, password="Louder-Harbour-43")
        make_user(BOB, verified=False)
    verified: list[str] = []
    real = passwords._verify

    def count(password_hash: str, password: str) -> bool:
        verified.append(password_hash)
        return real(password_hash, password)

    monkeypatch.setattr(passwords, "_verify", count)
    tries = [(ALICE, "Wrong-Harbour-42"), (BOB, "Wrong-Harbour-42"), ("no address", PASSWORD)]
    costs = []
    for email, password in tries:
        assert authenticate(email, password) is None
        costs.append([each.split("$")[:4] for each in verified])
        verified.clear()
    assert costs[0] == costs[1] == costs[2]
    assert len(costs[0]) == 2


def test_whoever_registered_with_a_known_address_gets_in_like_anybody(
    client: FlaskClient, alice: User
) -> None:
    stranger = make_user(ALICE, verified=False, password="Louder-Harbour-43")
    assert authenticate(ALICE, "Louder-Harbour-43") is stranger
    assert authenticate(ALICE, PASSWORD) is alice


def test_remembering_outlives_the_browser(client: FlaskClient, session: Session) -> None:
    make_user(BOB)
    lasting = []
    for more in ({}, {"remember": "y"}):
        answer = client.post("/login", data={"email": BOB, "password": PASSWORD, **more})
        [cookie] = [each for each in answer.headers.getlist("Set-Cookie") if "_session=" in each]
        lasting.append("Expires" in cookie)
        client.post("/logout")
    assert lasting == [False, True]
    kept = session.scalars(select(LoginSession).order_by(LoginSession.created_at)).all()
    assert [each.remember for each in kept] == [False, True]
    assert kept[1].expires_at - kept[0].expires_at > timedelta(days=100)


def test_an_account_that_is_being_closed_can_still_be_entered(
    client: FlaskClient, session: Session
) -> None:
    bob = make_user(BOB)
    bob.closed_at = clock.now()
    session.commit()
    assert log_in(client, email=BOB) == 303


def test_someone_shut_out_stays_out(client: FlaskClient, session: Session, alice: User) -> None:
    assert log_in(client) == 303
    alice.active = False
    session.commit()
    assert client.get("/admin/").status_code == 303
    assert log_in(client) == 401


def test_a_new_password_from_the_operator_ends_every_session(
    app: Flask, client: FlaskClient, alice: User, flask_run: Run
) -> None:
    other = app.test_client()
    assert log_in(client) == log_in(other) == 303
    assert other.get("/admin/").status_code == 200
    assert flask_run("password", ALICE, "--password-env", "STAFF_PASSWORD")[0] == 0
    assert client.get("/admin/").status_code == 303
    assert other.get("/admin/").status_code == 303


def test_the_session_is_a_new_one_after_the_login(client: FlaskClient, alice: User) -> None:
    with client.session_transaction() as planted:
        planted["csrf_token"] = "planted"
        planted["left_behind"] = "by an attacker"
    log_in(client)
    with client.session_transaction() as opened:
        assert "left_behind" not in opened
        assert opened.get("csrf_token") != "planted"


def test_logging_out_is_a_post_and_ends_the_session(client: FlaskClient, alice: User) -> None:
    log_in(client)
    assert client.get("/logout").status_code == 405
    assert client.post("/logout").status_code == 303
    assert client.get("/admin/").status_code == 303


def test_a_login_without_a_token_is_refused(app: Flask, alice: User) -> None:
    assert log_in(app.test_client()) == 400


def test_the_form_as_a_browser_sends_it_works(app: Flask, alice: User) -> None:
    browser = app.test_client()
    page = browser.get("/login?next=/admin/orders/").text
    fields = dict(re.findall(r'name="(csrf_token|next)"[^>]*value="([^"]*)"', page))
    answer = browser.post("/login", data={**fields, "email": ALICE, "password": PASSWORD})
    assert answer.location == "/admin/orders/"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "/%0d/\r\nevil",
        "/\t/evil.example",
        "javascript:alert(1)",
        "evil.example",
        "http:evil.example",
        "",
    ],
)
def test_next_leads_nowhere_else(client: FlaskClient, alice: User, target: str) -> None:
    assert same_site(target) is None
    answer = client.post("/login", data={"email": ALICE, "password": PASSWORD, "next": target})
    assert answer.location == "/admin/"


def test_next_leads_back_into_this_site() -> None:
    assert same_site("/admin/orders/?status=open&search=a%20b") is not None


def test_the_sixth_try_for_an_address_has_to_wait(limited: FlaskClient, alice: User) -> None:
    for _ in range(5):
        assert log_in(limited, password="Wrong-Harbour-42") == 401
    answer = limited.post("/login", data={"email": ALICE.upper(), "password": PASSWORD})
    assert answer.status_code == 429
    assert "Too many tries to log in." in answer.text
    assert 0 < int(answer.headers["Retry-After"]) <= 15 * 60
    assert log_in(limited, email=BOB) == 401


def test_the_eleventh_try_from_one_place_has_to_wait(limited: FlaskClient, alice: User) -> None:
    for number in range(10):
        assert log_in(limited, email=f"person{number}@example.org") == 401
    answer = limited.post("/login", data={"email": ALICE, "password": PASSWORD})
    assert answer.status_code == 429
    assert 15 * 60 < int(answer.headers["Retry-After"]) <= 60 * 60


def test_good_logins_do_not_use_the_tries_up(limited: FlaskClient, alice: User) -> None:
    for _ in range(12):
        assert log_in(limited) == 303
        limited.post("/logout")
    assert "alice" not in str(redis_client().keys("*"))


def test_looking_at_the_form_is_no_try(limited: FlaskClient) -> None:
    assert {limited.get("/login").status_code for _ in range(12)} == {200}


def test_an_old_hash_is_renewed_at_the_next_login(app: Flask, alice: User) -> None:
    before = alice.password_hash
    config, fork = app.extensions["startupwebapp"]
    bind(app, config.model_copy(update={"argon2_time_cost": 2}), fork)
    try:
        assert authenticate(ALICE, PASSWORD) is alice
        assert alice.password_hash != before
        assert "t=2" in (alice.password_hash or "")
        assert authenticate(ALICE, PASSWORD) is alice
    finally:
        bind(app, config, fork)


def test_an_address_has_one_login(alice: User) -> None:
    with pytest.raises(EmailTaken):
        create_staff("ALICE@example.org", Role.VIEWER, PASSWORD, OPERATOR)
    with pytest.raises(InvalidEmail):
        create_staff("not an address", Role.VIEWER, PASSWORD, OPERATOR)


@pytest.fixture
def flask_run(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Run:
    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setenv("STAFF_PASSWORD", PASSWORD)
        result = app.test_cli_runner().invoke(args=["staff", *arguments])
        return result.exit_code, result.output

    return run


def test_the_operator_makes_a_login(flask_run: Run, session: Session) -> None:
    create = ("create", "Carol@example.org", "--role", "owner", "--password-env", "STAFF_PASSWORD")
    code, said = flask_run(*create)
    assert (code, said) == (0, "carol@example.org may enter as owner.\n")
    assert authenticate("carol@example.org", PASSWORD) is not None

    code, said = flask_run(*create)
    assert code == 1
    assert "There is already a login for carol@example.org." in said
    code, said = flask_run(*create, "--if-missing")
    assert (code, said) == (0, "Carol@example.org is there already.\n")
    code, said = flask_run("list")
    assert said.startswith("owner    carol@example.org")


def test_the_operator_is_told_why_not(flask_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAK", "weak")
    code, said = flask_run("create", ALICE, "--role", "owner", "--password-env", "WEAK")
    assert (code, "The password needs" in said) == (1, True)
    code, said = flask_run("create", ALICE, "--role", "king", "--password-env", "WEAK")
    assert code == 2
    code, said = flask_run("create", ALICE, "--role", "owner", "--password-env", "NOT_SET")
    assert (code, "NOT_SET is empty" in said) == (2, True)
    code, said = flask_run("password", BOB, "--password-env", "STAFF_PASSWORD")
    assert (code, "There is no login for bob@example.org." in said) == (1, True)
