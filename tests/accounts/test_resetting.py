"""Forgotten passwords: the same answer for all, a link that dies of use, every door shut behind."""

from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from itsdangerous import TimestampSigner
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from tests.accounts.conftest import Mails, link_in
from tests.factories.people import PASSWORD, browser_of, make_user, passkey_of
from webapp.accounts.models import (
    LoginMethod,
    LoginSession,
    Passkey,
    RecoveryCode,
    Role,
    SessionEnd,
    User,
)
from webapp.accounts.services.resetting import PURPOSE
from webapp.core import clock
from webapp.core.models import AuditEntry, Job
from webapp.core.signing import sign

ALICE = "alice@example.com"
BOB = "bob@example.com"
NEW = "Louder-Harbour-43"


def ask(client: FlaskClient, mails: Mails, email: str = ALICE) -> str:
    """Return the path of the link that was mailed."""
    assert client.post("/password/forgot", data={"email": email}).status_code == 200
    [mail] = mails()
    assert (mail.kind, mail.recipient, mail.secret) == ("reset_password", email, True)
    return link_in(mail, "/password/reset/")


def test_the_answer_and_the_statements_are_the_same_for_every_address(
    app: Flask, client: FlaskClient, session: Session, mails: Mails
) -> None:
    make_user(ALICE)
    seen: list[tuple[int, str, list[str]]] = []
    statements: list[str] = []
    bind = session.get_bind()

    def note(_c: object, _k: object, statement: str, *_: object) -> None:
        statements.append(statement.split("sa_savepoint")[0])

    event.listen(bind, "before_cursor_execute", note)
    try:
        for email in ("warm@example.com", ALICE, BOB):
            statements.clear()
            session.expunge_all()
            answer = app.test_client().post("/password/forgot", data={"email": email})
            seen.append((answer.status_code, answer.text.replace(email, ""), list(statements)))
    finally:
        event.remove(bind, "before_cursor_execute", note)
    assert seen[1] == seen[2]
    assert "If there is an account" in seen[1][1]
    assert [mail.recipient for mail in mails()] == [ALICE]
    told = session.scalars(select(Job)).all()
    assert told
    assert not [job for job in told if "@" in f"{job.args}{job.subject}"]


def test_no_address_at_all_is_told(client: FlaskClient, mails: Mails) -> None:
    answer = client.post("/password/forgot", data={"email": "alice"})
    assert answer.status_code == 422
    assert "not an email address" in answer.text
    assert mails() == []


def test_the_host_of_the_request_never_gets_into_the_link(
    client: FlaskClient, mails: Mails
) -> None:
    make_user(ALICE)
    evil = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    client.post("/password/forgot", data={"email": ALICE}, headers=evil)
    [mail] = mails()
    assert "evil.example" not in mail.text + mail.html
    assert link_in(mail, "/password/reset/")


def test_the_link_sets_a_password_lets_in_and_ends_every_other_session(
    app: Flask, client: FlaskClient, session: Session, mails: Mails
) -> None:
    alice = make_user(ALICE)
    elsewhere = browser_of(app, alice)
    path = ask(client, mails)
    page = client.get(path)
    assert page.status_code == 200
    assert ALICE in page.text
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "same-origin"
    answer = client.post(path, data={"password": NEW})
    assert (answer.status_code, answer.location) == (303, "/account")
    assert "Every other device is logged out." in client.get("/account").text
    assert elsewhere.get("/account/password").status_code == 303
    logins = session.scalars(select(LoginSession).order_by(LoginSession.created_at)).all()
    assert logins[0].end_reason is SessionEnd.PASSWORD_CHANGED
    assert logins[1].method is LoginMethod.RESET
    [mail] = mails()
    assert mail.kind == "password_changed"
    reset = AuditEntry.action == "password.reset"
    assert session.scalar(select(func.count()).where(reset)) == 1
    client.post("/logout")
    old, new = ({"email": ALICE, "password": each} for each in (PASSWORD, NEW))
    assert client.post("/login", data=old).status_code == 401
    assert client.post("/login", data=new).status_code == 303


def test_a_link_works_once_and_takes_the_others_with_it(client: FlaskClient, mails: Mails) -> None:
    make_user(ALICE)
    first, second = ask(client, mails), ask(client, mails)
    assert client.post(second, data={"password": NEW}).status_code == 303
    for used in (first, second):
        for answer in (client.get(used), client.post(used, data={"password": "Third-Harbour-44"})):
            assert answer.status_code == 410
            assert "used already" in answer.text
            assert "/password/forgot" in answer.text


def test_a_weak_password_is_refused_and_the_link_stays_good(
    client: FlaskClient, mails: Mails
) -> None:
    make_user(ALICE)
    path = ask(client, mails)
    refused = client.post(path, data={"password": "Password-123"})
    assert refused.status_code == 422
    assert "tried first" in refused.text
    assert client.post(path, data={"password": NEW}).status_code == 303


def test_it_lasts_an_hour(
    client: FlaskClient, mails: Mails, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_user(ALICE)
    real = TimestampSigner.get_timestamp
    with monkeypatch.context() as patch:
        patch.setattr(TimestampSigner, "get_timestamp", lambda self: real(self) - 3660)
        path = ask(client, mails)
    answer = client.post(path, data={"password": NEW})
    assert answer.status_code == 410
    assert "expired" in answer.text


def test_a_token_for_something_else_opens_nothing(client: FlaskClient) -> None:
    alice = make_user(ALICE, verified=False)
    value = {"user": str(alice.id), "email": ALICE, "fingerprint": "0" * 16}
    others = [sign("verify-email", value), sign("email-change", value), "nonsense", "x" * 5000]
    for token in others:
        answer = client.post(f"/password/reset/{token}", data={"password": NEW})
        assert answer.status_code == 404
    answer = client.post(f"/password/reset/{sign(PURPOSE, value)}", data={"password": NEW})
    assert answer.status_code == 410


def test_someone_shut_out_gets_no_way_in(
    client: FlaskClient, session: Session, mails: Mails
) -> None:
    alice = make_user(ALICE)
    path = ask(client, mails)
    alice.active = False
    session.commit()
    assert client.post(path, data={"password": NEW}).status_code == 410
    client.post("/password/forgot", data={"email": ALICE})
    assert mails() == []


def test_the_mailbox_shown_confirms_the_address_and_drops_keys_others_may_have_left(
    client: FlaskClient, session: Session, mails: Mails
) -> None:
    alice = make_user(ALICE, verified=False, password="Planted-Harbour-42")
    session.add(passkey_of(alice.id))
    session.add(RecoveryCode(user_id=alice.id, code_hash="planted"))
    session.commit()
    path = ask(client, mails)
    assert client.post(path, data={"password": NEW}).status_code == 303
    assert alice.email_verified_at is not None
    assert session.scalar(select(func.count(Passkey.id))) == 0
    assert session.scalar(select(func.count(RecoveryCode.id))) == 0


def test_a_confirmed_account_keeps_its_keys(
    client: FlaskClient, session: Session, mails: Mails
) -> None:
    alice = make_user(ALICE)
    session.add(RecoveryCode(user_id=alice.id, code_hash="hers"))
    session.commit()
    client.post(ask(client, mails), data={"password": NEW})
    assert session.scalar(select(func.count(RecoveryCode.id))) == 1


def test_the_owner_gets_the_link_not_who_typed_the_address(
    client: FlaskClient, session: Session, mails: Mails
) -> None:
    alice = make_user(ALICE)
    make_user(ALICE, verified=False)
    path = ask(client, mails)
    client.post(path, data={"password": NEW})
    changed = session.scalars(select(User.id).where(User.password_changed_at.is_not(None))).all()
    assert changed == [alice.id]


def test_who_came_without_a_password_gets_one(client: FlaskClient, mails: Mails) -> None:
    make_user(ALICE, password=None)
    assert client.post(ask(client, mails), data={"password": NEW}).status_code == 303


def test_an_account_that_is_being_closed_can_be_reset(
    client: FlaskClient, session: Session, mails: Mails
) -> None:
    make_user(ALICE).closed_at = clock.now()
    session.commit()
    assert client.post(ask(client, mails), data={"password": NEW}).status_code == 303


def test_staff_end_in_the_back_office(client: FlaskClient, mails: Mails) -> None:
    make_user(ALICE, role=Role.OWNER)
    answer = client.post(ask(client, mails), data={"password": NEW})
    assert answer.location == "/admin/"


def test_one_mailbox_gets_five_links_an_hour(client: FlaskClient, mails: Mails) -> None:
    make_user(ALICE)
    for _ in range(8):
        client.post("/password/forgot", data={"email": ALICE})
    assert len(mails()) == 5
    with clock.frozen(clock.now() + timedelta(hours=2)):
        client.post("/password/forgot", data={"email": ALICE})
        assert len(mails()) == 1


def test_the_sixth_wish_from_one_place_has_to_wait(limited: FlaskClient) -> None:
    answers = [
        limited.post("/password/forgot", data={"email": f"p{number}@example.com"})
        for number in range(6)
    ]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert 0 < int(answers[5].headers["Retry-After"]) <= 3600


@pytest.mark.parametrize("path", ["/password/forgot", "/password/reset/x"])
def test_forms_need_the_token_of_their_page(app: Flask, path: str) -> None:
    assert app.test_client().post(path, data={"email": ALICE}).status_code == 400
