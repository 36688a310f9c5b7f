"""Who is let in, who is not, and what the door gives away."""

import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from tests.conftest import Visitor, connect_through, make_config
from tests.services import Addresses, Database
from webapp.accounts import services
from webapp.accounts.errors import EmailTaken, InvalidEmail, WeakPassword
from webapp.accounts.models import Role, User
from webapp.accounts.services import authenticate, change_password, create_staff
from webapp.accounts.views import same_site
from webapp.core.config import Env
from webapp.core.db import db
from webapp.core.redis import redis_client
from webapp.core.security import limiter
from wsgi import create_app

PASSWORD = "Quiet-Harbour-42"
ALICE = "alice@example.org"
BOB = "bob@example.org"


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(services, "_HASHER", PasswordHasher(1, 64, 1))
    services._decoy.cache_clear()
    yield
    services._decoy.cache_clear()


@pytest.fixture
def alice(session: Session) -> User:
    user = create_staff(ALICE, Role.OWNER, PASSWORD)
    session.commit()
    return user


@pytest.fixture
def limited(
    app: Flask, connection: Connection, addresses: Addresses, database: Database, redis_url: str
) -> Iterator[FlaskClient]:
    """A visitor of an app that counts requests, as every app but the tests' does."""
    config = make_config(
        addresses, database, redis_url, Path(app.instance_path), app_env=Env.DEVELOPMENT
    )
    handlers = logging.getLogger().handlers[:]
    counting = create_app(config)
    logging.getLogger().handlers[:] = handlers
    counting.config["WTF_CSRF_ENABLED"] = False
    with counting.app_context():
        engine = db.engine
        connect_through(counting, connection)
    counting.test_client_class = Visitor
    yield counting.test_client()
    limiter.enabled = False
    engine.dispose()


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


def test_an_unknown_address_costs_a_verification_too(
    session: Session, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []
    real = services._verify

    def count(password_hash: str, password: str) -> bool:
        verified.append(password_hash)
        return real(password_hash, password)

    monkeypatch.setattr(services, "_verify", count)
    assert authenticate(BOB, PASSWORD) is None
    assert authenticate(ALICE, "Wrong-Harbour-42") is None
    unknown, known = verified
    assert unknown.split("$")[:4] == known.split("$")[:4]


def test_someone_shut_out_stays_out(client: FlaskClient, session: Session, alice: User) -> None:
    assert log_in(client) == 303
    alice.active = False
    session.commit()
    assert client.get("/admin/").status_code == 303
    assert log_in(client) == 401


def test_a_new_password_ends_every_session(
    app: Flask, client: FlaskClient, session: Session, alice: User
) -> None:
    other = app.test_client()
    assert log_in(client) == log_in(other) == 303
    assert other.get("/admin/").status_code == 200
    change_password(alice, "Louder-Harbour-43")
    session.commit()
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


def test_an_old_hash_is_renewed_at_the_next_login(
    session: Session, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = alice.password_hash
    monkeypatch.setattr(services, "_HASHER", PasswordHasher(2, 64, 1))
    assert authenticate(ALICE, PASSWORD) is alice
    assert alice.password_hash != before
    assert alice.password_hash is not None
    assert "t=2" in alice.password_hash
    assert authenticate(ALICE, PASSWORD) is alice


def test_real_hashes_are_argon2id_with_the_parameters_of_rfc_9106() -> None:
    from argon2.profiles import RFC_9106_LOW_MEMORY

    made = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY).hash(PASSWORD)
    assert made.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("Short-1", "at least 10 characters"),
        ("no-capitals-here", "a capital letter"),
        ("NoSpecialSigns42", "a special character"),
        ("A-" + "b" * 200, "at most 200 characters"),
        ("Alice-in-chains", "too much like the email"),
        ("My-Example-99!", "too much like the email"),
        ("Password123!", "tried first"),
        ("P@ssw0rd2024!", "tried first"),
        ("Aa-Aa-Aa-Aa-", "tried first"),
    ],
)
def test_weak_passwords_are_refused_with_the_reason(
    session: Session, password: str, why: str
) -> None:
    with pytest.raises(WeakPassword) as refusal:
        create_staff(ALICE, Role.STAFF, password)
    assert why in refusal.value.sentence
    assert session.scalar(select(User)) is None


def test_an_address_has_one_login(alice: User) -> None:
    with pytest.raises(EmailTaken):
        create_staff("ALICE@example.org", Role.VIEWER, PASSWORD)
    with pytest.raises(InvalidEmail):
        create_staff("not an address", Role.VIEWER, PASSWORD)


Run = Callable[..., tuple[int, str]]


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
