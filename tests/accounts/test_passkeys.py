"""Passkeys: added, named, removed, and the one thing needed to log in; lies are refused."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from tests.accounts.authenticator import PRESENT, Authenticator, text_of
from tests.accounts.test_sessions import take_redis_away
from tests.accounts.test_totp import switch_on
from tests.factories.people import PASSWORD, browser_of, make_user
from webapp.accounts.models import (
    IdentityProvider,
    LinkedIdentity,
    LoginSession,
    Passkey,
    Role,
    User,
)
from webapp.accounts.services.ways_in import check_way_remains
from webapp.core import clock
from webapp.core.models import AuditEntry, Shop
from webapp.messaging.models import Mail

HERE = "/account/security"
REFUSED = "That passkey could not be used here."


def options(browser: FlaskClient, path: str, **sent: object) -> dict[str, Any]:
    answer = browser.post(path, json=sent)
    assert answer.status_code == 200, answer.text
    asked: dict[str, Any] = answer.get_json()
    return asked


def add(browser: FlaskClient, key: Authenticator, name: str = "") -> TestResponse:
    made = key.create(options(browser, f"{HERE}/passkeys/options"))
    return browser.post(f"{HERE}/passkeys", data={"credential": made, "name": name})


def answer_login(
    browser: FlaskClient, key: Authenticator, asked: dict[str, Any], **more: object
) -> TestResponse:
    sent = {"credential": key.get(asked)} | more
    headers = {"Accept": "application/json"}
    return browser.post("/login/passkey/verify", json=sent, headers=headers)


def log_in(browser: FlaskClient, key: Authenticator, **more: object) -> TestResponse:
    return answer_login(browser, key, options(browser, "/login/passkey/options"), **more)


def only(session: Session) -> Passkey:
    session.expire_all()
    return session.scalars(select(Passkey)).one()


def test_a_passkey_is_added_with_its_name_and_told_by_mail(
    browser: FlaskClient, session: Session, alice: User
) -> None:
    assert "Make the passkey" in browser.get(f"{HERE}/passkeys/new").text
    assert add(browser, Authenticator(), " My\x07  phone ").location == HERE
    passkey = only(session)
    assert (passkey.user_id, passkey.name) == (alice.id, "My phone")
    assert passkey.transports == ["hybrid", "internal"]
    assert "My phone" in browser.get(HERE).text
    mail = session.scalars(select(Mail)).one()
    assert (mail.kind, mail.recipient) == ("passkey_added", "alice@example.com")
    assert "http://localhost/account/security" in mail.text
    noted = session.scalars(select(AuditEntry).where(AuditEntry.action == "passkey.added")).one()
    assert noted.user_id == noted.actor_id == alice.id


def test_what_the_browser_is_asked_for(browser: FlaskClient, alice: User) -> None:
    asked = options(browser, f"{HERE}/passkeys/options")
    assert asked["rp"] == {"name": "Northwind Goods", "id": "localhost"}
    assert asked["attestation"] == "none"
    assert asked["authenticatorSelection"]["residentKey"] == "required"
    assert asked["authenticatorSelection"]["userVerification"] == "required"
    assert asked["user"]["id"] == text_of(alice.id.bytes)
    key = Authenticator()
    add(browser, key)
    excluded = options(browser, f"{HERE}/passkeys/options")["excludeCredentials"]
    assert [known["id"] for known in excluded] == [text_of(key.credential_id)]


def test_one_logs_in_with_it_and_nothing_else(
    app: Flask, browser: FlaskClient, session: Session, alice: User
) -> None:
    key = Authenticator()
    add(browser, key)
    visitor = app.test_client()
    asked = options(visitor, "/login/passkey/options")
    assert asked["allowCredentials"] == []
    assert asked["userVerification"] == "required"
    answer = answer_login(visitor, key, asked, next="/account/security")
    assert answer.get_json() == {"next": "/account/security"}
    assert visitor.get(HERE).status_code == 200
    opened = select(LoginSession).order_by(LoginSession.created_at.desc())
    login = session.scalars(opened).first()
    assert login is not None
    assert login.method == "passkey"
    assert login.second_factor_at is not None
    assert only(session).last_used_at is not None


def test_it_counts_as_two_factors(app: Flask, browser: FlaskClient) -> None:
    key = Authenticator()
    add(browser, key)
    switch_on(browser)
    visitor = app.test_client()
    assert log_in(visitor, key).status_code == 200
    assert visitor.get(HERE).status_code == 200


def test_it_is_a_second_step_too(app: Flask, browser: FlaskClient) -> None:
    key, others = Authenticator(), Authenticator()
    add(browser, key)
    switch_on(browser)
    add(browser_of(app, make_user("bob@example.com")), others)
    visitor = app.test_client()
    data = {"email": "alice@example.com", "password": PASSWORD, "next": "/account/security"}
    visitor.post("/login", data=data)
    assert "Use a passkey" in visitor.get("/login/second-step").text
    asked = options(visitor, "/login/passkey/options", second_step=True)
    assert [known["id"] for known in asked["allowCredentials"]] == [text_of(key.credential_id)]
    assert answer_login(visitor, others, asked, second_step=True).status_code == 401
    asked = options(visitor, "/login/passkey/options", second_step=True)
    assert answer_login(visitor, key, asked, second_step=True).get_json()["next"] == HERE
    assert visitor.get(HERE).status_code == 200


@pytest.mark.parametrize(
    "lie",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://localhost:8000"},
        {"rp_id": "evil.example"},
        {"flags": PRESENT},
        {"flags": 0},
        {"credential_id": b"unknown to us..."},
        {"user_handle": b"somebody else..."},
        {"_key": Authenticator()._key},
    ],
    ids=["origin", "port", "party", "unverified", "absent", "unknown", "handle", "forged"],
)
def test_a_lie_at_the_door_is_refused(
    app: Flask, browser: FlaskClient, lie: dict[str, Any]
) -> None:
    key = Authenticator()
    add(browser, key)
    for name, value in lie.items():
        setattr(key, name, value)
    visitor = app.test_client()
    answer = log_in(visitor, key)
    assert answer.status_code == 401
    assert REFUSED in answer.get_json()["error"]["message"]
    assert visitor.get(HERE).status_code == 303


@pytest.mark.parametrize(
    "lie",
    [
        {"origin": "https://evil.example"},
        {"rp_id": "evil.example"},
        {"flags": PRESENT},
    ],
    ids=["origin", "party", "unverified"],
)
def test_a_lie_while_adding_is_refused_with_a_sentence(
    browser: FlaskClient, session: Session, lie: dict[str, Any]
) -> None:
    answer = add(browser, Authenticator(**lie))
    assert answer.status_code == 401
    assert REFUSED in answer.text
    assert session.scalars(select(Passkey)).all() == []


def test_a_cloned_key_is_noticed_by_its_count(app: Flask, browser: FlaskClient) -> None:
    key = Authenticator(count=1)
    add(browser, key)
    for count, status in ((5, 200), (5, 401), (4, 401), (6, 200)):
        key.count = count
        assert log_in(app.test_client(), key).status_code == status


def test_a_synced_key_that_does_not_count_is_fine(app: Flask, browser: FlaskClient) -> None:
    key = Authenticator(count=0)
    add(browser, key)
    assert [log_in(app.test_client(), key).status_code for _ in range(3)] == [200, 200, 200]


def test_without_redis_passkeys_work_all_the_same(
    app: Flask, browser: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = Authenticator()
    add(browser, key)
    take_redis_away(app, monkeypatch)
    assert log_in(app.test_client(), key).status_code == 200


@pytest.mark.parametrize(
    "sent",
    [
        *(None, [], "text", {}),
        *({"credential": None}, {"credential": {}}, {"credential": "{}"}),
        {"credential": {"id": "é", "rawId": "é", "type": "public-key", "response": {}}},
        *({"credential": "x" * 30_000}, {"credential": {"id": ["x"]}}),
    ],
)
def test_nonsense_is_refused_politely(client: FlaskClient, sent: object) -> None:
    client.post("/login/passkey/options", json={})
    answer = client.post("/login/passkey/verify", json=sent)
    assert answer.status_code == 401


def test_somebody_shut_out_does_not_come_in(
    app: Flask, browser: FlaskClient, session: Session, alice: User
) -> None:
    key = Authenticator()
    add(browser, key)
    alice.active = False
    session.commit()
    assert log_in(app.test_client(), key).status_code == 401


def test_the_same_passkey_is_not_added_twice(app: Flask, browser: FlaskClient) -> None:
    key = Authenticator()
    add(browser, key)
    bob = browser_of(app, make_user("bob@example.com"))
    answer = add(bob, key)
    assert answer.status_code == 409
    assert "has been added already" in answer.text


def test_it_is_renamed(browser: FlaskClient, session: Session) -> None:
    add(browser, Authenticator(), "Phone")
    passkey = only(session)
    path = f"{HERE}/passkeys/{passkey.id}/rename"
    assert "Blue key" in browser.post(path, data={"name": "Blue key"}, follow_redirects=True).text
    assert only(session).name == "Blue key"
    browser.post(path, data={"name": " "})
    assert only(session).name == "Blue key"
    hostile = {"name": "<script>alert(1)</script>"}
    assert "<script>alert" not in browser.post(path, data=hostile, follow_redirects=True).text


def test_it_is_removed_and_opens_nothing_more(
    app: Flask, browser: FlaskClient, session: Session
) -> None:
    key = Authenticator()
    add(browser, key)
    path = f"{HERE}/passkeys/{only(session).id}/remove"
    assert "The passkey is removed." in browser.post(path, follow_redirects=True).text
    assert log_in(app.test_client(), key).status_code == 401
    mails = session.scalars(select(Mail.text).order_by(Mail.id)).all()
    assert "A passkey was removed" in mails[-1]
    assert browser.post(path).status_code == 404


def test_nobody_touches_the_passkeys_of_another(
    app: Flask, browser: FlaskClient, session: Session
) -> None:
    add(browser, Authenticator(), "Hers")
    bob = browser_of(app, make_user("bob@example.com"))
    path = f"{HERE}/passkeys/{only(session).id}"
    assert bob.post(f"{path}/rename", data={"name": "His"}).status_code == 404
    assert bob.post(f"{path}/remove").status_code == 404
    assert only(session).name == "Hers"


def test_the_last_way_in_stays(app: Flask, client: FlaskClient, session: Session) -> None:
    charlie = make_user("charlie@example.com", password=None)
    browser = browser_of(app, charlie)
    add(browser, Authenticator())
    path = f"{HERE}/passkeys/{only(session).id}/remove"
    answer = browser.post(path, follow_redirects=True)
    assert "This is the last way into your account." in answer.text
    identity = LinkedIdentity(
        user_id=charlie.id, provider=IdentityProvider.GOOGLE, subject="1", email="c@example.com"
    )
    session.add(identity)
    session.commit()
    assert "The passkey is removed." in browser.post(path, follow_redirects=True).text
    with pytest.raises(Exception, match="last way"):
        check_way_remains(charlie, without_identity=identity.id)


def test_a_passkey_is_a_proof(app: Flask, client: FlaskClient) -> None:
    browser = browser_of(app, make_user("charlie@example.com", password=None))
    key = Authenticator()
    add(browser, key)
    with clock.frozen(clock.now() + timedelta(minutes=20)):
        asked = browser.get(f"{HERE}/passkeys/new").location
        page = browser.get(asked).text
        assert "Use a passkey" in page and 'type="password"' not in page
        wanted = options(browser, "/account/prove/passkey/options")
        sent = {"credential": key.get(wanted), "next": f"{HERE}/passkeys/new"}
        answer = browser.post("/account/prove/passkey/verify", json=sent)
        assert answer.get_json() == {"next": f"{HERE}/passkeys/new"}
        assert browser.get(f"{HERE}/passkeys/new").status_code == 200


@pytest.mark.parametrize("there", ["//evil.example/", 7, {"a": "/"}, None])
def test_a_proof_leads_to_no_other_site_and_nonsense_to_ones_own_locks(
    browser: FlaskClient, there: object
) -> None:
    key = Authenticator()
    add(browser, key)
    wanted = options(browser, "/account/prove/passkey/options")
    sent = {"credential": key.get(wanted), "next": there}
    answer = browser.post("/account/prove/passkey/verify", json=sent)
    assert answer.get_json() == {"next": HERE}


def test_anothers_passkey_proves_nothing(app: Flask, browser: FlaskClient) -> None:
    key = Authenticator()
    add(browser_of(app, make_user("bob@example.com")), key)
    wanted = options(browser, "/account/prove/passkey/options")
    sent = {"credential": key.get(wanted)}
    assert browser.post("/account/prove/passkey/verify", json=sent).status_code == 401


def test_adding_needs_a_fresh_proof(app: Flask, alice: User) -> None:
    with clock.frozen(clock.now() - timedelta(minutes=16)):
        browser = browser_of(app, alice)
    for path in ("passkeys/options", "passkeys", "passkeys/1/remove"):
        assert browser.post(f"{HERE}/{path}").location.startswith("/account/prove")


def test_staff_get_recovery_codes_with_their_first_passkey(
    app: Flask, client: FlaskClient, session: Session
) -> None:
    session.scalars(select(Shop)).one().staff_second_factor = True
    session.commit()
    boss = browser_of(app, make_user("boss@example.com", role=Role.OWNER))
    assert boss.get("/admin/").location == HERE
    key = Authenticator()
    assert add(boss, key).location == f"{HERE}/recovery-codes"
    assert "Your recovery codes" in boss.post(f"{HERE}/recovery-codes").text
    assert add(boss, Authenticator()).location == HERE
    assert boss.get("/admin/").status_code == 200
    visitor = app.test_client()
    data = {"email": "boss@example.com", "password": PASSWORD}
    assert visitor.post("/login", data=data).location == "/login/second-step"
    assert log_in(app.test_client(), key).get_json()["next"] == "/admin/"


@pytest.mark.parametrize("path", ["/login/passkey/options", "/login/passkey/verify"])
def test_both_ends_want_the_token_against_forgery(app: Flask, path: str) -> None:
    assert app.test_client().post(path, json={}).status_code == 400


def test_the_login_page_carries_what_the_script_needs(client: FlaskClient) -> None:
    page = client.get("/login?next=/account/security").text
    assert 'data-options="/login/passkey/options"' in page
    assert 'data-next="/account/security"' in page
    assert "js/passkeys.js" in page
