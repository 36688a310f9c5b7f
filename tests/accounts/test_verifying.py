"""Whose an address is: whoever opens the link, once, in time, for what it was made."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier, Thread

import pytest
from flask import Flask
from flask.testing import FlaskClient
from itsdangerous import TimestampSigner
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tests.accounts.conftest import Mails, link_in
from tests.conftest import make_config
from tests.factories.people import PASSWORD, browser_of, make_user
from tests.other_apps import create_quietly
from tests.services import Addresses, cloned
from webapp.accounts.errors import AddressTaken
from webapp.accounts.models import LoginSession, Prospect, ProspectSource, SessionEnd, User
from webapp.accounts.services.verifying import PURPOSE, confirm_address, keep_address, mark_of
from webapp.core.audit import SYSTEM
from webapp.core.db import db
from webapp.core.models import AuditEntry, Job
from webapp.core.signing import sign

ALICE = "alice@example.com"
BOB = "bob@example.com"


@contextmanager
def signed_long_ago(monkeypatch: pytest.MonkeyPatch, seconds: int) -> Iterator[None]:
    real = TimestampSigner.get_timestamp
    with monkeypatch.context() as patch:
        patch.setattr(TimestampSigner, "get_timestamp", lambda self: real(self) - seconds)
        yield


def path_for(user: User, email: str | None = None, purpose: str = PURPOSE) -> str:
    value = {"user": str(user.id), "email": mark_of(email or user.email)}
    return f"/verify/{sign(purpose, value)}"


def test_the_mailbox_alone_gives_the_address_to_nobody(
    app: Flask, client: FlaskClient, session: Session
) -> None:
    """Alice presses the button of a mail that a stranger caused: they get nothing of hers."""
    stranger, bob = make_user(verified=False), make_user("bob@example.com")
    for browser in (client, browser_of(app, bob)):
        answer = browser.post(path_for(stranger))
        assert "Sign in and confirm" in answer.text
        assert "Yes, confirm my address" not in answer.text
    session.refresh(stranger)
    assert stranger.email_verified_at is None


def test_opening_the_link_changes_nothing(
    app: Flask, client: FlaskClient, session: Session
) -> None:
    alice = make_user(verified=False)
    browser = browser_of(app, alice)
    for _ in range(2):
        answer = browser.get(path_for(alice))
        assert answer.status_code == 200
        assert "Yes, confirm my address" in answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "same-origin"
    session.refresh(alice)
    assert alice.email_verified_at is None


def test_the_button_confirms_the_address_once(
    app: Flask, client: FlaskClient, session: Session
) -> None:
    alice = make_user(verified=False)
    path = path_for(alice)
    answer = browser_of(app, alice).post(path)
    assert answer.status_code == 200
    assert "Your address is confirmed" in answer.text
    assert alice.email_verified_at is not None
    for again in (client.post(path), client.get(path)):
        assert again.status_code == 410
        assert "confirmed already" in again.text
    verified = AuditEntry.action == "email.verified"
    assert session.scalar(select(func.count()).where(verified)) == 1


def test_a_confirmed_account_gets_its_past(
    app: Flask, client: FlaskClient, session: Session, mails: Mails
) -> None:
    session.add(Prospect(email=ALICE, source=ProspectSource.PURCHASE))
    alice = make_user(verified=False)
    browser_of(app, alice).post(path_for(alice))
    mails()
    prospect = session.scalars(select(Prospect)).one()
    assert prospect.converted_at is not None
    joining = Job.path == "jobs.orders.join_guest_orders"
    assert session.scalars(select(Job.args).where(joining)).one() == [str(alice.id)]


def test_the_session_gets_a_new_secret(app: Flask, client: FlaskClient) -> None:
    alice = make_user(verified=False)
    browser = browser_of(app, alice)
    with browser.session_transaction() as opened:
        before = opened["_user_id"]
    browser.post(path_for(alice))
    with browser.session_transaction() as opened:
        assert opened["_user_id"] != before
    assert browser.get("/account/password").status_code == 200


def test_it_lasts_three_days(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = make_user(verified=False)
    with signed_long_ago(monkeypatch, 3 * 86400 - 60):
        good = path_for(alice)
    with signed_long_ago(monkeypatch, 3 * 86400 + 60):
        late = path_for(alice)
    answer = client.post(late)
    assert answer.status_code == 410
    assert "/verify/resend" in answer.text
    confirmed = browser_of(app, alice).post(good)
    assert "is confirmed" in confirmed.text


def test_a_token_for_something_else_opens_nothing(client: FlaskClient, session: Session) -> None:
    alice = make_user(verified=False)
    bad = [
        path_for(alice, purpose="reset-password"),
        path_for(alice, email=BOB),
        path_for(alice)[:-1],
        "/verify/nonsense",
        "/verify/" + "x" * 5000,
    ]
    assert [client.post(path).status_code for path in bad] == [404] * len(bad)
    session.refresh(alice)
    assert alice.email_verified_at is None


def test_who_only_typed_the_address_loses_the_login(
    app: Flask, client: FlaskClient, session: Session
) -> None:
    stranger, alice = make_user(verified=False), make_user(verified=False)
    theirs = browser_of(app, stranger)
    assert theirs.get("/account/password").status_code == 200
    stale = path_for(stranger)
    browser_of(app, alice).post(path_for(alice))
    assert theirs.get("/account/password").status_code == 303
    session.refresh(stranger)
    assert not stranger.active
    login = session.scalars(select(LoginSession).where(LoginSession.user_id == stranger.id)).one()
    assert login.end_reason is SessionEnd.SHUT_OUT
    refused = client.post(stale)
    assert refused.status_code == 410
    assert "another account" in refused.text


def test_an_address_with_an_owner_is_refused(
    app: Flask, client: FlaskClient, session: Session
) -> None:
    make_user()
    stranger = make_user(verified=False)
    answer = browser_of(app, stranger).post(path_for(stranger))
    assert answer.status_code == 409
    assert "belongs to another account" in answer.text
    with pytest.raises(AddressTaken):
        keep_address(stranger, ALICE)


@pytest.fixture
def apart(
    addresses: Addresses, worker: str, redis_url: str, tmp_path: Path
) -> Iterator[tuple[Flask, list[uuid.UUID]]]:
    """An app on a database of its own, where transactions meet, and four claims to one address."""
    with cloned(addresses, f"{addresses.database(worker)}_claims") as database:
        app = create_quietly(make_config(addresses, database, redis_url, tmp_path))
        with app.app_context():
            ids = [make_user(verified=False).id for _ in range(4)]
            db.session.remove()
            yield app, ids
            db.session.remove()
            db.engine.dispose()


def test_of_four_who_confirm_at_once_one_gets_the_address(
    apart: tuple[Flask, list[uuid.UUID]],
) -> None:
    app, ids = apart
    start, outcomes = Barrier(4), []

    def run(user_id: uuid.UUID) -> None:
        with app.app_context():
            user = db.session.get_one(User, user_id)
            start.wait()
            try:
                confirm_address(user, SYSTEM)
                db.session.commit()
                outcomes.append("got it")
            except AddressTaken:
                outcomes.append("refused")

    threads = [Thread(target=run, args=(user_id,)) for user_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["got it", "refused", "refused", "refused"]
    states = db.session.execute(select(User.email_verified_at.is_not(None), User.active))
    assert sorted(map(tuple, states)) == [(False, False)] * 3 + [(True, True)]


def test_members_may_ask_for_another_link(app: Flask, client: FlaskClient, mails: Mails) -> None:
    assert client.get("/verify/resend").status_code == 303
    browser = browser_of(app, make_user(verified=False))
    assert ALICE in browser.get("/verify/resend").text
    assert browser.post("/verify/resend").status_code == 303
    [mail] = mails()
    assert (mail.kind, mail.recipient, mail.secret) == ("verify_email", ALICE, True)
    assert "is confirmed" in browser.post(link_in(mail, "/verify/")).text
    assert browser.post("/verify/resend").status_code == 303
    assert mails() == []


def test_no_link_goes_to_an_address_with_an_owner(
    app: Flask, client: FlaskClient, mails: Mails
) -> None:
    make_user()
    stranger = browser_of(app, make_user(verified=False))
    assert stranger.post("/verify/resend").status_code == 303
    assert mails() == []


def test_asking_for_links_is_limited(limited: FlaskClient) -> None:
    browser = browser_of(limited.application, make_user(verified=False, password=PASSWORD))
    answers = [browser.post("/verify/resend").status_code for _ in range(6)]
    assert answers == [303] * 5 + [429]
