"""What makes a good password, and that people are told while they type."""

import logging
from pathlib import Path

import pytest
from argon2 import extract_parameters
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tests.accounts.conftest import Mails
from tests.factories.people import PASSWORD, browser_of, make_user
from webapp.accounts.errors import WeakPassword
from webapp.accounts.models import Role, User
from webapp.accounts.services.passwords import Rule, _hashing_of, find_missing
from webapp.accounts.services.staff import create_staff
from webapp.core.audit import OPERATOR
from webapp.core.config import Config, Env
from webapp.core.models import AuditEntry

ALICE = "alice@example.org"
NEW = "Louder-Harbour-43"


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
        ("Sunshine-2024!", "tried first"),
        ("1234-Dragon-5678", "tried first"),
        ("Aa-Aa-Aa-Aa-", "tried first"),
    ],
)
def test_weak_passwords_are_refused_with_the_reason(
    session: Session, password: str, why: str
) -> None:
    with pytest.raises(WeakPassword) as refusal:
        create_staff(ALICE, Role.STAFF, password, OPERATOR)
    assert why in refusal.value.sentence
    assert session.scalar(select(User)) is None


@pytest.mark.parametrize(
    "password", [PASSWORD, "Über den Wolken!", "Xk7#qP2$vM9w", "Correct horse battery, staple"]
)
def test_good_passwords_are_taken(password: str) -> None:
    assert find_missing(password, ALICE) == []


def test_all_that_is_missing_is_told_at_once(app: Flask) -> None:
    assert find_missing("abc", ALICE)[:3] == [Rule.LENGTH, Rule.CAPITAL, Rule.SPECIAL]
    with pytest.raises(WeakPassword) as refusal:
        create_staff(ALICE, Role.STAFF, "abc", OPERATOR)
    assert refusal.value.sentence == (
        "The password needs at least 10 characters, a capital letter and a special character "
        "like ! or -."
    )


def test_real_hashes_are_argon2id_with_the_parameters_of_rfc_9106() -> None:
    config = Config(app_env=Env.DEVELOPMENT)
    hashing = _hashing_of(
        config.argon2_time_cost, config.argon2_memory_kib, config.argon2_parallelism
    )
    made = hashing.hasher.hash(PASSWORD)
    assert made.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert extract_parameters(made) == extract_parameters(hashing.decoy)


def test_while_typing_it_says_what_is_missing(client: FlaskClient) -> None:
    def missing(password: str, email: str = ALICE) -> object:
        answer = client.post("/password/check", json={"password": password, "email": email})
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.json is not None
        return answer.json["missing"]

    assert missing("Password-123") == ["common"]
    assert missing("Alice-in-chains") == ["email"]
    assert missing("Alice-in-chains", "") == []
    assert missing("abcdefghijk") == ["capital", "special"]
    assert missing(PASSWORD) == []


@pytest.mark.parametrize("body", ["[1]", '{"password": {"a": 1}, "email": [2]}', "nonsense", ""])
def test_the_check_takes_whatever_comes(client: FlaskClient, body: str) -> None:
    answer = client.post("/password/check", data=body, content_type="application/json")
    assert answer.status_code == 200


def test_the_check_needs_the_token_of_its_page(app: Flask) -> None:
    assert app.test_client().post("/password/check", json={}).status_code == 400


def test_what_is_typed_is_not_logged(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        sent = {"password": "Typed-Secret-1", "email": ALICE}
        assert client.post("/password/check", json=sent).status_code == 200
    assert "Typed-Secret" not in caplog.text


def test_the_page_names_every_rule_that_script_and_server_know(client: FlaskClient) -> None:
    page = client.get("/register").text
    script = Path("webapp/static/js/password.js").read_text(encoding="utf-8")
    assert "js/password.js" in page
    for rule in set(Rule) - {Rule.LIMIT}:
        assert f'data-rule="{rule.value}"' in page
    for rule in (Rule.LENGTH, Rule.CAPITAL, Rule.SPECIAL, Rule.EMAIL):
        assert f"  {rule.value}: (word" in script


def test_changing_it_ends_the_other_sessions_and_tells_the_owner(
    app: Flask, client: FlaskClient, session: Session, mails: Mails
) -> None:
    alice = make_user(ALICE)
    here, elsewhere = browser_of(app, alice), browser_of(app, alice)
    with here.session_transaction() as opened:
        before = opened["_user_id"]
    answer = here.post("/account/password", data={"current": PASSWORD, "password": NEW})
    assert (answer.status_code, answer.location) == (303, "/account/security")
    with here.session_transaction() as opened:
        assert opened["_user_id"] != before
        assert opened["_user_id"].split(".")[0] == before.split(".")[0]
    assert here.get("/account/password").status_code == 200
    assert elsewhere.get("/account/password").status_code == 303
    [mail] = mails()
    assert (mail.kind, mail.recipient, mail.secret) == ("password_changed", ALICE, False)
    done = AuditEntry.action == "password.changed"
    assert session.scalar(select(func.count()).where(done, AuditEntry.user_id == alice.id)) == 1
    assert client.post("/login", data={"email": ALICE, "password": NEW}).status_code == 303


def test_an_old_cookie_is_worthless_after_a_change(app: Flask, client: FlaskClient) -> None:
    alice = make_user(ALICE)
    here, thief = browser_of(app, alice), app.test_client()
    with here.session_transaction() as opened:
        stolen = opened["_user_id"]
    with thief.session_transaction() as planted:
        planted["_user_id"] = stolen
    assert thief.get("/account/password").status_code == 200
    here.post("/account/password", data={"current": PASSWORD, "password": NEW})
    assert thief.get("/account/password").status_code == 303


@pytest.mark.parametrize(
    ("current", "password", "why"),
    [
        ("Wrong-Harbour-42", NEW, "not your current password"),
        (PASSWORD, "short", "at least 10 characters"),
        (PASSWORD, "Password-123", "tried first"),
        ("", NEW, "Type your current password"),
    ],
)
def test_a_change_that_is_refused_changes_nothing(
    app: Flask, client: FlaskClient, mails: Mails, current: str, password: str, why: str
) -> None:
    alice = make_user(ALICE)
    here, elsewhere = browser_of(app, alice), browser_of(app, alice)
    answer = here.post("/account/password", data={"current": current, "password": password})
    assert answer.status_code == 422
    assert why in answer.text
    assert elsewhere.get("/account/password").status_code == 200
    assert mails() == []


def test_who_has_no_password_may_set_one_while_their_proof_is_fresh(
    app: Flask, client: FlaskClient, session: Session
) -> None:
    alice = make_user(ALICE, password=None)
    here = browser_of(app, alice)
    assert "Set a password" in here.get("/account/password").text
    assert here.post("/account/password", data={"password": NEW}).status_code == 303
    assert alice.password_hash is not None


def test_guessing_the_current_password_is_limited(app: Flask, limited: FlaskClient) -> None:
    alice = make_user(ALICE)
    thief = browser_of(limited.application, alice)
    wrong = {"current": "Wrong-Harbour-42", "password": NEW}
    answers = [thief.post("/account/password", data=wrong).status_code for _ in range(11)]
    assert answers == [422] * 10 + [429]
