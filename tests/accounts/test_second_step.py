"""The second step of a login: who must take it, and that nothing opens before."""

from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.accounts.test_totp import code_of, switch_on
from tests.factories.people import PASSWORD, browser_of, make_user
from webapp.accounts.models import LoginSession, Role, User
from webapp.accounts.services.passwords import set_password
from webapp.core import clock
from webapp.core.models import AuditEntry, Shop

HERE = "/account/security"
STEP = "/login/second-step"


@pytest.fixture
def key(app: Flask, alice: User) -> str:
    """The key of Alice's authenticator app, set up a while ago."""
    with clock.frozen(clock.now() - timedelta(minutes=10)):
        return switch_on(browser_of(app, alice))


def first_step(browser: FlaskClient, email: str = "alice@example.com", **more: str) -> str:
    data = {"email": email, "password": PASSWORD} | more
    answer = browser.post("/login", data=data)
    assert answer.status_code == 303
    return answer.location


def is_in(browser: FlaskClient) -> bool:
    return browser.get(HERE).status_code == 200


def count_sessions(session: Session, user: User) -> int:
    return len(session.scalars(select(LoginSession).where(LoginSession.user_id == user.id)).all())


def test_the_password_alone_opens_nothing(
    client: FlaskClient, session: Session, alice: User, key: str
) -> None:
    before = count_sessions(session, alice)
    assert first_step(client) == STEP
    assert not is_in(client)
    assert count_sessions(session, alice) == before


def test_a_code_opens_and_leads_where_one_was_going(client: FlaskClient, key: str) -> None:
    first_step(client, next="/account/security?tab=1", remember="y")
    assert "authenticator app" in client.get(STEP).text
    answer = client.post(STEP, data={"code": code_of(key)})
    assert answer.location == "/account/security?tab=1"
    assert is_in(client)
    with clock.frozen(clock.now() + timedelta(days=20)):
        assert is_in(client), "the wish to be remembered was kept"


def test_a_wrong_code_opens_nothing_and_is_noted(
    client: FlaskClient, session: Session, alice: User, key: str
) -> None:
    first_step(client)
    answer = client.post(STEP, data={"code": "000000"})
    assert answer.status_code == 401
    assert "That code is not right" in answer.text
    assert not is_in(client)
    noted = select(AuditEntry).where(AuditEntry.action == "second_step.refused")
    assert session.scalars(noted).one().user_id == alice.id


def test_one_code_does_not_let_two_in(app: Flask, client: FlaskClient, key: str) -> None:
    other = app.test_client()
    first_step(client)
    first_step(other)
    code = code_of(key)
    assert client.post(STEP, data={"code": code}).status_code == 303
    assert other.post(STEP, data={"code": code}).status_code == 401


def test_the_first_step_lapses_after_ten_minutes(client: FlaskClient, key: str) -> None:
    first_step(client)
    with clock.frozen(clock.now() + timedelta(minutes=10)):
        answer = client.post(STEP, data={"code": code_of(key)})
    assert answer.location == "/login"
    assert not is_in(client)


def test_a_new_password_voids_the_first_step(
    client: FlaskClient, session: Session, alice: User, key: str
) -> None:
    first_step(client)
    set_password(alice, "Louder-Harbour-43")
    session.commit()
    assert client.post(STEP, data={"code": code_of(key)}).location == "/login"
    assert not is_in(client)


def test_someone_shut_out_between_the_steps_stays_out(
    client: FlaskClient, session: Session, alice: User, key: str
) -> None:
    first_step(client)
    alice.active = False
    session.commit()
    assert client.post(STEP, data={"code": code_of(key)}).location == "/login"


def test_nobody_takes_a_second_step_without_a_first(client: FlaskClient, key: str) -> None:
    assert client.get(STEP).location == "/login"
    assert client.post(STEP, data={"code": code_of(key)}).location == "/login"


def test_a_planted_session_is_forgotten_at_the_first_step(
    client: FlaskClient, alice: User, key: str
) -> None:
    with client.session_transaction() as planted:
        planted["left_behind"] = "by an attacker"
    first_step(client)
    with client.session_transaction() as kept:
        assert "left_behind" not in kept


def test_the_first_step_of_one_is_none_of_another(
    app: Flask, client: FlaskClient, key: str
) -> None:
    bob = make_user("bob@example.com")
    with clock.frozen(clock.now() - timedelta(minutes=10)):
        his = switch_on(browser_of(app, bob))
    first_step(client)
    assert client.post(STEP, data={"code": code_of(his)}).status_code == 401


def test_leaving_forgets_the_first_step(client: FlaskClient, key: str) -> None:
    first_step(client)
    client.post("/logout")
    assert client.get(STEP).location == "/login"


@pytest.fixture
def strict(app: Flask, client: FlaskClient, session: Session) -> Shop:
    """A shop that wants a second factor of its staff."""
    shop = session.scalars(select(Shop)).one()
    shop.staff_second_factor = True
    session.commit()
    return shop


@pytest.fixture
def boss(strict: Shop) -> User:
    return make_user("boss@example.com", role=Role.OWNER)


def test_staff_without_a_second_factor_set_one_up_before_anything_else(
    app: Flask, boss: User
) -> None:
    inside = browser_of(app, boss)
    for path in ("/admin/", "/admin/orders/", "/account/activity"):
        assert inside.get(path).location == HERE
    assert "A second factor, please." in inside.get(HERE).text
    switch_on(inside)
    assert inside.get("/admin/").status_code == 200


def test_a_member_owes_the_shop_no_second_factor(app: Flask, strict: Shop, alice: User) -> None:
    inside = browser_of(app, alice)
    assert is_in(inside)
    assert "A second factor, please." not in inside.get(HERE).text


def test_staff_who_are_in_without_their_second_step_take_it(app: Flask, boss: User) -> None:
    with clock.frozen(clock.now() - timedelta(minutes=10)):
        key = switch_on(browser_of(app, boss))
    inside = browser_of(app, boss)
    sent = inside.get("/admin/orders/").location
    assert sent == f"{STEP}?next=/admin/orders/"
    page = inside.get(sent)
    assert "One more step" in page.text
    answer = inside.post(STEP, data={"code": code_of(key), "next": "/admin/orders/"})
    assert answer.location == "/admin/orders/"
    assert inside.get("/admin/orders/").status_code == 200


def test_half_a_session_can_not_give_itself_the_other_half(app: Flask, boss: User) -> None:
    """Who has the password alone must not add a passkey of their own, or read codes."""
    with clock.frozen(clock.now() - timedelta(minutes=10)):
        switch_on(browser_of(app, boss))
    thief = browser_of(app, boss)
    for path in ("passkeys/new", "recovery-codes", "totp"):
        assert thief.get(f"{HERE}/{path}").location.startswith(STEP)
    for path in ("passkeys/options", "passkeys", "recovery-codes", "totp", "totp/confirm"):
        assert thief.post(f"{HERE}/{path}").location.startswith(STEP)


def test_staff_can_not_remove_the_last_factor_the_shop_wants(app: Flask, boss: User) -> None:
    inside = browser_of(app, boss)
    switch_on(inside)
    answer = inside.post(f"{HERE}/totp/remove", follow_redirects=True)
    assert "this is your last one" in answer.text
    assert inside.get("/admin/").status_code == 200


def test_where_the_shop_asks_for_nothing_staff_need_nothing(
    app: Flask, client: FlaskClient
) -> None:
    boss = make_user("boss@example.com", role=Role.OWNER)
    assert browser_of(app, boss).get("/admin/").status_code == 200


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "/\\evil.example"])
def test_neither_step_leads_elsewhere(app: Flask, boss: User, target: str) -> None:
    with clock.frozen(clock.now() - timedelta(minutes=10)):
        key = switch_on(browser_of(app, boss))
    inside = browser_of(app, boss)
    data = {"code": code_of(key), "next": target}
    assert inside.post(STEP, data=data).location == HERE
    data = {"password": PASSWORD, "next": target}
    assert inside.post("/account/prove", data=data).location == HERE


def test_a_proof_is_asked_again_after_a_quarter_of_an_hour(app: Flask, alice: User) -> None:
    inside = browser_of(app, alice)
    assert inside.get(f"{HERE}/passkeys/new").status_code == 200
    with clock.frozen(clock.now() + timedelta(minutes=15)):
        asked = inside.get(f"{HERE}/passkeys/new").location
        assert asked == f"/account/prove?next={HERE}/passkeys/new"
        assert "Is it you?" in inside.get(asked).text
        assert inside.post(asked, data={"password": "Wrong-Harbour-42"}).status_code == 400
        assert inside.post(asked, data={"password": PASSWORD}).location == f"{HERE}/passkeys/new"
        assert inside.get(f"{HERE}/passkeys/new").status_code == 200


def test_a_code_is_a_proof_too(app: Flask, alice: User, key: str) -> None:
    inside = browser_of(app, alice, second_factor=True)
    with clock.frozen(clock.now() + timedelta(minutes=20)):
        assert inside.post(f"{HERE}/totp/remove").status_code == 303
        assert "Code of your authenticator app" in inside.get("/account/prove").text
        assert inside.post("/account/prove", data={"code": "000000"}).status_code == 401
        assert inside.post("/account/prove", data={"code": code_of(key)}).location == HERE
        assert "is removed" in inside.post(f"{HERE}/totp/remove", follow_redirects=True).text


def test_the_sixth_code_has_to_wait_and_says_how_long(limited_app: Flask, key: str) -> None:
    browser = limited_app.test_client()
    first_step(browser)
    for _ in range(5):
        assert browser.post(STEP, data={"code": "000000"}).status_code == 401
    answer = browser.post(STEP, data={"code": code_of(key)})
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 15 * 60
    other = limited_app.test_client()
    first_step(other)
    assert other.post(STEP, data={"code": code_of(key)}).status_code == 429, "per user, not browser"


def test_good_codes_do_not_use_the_tries_up(limited_app: Flask, key: str) -> None:
    for minutes in range(12):
        with clock.frozen(clock.now() + timedelta(minutes=minutes + 1)):
            browser = limited_app.test_client()
            first_step(browser)
            assert browser.post(STEP, data={"code": code_of(key)}).status_code == 303


def test_guesses_of_the_password_at_the_proof_are_limited(limited_app: Flask, alice: User) -> None:
    inside = browser_of(limited_app, alice)
    for _ in range(5):
        assert inside.post("/account/prove", data={"password": "Wrong-1-Pass"}).status_code == 400
    assert inside.post("/account/prove", data={"password": PASSWORD}).status_code == 429
