"""Recovery codes: shown once, good once, ten at a time."""

import re
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.accounts.test_totp import code_of, switch_on
from tests.factories.people import PASSWORD, browser_of, make_user
from webapp.accounts.models import RecoveryCode, Role, User
from webapp.accounts.services import recovery
from webapp.core import clock
from webapp.core.audit import SYSTEM
from webapp.core.models import AuditEntry
from webapp.messaging.models import Mail

HERE = "/account/security"
CODE = r"<code>([A-Z0-9-]{19})</code>"


@pytest.fixture
def browser(app: Flask, alice: User) -> FlaskClient:
    browser = browser_of(app, alice)
    switch_on(browser)
    return browser


def make_codes(browser: FlaskClient) -> list[str]:
    found: list[str] = re.findall(CODE, browser.post(f"{HERE}/recovery-codes").text)
    assert len(found) == 10
    return found


def step(app: Flask, code: str) -> tuple[FlaskClient, int]:
    """Log in with the password and show a code."""
    browser = app.test_client()
    browser.post("/login", data={"email": "alice@example.com", "password": PASSWORD})
    return browser, browser.post("/login/second-step", data={"code": code}).status_code


def test_a_code_opens_once_and_not_twice(
    app: Flask, browser: FlaskClient, session: Session
) -> None:
    code = make_codes(browser)[3]
    inside, status = step(app, code)
    assert status == 303
    page = inside.get(HERE)
    assert "You used a recovery code; it opens nothing any more. 9 left." in page.text
    assert step(app, code)[1] == 401
    mail = session.scalars(select(Mail).where(Mail.kind == "recovery_code_used")).one()
    assert "You have 9 left." in mail.text
    assert code not in mail.text + mail.html
    used = select(AuditEntry).where(AuditEntry.action == "recovery_code.used")
    assert session.scalars(used).one().details == {"left": 9}


def test_it_may_be_typed_in_small_letters_and_without_dashes(
    app: Flask, browser: FlaskClient
) -> None:
    code = make_codes(browser)[0]
    assert step(app, f" {code.lower().replace('-', ' ')} ")[1] == 303


def test_new_codes_void_the_old_and_are_told(
    app: Flask, browser: FlaskClient, session: Session
) -> None:
    old, new = make_codes(browser), make_codes(browser)
    assert not set(old) & set(new)
    assert step(app, old[0])[1] == 401
    assert step(app, new[0])[1] == 303
    mails = session.scalars(select(Mail.text).order_by(Mail.id)).all()
    assert any("New recovery codes were made" in text for text in mails)


def test_they_are_never_shown_again(browser: FlaskClient) -> None:
    make_codes(browser)
    assert re.findall(CODE, browser.get(f"{HERE}/recovery-codes").text) == []
    page = browser.get(HERE).text
    assert "10 of 10 left" in page
    assert re.findall(CODE, page) == []


def test_the_database_holds_only_fingerprints(browser: FlaskClient, session: Session) -> None:
    codes = make_codes(browser)
    hashes = session.scalars(select(RecoveryCode.code_hash)).all()
    assert len(hashes) == 10
    spelled = [each.lower() for code in codes for each in (code, code.replace("-", ""))]
    assert not any(code in kept.lower() for code in spelled for kept in hashes)


def test_nobody_elses_code_opens(app: Flask, browser: FlaskClient, session: Session) -> None:
    bob = make_user("bob@example.com")
    his = recovery.make_codes(bob, SYSTEM)
    session.commit()
    assert step(app, his[0])[1] == 401
    assert recovery.count_left(bob.id) == 10


def test_the_page_warns_when_few_are_left(browser: FlaskClient, alice: User) -> None:
    for code in make_codes(browser)[:8]:
        assert recovery.accept(alice.id, code)
    assert "2 left" in browser.get(HERE).text


def test_without_a_second_step_there_is_nothing_to_recover(app: Flask, client: FlaskClient) -> None:
    inside = browser_of(app, make_user("bob@example.com"))
    assert "Recovery codes" not in inside.get(HERE).text
    assert inside.post(f"{HERE}/recovery-codes").location == HERE


def test_a_lost_phone_is_replaced_with_a_code(app: Flask, browser: FlaskClient) -> None:
    code = make_codes(browser)[0]
    inside, _ = step(app, code)
    assert "is removed" in inside.post(f"{HERE}/totp/remove", follow_redirects=True).text
    key = switch_on(inside)
    with clock.frozen(clock.now() + timedelta(minutes=1)):
        assert step(app, code_of(key))[1] == 303


def test_staff_with_codes_keep_them_while_a_factor_is_left(app: Flask, client: FlaskClient) -> None:
    boss = make_user("boss@example.com", role=Role.OWNER)
    inside = browser_of(app, boss)
    switch_on(inside)
    assert recovery.count_left(boss.id) == 10
