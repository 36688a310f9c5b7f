"""Every lie of a provider, and everything carried off or planted on the way, is seen through."""

import logging
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from tests.accounts.oidc.provider import OidcProvider
from tests.accounts.oidc.tokens import Lie
from tests.accounts.oidc.visiting import (
    ALICE,
    BOB,
    arrive,
    at_provider,
    is_in,
    leave,
    nobody_is_in,
    users,
    visit,
)
from webapp.accounts import gateway
from webapp.core import clock
from webapp.core.state import bind

WHY = {
    Lie.WRONG_STATE: "state",
    Lie.ANOTHER_ISSUER_ANSWERS: "issuer of the answer",
    Lie.DISCOVERY_OF_ANOTHER: "the discovery document is another issuer's",
    Lie.NO_ID_TOKEN: "no id_token",
    Lie.WRONG_NONCE: "id_token: nonce",
    Lie.NO_NONCE: "id_token: nonce",
    Lie.WRONG_AUDIENCE: "id_token: aud",
    Lie.SEVERAL_AUDIENCES: "id_token: azp",
    Lie.WRONG_PARTY: "id_token: azp",
    Lie.WRONG_ISSUER: "id_token: iss",
    Lie.BAD_SIGNATURE: "id_token: BadSignatureError",
    Lie.CHANGED_CLAIMS: "id_token: BadSignatureError",
    Lie.UNSIGNED: "id_token: UnsupportedAlgorithmError",
    Lie.SIGNED_WITH_PUBLIC_KEY: "id_token: UnsupportedAlgorithmError",
    Lie.EXPIRED: "id_token: exp",
    Lie.FROM_THE_FUTURE: "id_token: iat",
    Lie.NO_EXPIRY: "id_token: exp",
    Lie.UNKNOWN_KEY: "id_token: InvalidKeyIdError",
    Lie.NO_SUBJECT: "id_token: sub",
    Lie.EMPTY_SUBJECT: "id_token: sub",
    Lie.ANOTHER_ACCESS_TOKEN: "id_token: at_hash",
    Lie.NO_TOKEN_AT_ALL: "id_token: DecodeError",
}
REFUSED = "answer didn&#39;t pass our checks"


def test_no_lie_is_forgotten() -> None:
    assert set(WHY) == set(Lie)


@pytest.mark.parametrize(("lie", "why"), WHY.items())
def test_every_lie_is_seen_through(
    session: Session,
    provider: OidcProvider,
    browser: FlaskClient,
    lie: Lie,
    why: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    provider.lie, provider.answers_as = lie, ALICE
    with caplog.at_level(logging.INFO):
        first = browser.get(f"/login/{provider.manner}")
        answer = first
        if lie is not Lie.DISCOVERY_OF_ANOTHER:
            answer = arrive(browser, provider, at_provider(first.location))
    assert answer.status_code == (503 if lie is Lie.DISCOVERY_OF_ANOTHER else 403)
    assert "Location" not in answer.headers
    assert users(session) == 0
    assert nobody_is_in(session, browser)
    told = [record for record in caplog.records if "provider failed" in record.message]
    assert [vars(record)["why"] for record in told] == [why]
    everything = " ".join(str(vars(record)) for record in told)
    assert ALICE.email not in everything
    assert ALICE.subject not in everything

    provider.lie = None
    assert visit(browser, provider, ALICE).status_code == 303
    assert is_in(browser)


def test_signing_keys_may_change(app: Flask, provider: OidcProvider, browser: FlaskClient) -> None:
    visit(browser, provider, ALICE)
    visit(app.test_client(), provider, ALICE)
    assert len(provider.asked("/.well-known/openid-configuration")) == 1
    assert len(provider.asked("/jwks")) == 1
    provider.rotate()
    third = app.test_client()
    assert visit(third, provider, ALICE).status_code == 303
    assert is_in(third)
    assert len(provider.asked("/jwks")) == 2


def test_an_unknown_key_is_looked_for_once(provider: OidcProvider, browser: FlaskClient) -> None:
    visit(browser, provider, ALICE)
    provider.lie = Lie.UNKNOWN_KEY
    provider.seen.clear()
    assert visit(browser, provider, ALICE).status_code == 403
    assert len(provider.asked("/jwks")) == 1


def test_endpoints_are_looked_up_again_in_time(
    app: Flask, provider: OidcProvider, browser: FlaskClient
) -> None:
    leave(browser, provider)
    with clock.frozen(clock.now() + gateway.REMEMBERED + timedelta(seconds=1)):
        leave(browser, provider)
    assert len(provider.asked("/.well-known/openid-configuration")) == 2


def test_what_is_asked_of_the_provider_is_bound_to_this_browser(
    app: Flask, provider: OidcProvider, browser: FlaskClient
) -> None:
    first, second = (
        {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        for url in (leave(browser, provider), leave(app.test_client(), provider))
    )
    assert first["code_challenge_method"] == "S256"
    assert first["response_type"] == "code"
    assert first["redirect_uri"] == f"http://localhost/login/{provider.manner}/callback"
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name]) >= 43
        assert first[name] != second[name]


def test_the_way_back_is_not_what_the_host_header_says(
    provider: OidcProvider, browser: FlaskClient
) -> None:
    answer = browser.get(f"/login/{provider.manner}", headers={"Host": "evil.example"})
    assert "evil.example" not in answer.location
    assert "redirect_uri=http%3A%2F%2Flocalhost%2Flogin" in answer.location


def test_an_answer_counts_once(
    app: Flask, session: Session, provider: OidcProvider, browser: FlaskClient
) -> None:
    provider.answers_as = ALICE
    answer = at_provider(leave(browser, provider))
    assert arrive(browser, provider, answer).status_code == 303
    browser.get("/logout")
    again = arrive(app.test_client(), provider, answer)
    assert again.status_code == 403
    assert "does not belong to this browser" in again.text
    assert arrive(browser, provider, answer).status_code == 403
    assert len(provider.asked("/token")) == 1


def test_a_journey_ends_with_its_first_answer_good_or_bad(
    session: Session, provider: OidcProvider, browser: FlaskClient
) -> None:
    provider.answers_as = ALICE
    path, parameters = at_provider(leave(browser, provider))
    assert arrive(browser, provider, (path, {**parameters, "state": "guess"})).status_code == 403
    assert arrive(browser, provider, (path, parameters)).status_code == 403
    assert nobody_is_in(session, browser)


def test_a_code_counts_once_also_in_a_journey_of_its_own(
    app: Flask, provider: OidcProvider, browser: FlaskClient
) -> None:
    provider.answers_as = ALICE
    path, used = at_provider(leave(browser, provider))
    arrive(browser, provider, (path, used))
    thief = app.test_client()
    path, own = at_provider(leave(thief, provider))
    answer = arrive(thief, provider, (path, {**own, "code": used["code"]}))
    assert answer.status_code == 403
    assert not is_in(thief)


def test_a_stolen_code_is_worth_nothing_without_its_verifier(
    app: Flask, session: Session, provider: OidcProvider, browser: FlaskClient
) -> None:
    provider.answers_as = ALICE
    _, stolen = at_provider(leave(browser, provider))
    thief = app.test_client()
    path, own = at_provider(leave(thief, provider))
    answer = arrive(thief, provider, (path, {**own, "code": stolen["code"]}))
    assert answer.status_code == 403
    assert REFUSED in answer.text
    assert nobody_is_in(session, thief)


def test_the_answer_of_another_browser_opens_nothing(
    app: Flask, session: Session, provider: OidcProvider, browser: FlaskClient
) -> None:
    """Else somebody could log others in as themselves, and read what they do there."""
    provider.answers_as = BOB
    planted = at_provider(leave(app.test_client(), provider))
    leave(browser, provider)
    assert arrive(browser, provider, planted).status_code == 403
    assert nobody_is_in(session, browser)
    assert provider.asked("/token") == []


def test_an_answer_to_one_provider_is_none_to_the_other(
    bare: Flask, session: Session, google: OidcProvider, apple: OidcProvider, browser: FlaskClient
) -> None:
    google.answers_as = ALICE
    _, parameters = at_provider(leave(browser, google))
    answer = browser.get("/login/apple/callback", query_string=parameters)
    assert answer.status_code == 403
    assert apple.asked("/token") == []
    assert nobody_is_in(session, browser)


@pytest.mark.parametrize(("minutes", "status"), [(9, 303), (10, 403)])
def test_a_journey_lasts_ten_minutes(
    google: OidcProvider, browser: FlaskClient, minutes: int, status: int
) -> None:
    google.answers_as = ALICE
    start = clock.now()
    with clock.frozen(start):
        url = leave(browser, google)
    answer = at_provider(url)
    with clock.frozen(start + timedelta(minutes=minutes)):
        assert arrive(browser, google, answer).status_code == status


@pytest.mark.parametrize(
    "query", ["", "state=x", "code=x&state=", "error=access_denied", "state=%00&code=" + "x" * 5000]
)
def test_nonsense_is_refused_with_a_page(
    session: Session, provider: OidcProvider, browser: FlaskClient, query: str
) -> None:
    answer = browser.get(f"/login/{provider.manner}/callback?{query}")
    assert answer.status_code == 403
    assert "please start again" in answer.text
    leave(browser, provider)
    assert browser.get(f"/login/{provider.manner}/callback?{query}").status_code == 403
    assert nobody_is_in(session, browser)


@pytest.mark.parametrize("when", ["before", "between"])
def test_a_provider_that_is_away_costs_a_sentence(
    session: Session, provider: OidcProvider, browser: FlaskClient, when: str
) -> None:
    provider.answers_as = ALICE
    provider.down = when == "before"
    answer = browser.get(f"/login/{provider.manner}")
    if when == "between":
        carried = at_provider(answer.location)
        provider.down = True
        answer = arrive(browser, provider, carried)
    assert answer.status_code == 503
    assert "doesn&#39;t answer just now" in answer.text
    assert "Back to sign in" in answer.text
    assert nobody_is_in(session, browser)


def test_a_provider_that_never_answers_is_not_waited_for(
    google: OidcProvider, browser: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "ANSWER_SECONDS", 0.2)
    google.pause = 60.0
    before = clock.now()
    assert browser.get("/login/google").status_code == 503
    assert clock.now() - before < timedelta(seconds=30)


def test_our_own_wrong_credentials_are_no_fault_of_the_visitor(
    bare: Flask, session: Session, google: OidcProvider, browser: FlaskClient
) -> None:
    google.answers_as = ALICE
    config, fork = bare.extensions["startupwebapp"]
    bind(bare, config.model_copy(update={"google_client_secret": "wrong"}), fork)
    answer = arrive(browser, google, at_provider(leave(browser, google)))
    assert answer.status_code == 503
    assert nobody_is_in(session, browser)


@pytest.mark.parametrize("pem", ["not a key", "-----BEGIN PRIVATE KEY-----\nAAAA\n"])
def test_a_key_for_apple_that_is_none_is_no_fault_of_the_visitor(
    bare: Flask, apple: OidcProvider, browser: FlaskClient, pem: str
) -> None:
    apple.answers_as = ALICE
    config, fork = bare.extensions["startupwebapp"]
    bind(bare, config.model_copy(update={"apple_private_key": pem}), fork)
    assert arrive(browser, apple, at_provider(leave(browser, apple))).status_code == 503


def test_apples_post_changes_nothing_and_opens_nothing(
    session: Session, apple: OidcProvider, browser: FlaskClient
) -> None:
    apple.answers_as = ALICE
    path, parameters = at_provider(leave(browser, apple))
    stranger = browser.application.test_client()
    answer = stranger.post(path, data={**parameters, "next": "https://evil.example"})
    assert answer.status_code == 303
    assert answer.location.startswith("/login/apple/callback?")
    assert "evil" not in answer.location
    assert "Alice" not in answer.location
    assert not any("session" in each for each in answer.headers.getlist("Set-Cookie"))
    assert apple.asked("/token") == []
    assert stranger.get(answer.location).status_code == 403
    assert users(session) == 0
    assert browser.get(answer.location).status_code == 303
    assert is_in(browser)


def test_google_has_no_form(client: FlaskClient, google: OidcProvider) -> None:
    assert client.post("/login/google/callback", data={"state": "x"}).status_code == 405
