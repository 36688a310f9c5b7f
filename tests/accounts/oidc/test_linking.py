"""Linking an account elsewhere to one's own, proving oneself by it, and unlinking it."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from tests.accounts.oidc.provider import OidcProvider, Person
from tests.accounts.oidc.visiting import ALICE, BOB, arrive, at_provider, is_in, visit
from tests.factories.people import browser_of, make_user, passkey_of
from webapp.accounts.models import IdentityProvider, LinkedIdentity, LoginSession, User
from webapp.core import clock
from webapp.core.models import AuditEntry, Shop
from webapp.core.state import bind
from webapp.messaging.models import Mail

ELSEWHERE = Person("wonderland@mail.example", "9001", "Alice")


@pytest.fixture
def alice(app: Flask) -> User:
    return make_user(ALICE.email)


@pytest.fixture
def at_home(app: Flask, client: FlaskClient, alice: User) -> FlaskClient:
    """A browser in which alice is logged in; ``client`` switches the forms' tokens off."""
    return browser_of(app, alice)


def begin(browser: FlaskClient, provider: OidcProvider) -> TestResponse:
    return browser.post(f"/account/security/identities/{provider.manner}/link")


def link(browser: FlaskClient, provider: OidcProvider, person: Person) -> TestResponse:
    provider.answers_as = person
    return arrive(browser, provider, at_provider(begin(browser, provider).location))


def unlink(browser: FlaskClient, provider: OidcProvider) -> TestResponse:
    return browser.post(f"/account/security/identities/{provider.manner}/unlink")


def linked(session: Session) -> list[tuple[str, str]]:
    found = session.scalars(select(LinkedIdentity).order_by(LinkedIdentity.id))
    return [(identity.provider.value, identity.subject) for identity in found]


def actions(session: Session) -> list[str]:
    found = session.scalars(select(AuditEntry.action).order_by(AuditEntry.id))
    return [action for action in found if action.startswith("identity.")]


def test_a_linked_account_opens_the_door_whatever_its_address(
    app: Flask, session: Session, provider: OidcProvider, at_home: FlaskClient, alice: User
) -> None:
    assert "Sign in here with your" in at_home.get("/account/security").text
    answer = link(at_home, provider, ELSEWHERE)
    assert (answer.status_code, answer.location) == (303, "/account/security")
    page = at_home.get("/account/security").text
    assert "opens your account from now on" in page
    assert ELSEWHERE.email in page
    assert linked(session) == [(provider.manner.value, "9001")]

    phone = app.test_client()
    assert visit(phone, provider, ELSEWHERE).status_code == 303
    assert is_in(phone)
    latest = session.scalars(select(LoginSession).order_by(LoginSession.created_at.desc())).first()
    assert latest is not None
    assert latest.user_id == alice.id


def test_the_owner_is_told_and_the_audit_knows(
    session: Session, provider: OidcProvider, at_home: FlaskClient, run_jobs: Callable[[], int]
) -> None:
    link(at_home, provider, ELSEWHERE)
    unlink(at_home, provider)
    run_jobs()
    mails = session.scalars(select(Mail).order_by(Mail.id)).all()
    assert [mail.kind for mail in mails] == ["identity_linked", "identity_unlinked"]
    title = provider.manner.value.capitalize()
    for mail in mails:
        assert mail.recipient == ALICE.email
        assert title in mail.subject
        assert "http://localhost/account/security" in mail.text
        assert ELSEWHERE.email not in mail.text + mail.html
    assert actions(session) == ["identity.linked", "identity.unlinked"]
    details = [entry.details for entry in session.scalars(select(AuditEntry))]
    assert "wonderland" not in json.dumps(details)


def test_an_unverified_address_gets_no_mail_about_it(
    app: Flask, session: Session, client: FlaskClient, google: OidcProvider
) -> None:
    browser = browser_of(app, make_user(BOB.email, verified=False))
    assert link(browser, google, ELSEWHERE).status_code == 303
    assert session.scalars(select(Mail)).all() == []


def test_linking_asks_for_a_proof_and_a_token(
    app: Flask, session: Session, google: OidcProvider, alice: User
) -> None:
    browser = browser_of(app, alice)
    assert begin(browser, google).status_code == 400
    app.config["WTF_CSRF_ENABLED"] = False
    try:
        with clock.frozen(clock.now() + timedelta(minutes=16)):
            for answer in (begin(browser, google), unlink(browser, google)):
                assert answer.location.startswith("/account/prove")
        assert begin(app.test_client(), google).location.startswith("/login")
    finally:
        app.config["WTF_CSRF_ENABLED"] = True
    assert google.seen == []


def test_it_is_a_post(at_home: FlaskClient, google: OidcProvider) -> None:
    for verb in ("link", "unlink"):
        assert at_home.get(f"/account/security/identities/google/{verb}").status_code == 405


def test_what_opens_somebody_elses_account_cannot_be_linked(
    app: Flask, session: Session, provider: OidcProvider, at_home: FlaskClient
) -> None:
    visit(app.test_client(), provider, BOB)
    answer = link(at_home, provider, BOB)
    assert answer.status_code == 409
    assert "already opens another account here" in answer.text
    assert len(linked(session)) == 1


def test_one_account_of_each_provider(
    session: Session, google: OidcProvider, apple: OidcProvider, at_home: FlaskClient
) -> None:
    link(at_home, google, ELSEWHERE)
    assert link(at_home, google, ELSEWHERE).status_code == 303
    assert link(at_home, google, BOB).status_code == 409
    assert link(at_home, apple, ELSEWHERE).status_code == 303
    assert linked(session) == [("google", "9001"), ("apple", "9001")]
    assert actions(session) == ["identity.linked", "identity.linked"]


def test_only_whoever_began_can_finish(
    app: Flask, session: Session, provider: OidcProvider, at_home: FlaskClient
) -> None:
    """Else a journey that outlives a logout would link to whoever logs in next."""
    provider.answers_as = ELSEWHERE
    carried = at_provider(begin(at_home, provider).location)
    with at_home.session_transaction() as kept:
        journey = kept["identity_journey"]
    other = browser_of(app, make_user(BOB.email))
    with other.session_transaction() as planted:
        planted["identity_journey"] = journey
    out = app.test_client()
    with out.session_transaction() as planted:
        planted["identity_journey"] = journey
    for browser in (other, out):
        answer = arrive(browser, provider, carried)
        assert answer.status_code == 403
    assert linked(session) == []
    assert not is_in(out)


def test_a_login_in_the_making_links_nothing(
    session: Session, provider: OidcProvider, at_home: FlaskClient
) -> None:
    """Only the button on the security page links: a link from elsewhere can start a login."""
    answer = visit(at_home, provider, ELSEWHERE)
    assert answer.status_code == 403
    assert "does not open the account you are logged in with" in answer.text
    assert linked(session) == []
    assert is_in(at_home)


def test_signing_in_again_is_a_proof(
    app: Flask, session: Session, google: OidcProvider, client: FlaskClient
) -> None:
    browser = app.test_client()
    visit(browser, google, ALICE)
    login = session.scalars(select(LoginSession)).one()
    login.proven_at -= timedelta(minutes=20)
    session.commit()
    before = login.secret_hash
    asked = begin(browser, google).location
    assert asked.startswith("/account/prove")
    page = browser.get(asked).text
    assert 'href="/login/google?next=/account/security"' in page
    answer = visit(browser, google, ALICE, next="/account/security")
    assert answer.location == "/account/security"
    session.refresh(login)
    assert clock.now() - login.proven_at < timedelta(minutes=1)
    assert login.secret_hash != before
    assert begin(browser, google).location.startswith(google.url)
    assert len(session.scalars(select(LoginSession)).all()) == 1


def test_a_shop_that_cannot_write_mails_lets_people_link_and_unlink(
    session: Session, google: OidcProvider, at_home: FlaskClient
) -> None:
    session.get_one(Shop, 1).sender_email = "broken"
    session.commit()
    link(at_home, google, ELSEWHERE)
    assert linked(session) == [("google", ELSEWHERE.subject)]
    unlink(at_home, google)
    assert linked(session) == []
    assert session.scalars(select(Mail)).all() == []


def test_unlinking_closes_that_way_in(
    app: Flask, session: Session, provider: OidcProvider, at_home: FlaskClient
) -> None:
    link(at_home, provider, ELSEWHERE)
    assert unlink(at_home, provider).location == "/account/security"
    assert "no longer opens your account" in at_home.get("/account/security").text
    assert linked(session) == []
    assert unlink(at_home, provider).status_code == 303
    assert actions(session) == ["identity.linked", "identity.unlinked"]


def test_the_last_way_in_stays(
    app: Flask, session: Session, google: OidcProvider, client: FlaskClient
) -> None:
    browser = app.test_client()
    visit(browser, google, ALICE)
    unlink(browser, google)
    assert "the last way into your account" in browser.get("/account/security").text
    assert linked(session) == [("google", "alice-1001")]

    user = session.scalars(select(User)).one()
    passkey = passkey_of(user.id)
    session.add(passkey)
    session.commit()
    unlink(browser, google)
    assert linked(session) == []


def test_another_linked_account_is_a_way_in(
    session: Session, google: OidcProvider, apple: OidcProvider, client: FlaskClient, app: Flask
) -> None:
    browser = app.test_client()
    visit(browser, google, ALICE)
    link(browser, apple, ELSEWHERE)
    unlink(browser, google)
    assert linked(session) == [("apple", "9001")]
    unlink(browser, apple)
    assert linked(session) == [("apple", "9001")]


def test_nobody_unlinks_for_somebody_else(
    app: Flask, session: Session, google: OidcProvider, at_home: FlaskClient
) -> None:
    link(at_home, google, ELSEWHERE)
    other = browser_of(app, make_user(BOB.email))
    assert unlink(other, google).status_code == 303
    assert len(linked(session)) == 1


def test_a_provider_that_is_switched_off_can_still_be_unlinked(
    app: Flask, session: Session, google: OidcProvider, at_home: FlaskClient, alice: User
) -> None:
    config, fork = app.extensions["startupwebapp"]
    bind(app, config.model_copy(update={"google_client_id": ""}), fork)
    assert "Linked accounts" not in at_home.get("/account/security").text
    identity = LinkedIdentity(user_id=alice.id, provider=IdentityProvider.GOOGLE, subject="1")
    session.add(identity)
    session.commit()
    assert "Switched off" in at_home.get("/account/security").text
    assert begin(at_home, google).status_code == 404
    assert unlink(at_home, google).status_code == 303
    assert linked(session) == []


def test_a_provider_that_is_away_links_nothing(
    session: Session, google: OidcProvider, at_home: FlaskClient
) -> None:
    google.down = True
    answer = begin(at_home, google)
    assert answer.status_code == 503
    assert "Back to your account" in answer.text
