"""Signing in with Google and Apple: who gets an account, and who gets into one."""

import json
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.accounts.oidc.provider import Manner, OidcProvider, Person
from tests.accounts.oidc.visiting import (
    ALICE,
    arrive,
    at_provider,
    is_in,
    leave,
    nobody_is_in,
    switch_on,
    users,
    visit,
)
from tests.factories.people import make_user
from webapp.accounts import gateway
from webapp.accounts.models import (
    IdentityProvider,
    LinkedIdentity,
    LoginSession,
    Member,
    Totp,
    User,
)
from webapp.accounts.queries import find_verified_user
from webapp.accounts.queries.identities import find_identity
from webapp.accounts.services import identities
from webapp.core import clock
from webapp.core.audit import SYSTEM
from webapp.core.models import AuditEntry
from webapp.core.state import bind
from webapp.messaging.models import Mail


def test_a_first_visit_makes_a_member_whose_address_is_verified(
    session: Session, provider: OidcProvider, browser: FlaskClient, run_jobs: Callable[[], int]
) -> None:
    answer = visit(browser, provider, ALICE)
    assert (answer.status_code, answer.location) == (303, "/account")
    assert is_in(browser)
    user = find_verified_user("alice@example.com")
    assert user is not None
    assert user.password_hash is None
    assert session.scalars(select(Member.name)).one() == "Alice Doe"
    login = session.scalars(select(LoginSession)).one()
    assert login.method == provider.manner.value
    assert login.second_factor_at is None
    run_jobs()
    assert session.scalars(select(Mail.kind)).all() == ["welcome"]
    audit = session.scalars(select(AuditEntry)).all()
    assert "member.registered" in [entry.action for entry in audit]
    assert "alice" not in json.dumps([entry.details for entry in audit]).lower()


def test_later_visits_open_the_same_account_whatever_the_address_there_is_by_then(
    app: Flask, session: Session, provider: OidcProvider, browser: FlaskClient
) -> None:
    visit(browser, provider, ALICE)
    moved = Person("alice@elsewhere.example", ALICE.subject, "Alice Moved", email_verified=False)
    before = clock.now()
    second = app.test_client()
    assert visit(second, provider, moved).status_code == 303
    assert is_in(second)
    last_used_at = session.scalars(select(LinkedIdentity.last_used_at)).one()
    assert last_used_at is not None
    assert last_used_at > before
    assert users(session) == 1
    assert session.scalars(select(User.email)).one() == "alice@example.com"


def test_the_way_leads_on_to_where_the_visitor_was_going(
    provider: OidcProvider, browser: FlaskClient
) -> None:
    answer = visit(browser, provider, ALICE, next="/cart?from=mail")
    assert answer.location == "/cart?from=mail"


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_it_leads_to_no_other_site(
    provider: OidcProvider, browser: FlaskClient, target: str
) -> None:
    assert visit(browser, provider, ALICE, next=target).location == "/account"


def test_thinking_better_of_it_leads_back_to_the_form(
    provider: OidcProvider, browser: FlaskClient
) -> None:
    provider.people = [ALICE]
    url = leave(browser, provider, next="/cart")
    answer = arrive(browser, provider, at_provider(f"{url}&as=nobody"))
    assert answer.location == "/login?next=/cart"
    assert "without signing in there" in browser.get(answer.location).text


def test_a_key_for_apple_may_stand_on_one_line(
    bare: Flask, apple: OidcProvider, browser: FlaskClient
) -> None:
    config, fork = bare.extensions["startupwebapp"]
    line = apple.pem.replace("\n", "\\n")
    bind(bare, config.model_copy(update={"apple_private_key": line}), fork)
    assert visit(browser, apple, ALICE).status_code == 303


def test_without_credentials_there_is_nothing_to_see(bare: Flask, client: FlaskClient) -> None:
    for name in Manner:
        assert client.get(f"/login/{name}").status_code == 404
        assert client.get(f"/login/{name}/callback?state=x&code=y").status_code == 404
    assert client.post("/login/apple/callback", data={"state": "x"}).status_code == 404
    for page in ("/login", "/register"):
        assert "Continue with" not in client.get(page).text


def test_half_of_the_credentials_are_none(
    bare: Flask, google: OidcProvider, apple: OidcProvider, client: FlaskClient
) -> None:
    config, fork = bare.extensions["startupwebapp"]
    for missing in ("google_client_secret", "apple_key_id"):
        bind(bare, config.model_copy(update={missing: ""}), fork)
        assert client.get(f"/login/{missing.partition('_')[0]}").status_code == 404


def test_the_buttons_are_links_that_keep_the_way(
    bare: Flask, google: OidcProvider, apple: OidcProvider, client: FlaskClient
) -> None:
    for page in ("/login?next=/cart", "/register?next=/cart"):
        text = client.get(page).text
        assert 'href="/login/google?next=/cart"' in text
        assert 'href="/login/apple?next=/cart"' in text
    assert "https:" not in client.get("/login?next=https://evil.example").text


def test_there_is_no_third_provider(client: FlaskClient, google: OidcProvider) -> None:
    assert client.get("/login/github").status_code == 404


@pytest.mark.parametrize("verified", [False, None, "false", "True", 1, "yes"])
def test_an_address_nobody_vouches_for_makes_no_account(
    session: Session, google: OidcProvider, browser: FlaskClient, verified: object
) -> None:
    answer = visit(browser, google, Person("alice@example.com", "1", email_verified=verified))
    assert answer.status_code == 403
    assert "does not confirm that the email address is yours" in answer.text
    assert users(session) == 0


def test_apple_may_write_the_flag_as_a_text(
    session: Session, apple: OidcProvider, browser: FlaskClient
) -> None:
    person = Person("x1y2@privaterelay.example", "000.a.1", email_verified="true")
    assert visit(browser, apple, person).status_code == 303


@pytest.mark.parametrize("email", ["", "no address", "al\nice@example.com", "аlice@example.com"])
def test_an_address_we_would_not_take_by_hand_is_not_taken_from_a_provider(
    session: Session, google: OidcProvider, browser: FlaskClient, email: str
) -> None:
    assert visit(browser, google, Person(email, "1")).status_code == 403
    assert users(session) == 0


def test_an_account_that_is_there_is_not_taken_over(
    session: Session, provider: OidcProvider, browser: FlaskClient
) -> None:
    make_user(ALICE.email)
    answer = visit(browser, provider, Person("Alice@Example.com", ALICE.subject))
    assert answer.status_code == 409
    assert "There is already an account for alice@example.com." in answer.text
    assert 'href="/login?next=/account/security"' in answer.text
    assert session.scalar(select(LinkedIdentity)) is None
    assert nobody_is_in(session, browser)


def test_whoever_registered_with_somebody_elses_address_loses_it(
    app: Flask, session: Session, provider: OidcProvider, browser: FlaskClient
) -> None:
    squatter = make_user(ALICE.email, verified=False)
    assert visit(browser, provider, ALICE).status_code == 303
    owner = find_verified_user(ALICE.email)
    assert owner is not None
    assert owner.id != squatter.id
    session.refresh(squatter)
    assert not squatter.active


def test_somebody_shut_out_stays_out(
    app: Flask, session: Session, provider: OidcProvider, browser: FlaskClient
) -> None:
    visit(browser, provider, ALICE)
    session.scalars(select(User)).one().active = False
    session.commit()
    again = app.test_client()
    answer = visit(again, provider, ALICE)
    assert answer.status_code == 403
    assert not is_in(again)


def test_two_clicks_make_one_account(
    session: Session, google: OidcProvider, bare: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = gateway.read_providers(bare.extensions["startupwebapp"][0])[IdentityProvider.GOOGLE]
    claims = gateway.Claims("1001", "alice@example.com", True, "Alice")
    first = identities.sign_in(found, claims, SYSTEM)
    session.commit()
    asked: list[str] = []

    def blind_once(provider: IdentityProvider, subject: str) -> LinkedIdentity | None:
        asked.append(subject)
        return None if len(asked) == 1 else find_identity(provider, subject)

    monkeypatch.setattr(identities, "find_identity", blind_once)
    monkeypatch.setattr(identities, "find_verified_user", lambda _email: None)
    assert identities.sign_in(found, claims, SYSTEM).id == first.id
    assert users(session) == 1


def test_the_second_step_is_asked_for_all_the_same(
    session: Session, provider: OidcProvider, browser: FlaskClient
) -> None:
    visit(browser, provider, ALICE)
    user = session.scalars(select(User)).one()
    session.add(Totp(user_id=user.id, secret="x", confirmed_at=clock.now()))
    session.commit()
    fresh = browser.application.test_client()
    answer = visit(fresh, provider, ALICE)
    assert answer.location == "/login/second-step"
    assert not is_in(fresh)


def test_a_session_planted_before_is_gone_after(
    provider: OidcProvider, browser: FlaskClient
) -> None:
    with browser.session_transaction() as planted:
        planted["left_behind"] = "by an attacker"
    visit(browser, provider, ALICE)
    assert is_in(browser)
    with browser.session_transaction() as opened:
        assert "left_behind" not in opened
        assert "identity_journey" not in opened


def test_apples_name_comes_with_this_journey_or_not_at_all(
    session: Session, apple: OidcProvider, browser: FlaskClient
) -> None:
    apple.answers_as = ALICE
    path, parameters = at_provider(leave(browser, apple))
    forged = json.dumps({"name": {"firstName": "Mallory", "lastName": "Moe"}})
    arrive(browser, apple, (path, {"state": "another", "user": forged}))
    url = leave(browser, apple)
    path, parameters = at_provider(url)
    assert "user" not in parameters
    assert arrive(browser, apple, (path, parameters)).status_code == 303
    assert session.scalars(select(Member.name)).one() == ""


@pytest.mark.parametrize(
    "told",
    ["", "{}", "[]", "null", '{"name": 1}', '{"name": {"firstName": 7}}', "[" * 5000, "\x00"],
)
def test_apples_name_may_be_anything(
    session: Session, apple: OidcProvider, browser: FlaskClient, told: str
) -> None:
    apple.answers_as = ALICE
    path, parameters = at_provider(leave(browser, apple))
    assert arrive(browser, apple, (path, {**parameters, "user": told})).status_code == 303
    assert session.scalars(select(Member.name)).one() == ""


def test_nobody_makes_us_bother_the_provider_all_the_time(
    limited: FlaskClient, google: OidcProvider
) -> None:
    switch_on(limited.application, google)
    assert {limited.get("/login/google").status_code for _ in range(30)} == {303}
    answer = limited.get("/login/google")
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 60
