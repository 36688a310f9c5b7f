"""Closing an account: asked twice, said by mail, and taken back for two weeks."""

from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from jobs.privacy import erase_due
from tests.factories.people import PASSWORD, browser_of, make_user
from webapp.accounts.errors import ErasureBegun, StaffMayNotClose
from webapp.accounts.models import LoginSession, Role, SessionEnd, User
from webapp.accounts.services.closing import GRACE, close_account, keep_account
from webapp.core import clock
from webapp.core.audit import SYSTEM
from webapp.core.db import db
from webapp.core.models import AuditEntry, Shop
from webapp.messaging.models import Mail

CLOSE = "/account/data/close"


@pytest.fixture
def alice(app: Flask) -> User:
    return make_user("alice@example.com")


@pytest.fixture
def browser(app: Flask, client: FlaskClient, alice: User) -> FlaskClient:
    return browser_of(app, alice)


def mails() -> list[str]:
    return list(db.session.scalars(select(Mail.kind).order_by(Mail.id)))


def actions(user: User) -> list[str]:
    done = select(AuditEntry.action).where(AuditEntry.user_id == user.id).order_by(AuditEntry.id)
    return list(db.session.scalars(done))


def test_closing_ends_every_session_and_says_when(
    app: Flask, session: Session, browser: FlaskClient, alice: User
) -> None:
    phone = browser_of(app, alice)
    assert "Close my account" in browser.get("/account/data").text
    assert "14 days" in browser.get(CLOSE).text
    answer = browser.post(CLOSE, data={"confirmation": " Delete "})
    assert (answer.status_code, answer.location) == (303, "/login")
    assert "will be erased on" in browser.get("/login").text
    session.refresh(alice)
    assert alice.closed_at is not None
    assert alice.erase_after is not None
    assert alice.erase_after - alice.closed_at == GRACE
    for each in (browser, phone):
        assert each.get("/account/data").location.startswith("/login")
    reasons = session.scalars(select(LoginSession.end_reason)).all()
    assert set(reasons) == {SessionEnd.CLOSED}
    mail = session.scalars(select(Mail)).one()
    assert (mail.kind, mail.recipient) == ("account_closing", "alice@example.com")
    assert f"{alice.erase_after:%Y}" in mail.subject
    assert "http://localhost/login" in mail.text
    assert "account.closed" in actions(alice)


@pytest.mark.parametrize("typed", ["", "yes", "delete it", "x" * 900])
def test_without_the_word_nothing_happens(
    session: Session, browser: FlaskClient, alice: User, typed: str
) -> None:
    answer = browser.post(CLOSE, data={"confirmation": typed})
    assert answer.status_code == 422
    session.refresh(alice)
    assert alice.closed_at is None
    assert mails() == []


def test_a_get_closes_nothing(session: Session, browser: FlaskClient, alice: User) -> None:
    browser.get(f"{CLOSE}?confirmation=delete")
    assert browser.get("/account/data/keep").status_code == 405
    session.refresh(alice)
    assert alice.closed_at is None


def test_without_a_token_nothing_is_closed(app: Flask, session: Session, alice: User) -> None:
    browser = browser_of(app, alice)
    for path in (CLOSE, "/account/data/keep", "/account/data/export"):
        assert browser.post(path, data={"confirmation": "delete"}).status_code == 400
    session.refresh(alice)
    assert alice.closed_at is None


def test_an_open_browser_found_by_somebody_is_not_enough(
    app: Flask, client: FlaskClient, session: Session, alice: User
) -> None:
    with clock.frozen(clock.now() - timedelta(hours=2)):
        browser = browser_of(app, alice)
    for answer in (browser.get(CLOSE), browser.post(CLOSE, data={"confirmation": "delete"})):
        assert answer.status_code == 303
        assert answer.location.startswith("/account/prove")
    session.refresh(alice)
    assert alice.closed_at is None


def test_within_the_grace_one_can_log_in_and_keep_it(
    app: Flask, client: FlaskClient, session: Session, browser: FlaskClient, alice: User
) -> None:
    session.execute(update(Shop).values(has_plans=True))
    session.commit()
    browser.post(CLOSE, data={"confirmation": "delete"})
    again = app.test_client()
    answer = again.post("/login", data={"email": alice.email, "password": PASSWORD})
    assert answer.status_code == 303
    for page in ("/account", "/account/data"):
        assert "Keep my account" in again.get(page).text
    assert again.post("/account/data/keep").location == "/account/data"
    page = again.get("/account/data").text
    assert "stays open" in page
    assert "Keep my account" not in page
    session.refresh(alice)
    assert (alice.closed_at, alice.erase_after, alice.active) == (None, None, True)
    assert mails() == ["account_closing", "account_kept"]
    told = session.scalars(select(Mail.text).where(Mail.kind == "account_kept")).one()
    assert "A subscription that was set to end when you closed it still is" in told
    assert actions(alice)[-1] == "account.kept"
    with clock.frozen(clock.now() + timedelta(days=30)):
        erase_due()
    session.refresh(alice)
    assert alice.erased_at is None


def test_keeping_what_is_open_says_nothing(
    browser: FlaskClient, session: Session, alice: User
) -> None:
    assert browser.post("/account/data/keep").status_code == 303
    assert mails() == []


def test_closing_twice_does_not_move_the_date(session: Session, alice: User) -> None:
    first = close_account(alice, SYSTEM)
    with clock.frozen(clock.now() + timedelta(days=3)):
        assert close_account(alice, SYSTEM) == first
    assert mails() == ["account_closing"]


def test_closed_kept_and_closed_again_there_are_mails_for_each(alice: User) -> None:
    close_account(alice, SYSTEM)
    keep_account(alice, SYSTEM)
    close_account(alice, SYSTEM)
    assert mails() == ["account_closing", "account_kept", "account_closing"]


def test_after_the_goodbye_it_is_too_late(session: Session, alice: User) -> None:
    close_account(alice, SYSTEM)
    alice.erase_after = clock.now()
    session.commit()
    erase_due()
    with pytest.raises(ErasureBegun):
        keep_account(alice, SYSTEM)


@pytest.mark.parametrize("role", [Role.OWNER, Role.VIEWER])
def test_staff_hand_over_their_role_first(
    app: Flask, client: FlaskClient, session: Session, role: Role
) -> None:
    dana = make_user("dana@example.com", role=role)
    browser = browser_of(app, dana)
    assert "hand your role over" in browser.get("/account/data").text
    answer = browser.post(CLOSE, data={"confirmation": "delete"})
    assert (answer.status_code, "hand your role over" in answer.text) == (409, True)
    with pytest.raises(StaffMayNotClose):
        close_account(dana, SYSTEM)
    session.refresh(dana)
    assert dana.closed_at is None


def test_an_address_never_shown_gets_no_mail_about_it(session: Session) -> None:
    typed = make_user("alice@example.com", verified=False)
    close_account(typed, SYSTEM)
    keep_account(typed, SYSTEM)
    close_account(typed, SYSTEM)
    typed.erase_after = clock.now()
    session.commit()
    erase_due()
    assert mails() == []
    assert session.get_one(User, typed.id, populate_existing=True).erased_at is not None


def test_a_guest_is_sent_to_the_login(client: FlaskClient) -> None:
    for path in ("/account/data", CLOSE):
        assert client.get(path).location.startswith("/login")
    for path in (CLOSE, "/account/data/keep", "/account/data/export"):
        assert client.post(path).location.startswith("/login")


def test_the_operator_closes_and_erases(app: Flask, session: Session, alice: User) -> None:
    from webapp.accounts.commands import member

    make_user("dana@example.com", role=Role.STAFF)
    runner = app.test_cli_runner()
    assert "hand your role over" in runner.invoke(member, ["erase", "dana@example.com"]).output
    assert runner.invoke(member, ["erase", "nobody@example.com"]).exit_code == 1
    assert "will be erased on" in runner.invoke(member, ["erase", alice.email]).output
    session.refresh(alice)
    assert alice.erase_after is not None
    assert alice.erase_after > clock.now()
    assert "within minutes" in runner.invoke(member, ["erase", alice.email, "--now"]).output
    session.refresh(alice)
    assert alice.erase_after <= clock.now()
