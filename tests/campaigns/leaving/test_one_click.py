"""RFC 8058: a mail program's own button unsubscribes, and nothing else that comes this way does."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from tests.campaigns.leaving.conftest import ALICE, BOB, Sent, count_consents, goodbyes, wanted
from tests.factories.emails import leaving_token, make_frozen, recipient_of
from webapp.campaigns.codes import leaving_keys, write_leaving
from webapp.campaigns.erased import ERASED_AT
from webapp.campaigns.models import LeaveReason, LeaveWay, RecipientState
from webapp.core.fork import Fork
from webapp.core.state import bind, current_config, current_fork
from webapp.messaging.models import MailTopic

ONE_CLICK = {"List-Unsubscribe": "One-Click"}
URLENCODED, FORM_DATA = "application/x-www-form-urlencoded", "multipart/form-data"


@pytest.fixture
def provider(app: Flask) -> FlaskClient:
    """A mail provider's machine: it has no cookie and no token, and CSRF is looked after."""
    return app.test_client(use_cookies=False)


@pytest.mark.parametrize("encoding", [URLENCODED, FORM_DATA])
def test_one_post_without_cookie_or_token_unsubscribes(
    provider: FlaskClient, sent: Sent, encoding: str
) -> None:
    later = make_frozen([ALICE])
    for _ in range(2):  # providers try again
        answer = provider.post(sent.path, data=ONE_CLICK, content_type=encoding)
        assert answer.status_code == 200
        assert "Set-Cookie" not in answer.headers
        assert answer.mimetype == "text/plain"
    assert wanted(ALICE) == set()
    assert wanted(BOB) == {MailTopic.NEWSLETTER}
    (goodbye,) = goodbyes()
    assert (goodbye.way, goodbye.reason) == (LeaveWay.HEADER, LeaveReason.UNSAID)
    assert goodbye.topic is MailTopic.NEWSLETTER
    assert recipient_of(sent.email, ALICE).left_at is not None
    assert recipient_of(sent.email, BOB).left_at is None
    # What was populated before and not yet sent stays here.
    assert recipient_of(later, ALICE).state is RecipientState.SUPPRESSED
    assert recipient_of(sent.email, BOB).state is RecipientState.PENDING


def test_the_body_as_the_rfc_prints_it_is_understood(provider: FlaskClient, sent: Sent) -> None:
    body = (
        b"---FormBoundaryjWmhtjORrn\r\n"
        b'Content-Disposition: form-data; name="List-Unsubscribe"\r\n\r\n'
        b"One-Click\r\n"
        b"---FormBoundaryjWmhtjORrn--\r\n"
    )
    kind = "multipart/form-data; boundary=-FormBoundaryjWmhtjORrn"
    assert provider.post(sent.path, data=body, content_type=kind).status_code == 200
    assert wanted(ALICE) == set()


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_nothing_but_a_post_unsubscribes(provider: FlaskClient, sent: Sent, method: str) -> None:
    """Mail scanners and browsers' prefetching open links, with the field in the address too."""
    before = count_consents()
    for path in (sent.path, f"{sent.path}?List-Unsubscribe=One-Click"):
        headers = {"Purpose": "prefetch", "Sec-Purpose": "prefetch"}
        answer = provider.open(path, method=method, data=ONE_CLICK, headers=headers)
        assert answer.status_code in (200, 405)
    assert wanted(ALICE) == {MailTopic.NEWSLETTER}
    assert (count_consents(), goodbyes()) == (before, [])


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", URLENCODED),
        (b"", ""),
        (b"List-Unsubscribe=one-click", URLENCODED),
        (b"List-Unsubscribe=One-Click&List-Unsubscribe=No", URLENCODED),
        (b"what=topic", URLENCODED),
        (b"List-Unsubscribe=One-Click", "text/plain"),
        (b'{"List-Unsubscribe": "One-Click"}', "application/json"),
        (b"--x\r\n\r\nList-Unsubscribe=One-Click", "multipart/form-data; boundary=x"),
    ],
)
def test_any_other_body_is_refused_with_a_sentence(
    provider: FlaskClient, sent: Sent, body: bytes, kind: str
) -> None:
    answer = provider.post(sent.path, data=body, content_type=kind)
    assert answer.status_code == 400
    assert "press the button there" in answer.text
    assert wanted(ALICE) == {MailTopic.NEWSLETTER}


def test_a_forged_link_is_none(provider: FlaskClient, sent: Sent) -> None:
    token = sent.path.removeprefix("/u/")
    fork = current_fork().name
    (key,) = leaving_keys([current_config().secret_key], fork)
    (elsewhere,) = leaving_keys([current_config().secret_key], "another_fork")
    (stranger,) = leaving_keys(["x" * 40], fork)
    numbers = sent.email.id, sent.alice.id
    assert write_leaving(key, *numbers) == token
    forged = [
        write_leaving(elsewhere, *numbers),
        write_leaving(stranger, *numbers),
        token[:-1],
        token + "a",
        ("b" if token[0] == "a" else "a") + token[1:],
        token[:-2] + ("aa" if token[-2:] != "aa" else "bb"),
        "x" * 45,
        "é" * 45,
        "x" * 5000,
    ]
    for each in forged:
        for page in ("", "/leave", "/back", "/topics", "/tracking"):
            method = "GET" if page == "" else "POST"
            answer = provider.open(f"/u/{each}{page}", method=method)
            assert answer.status_code in ((404,) if method == "GET" else (400, 404)), each
        assert provider.post(f"/u/{each}", data=ONE_CLICK).status_code == 404
    assert wanted(ALICE) == {MailTopic.NEWSLETTER}


def test_a_link_outlives_the_change_of_the_secret_key(
    app: Flask, provider: FlaskClient, sent: Sent
) -> None:
    config, fork = app.extensions["startupwebapp"]
    rolled = {"secret_key": "y" * 40, "secret_key_previous": config.secret_key}
    bind(app, config.model_copy(update=rolled), fork)
    try:
        assert leaving_token(sent.email.id, sent.alice.id) != sent.path.removeprefix("/u/")
        assert provider.post(sent.path, data=ONE_CLICK).status_code == 200
    finally:
        bind(app, config, fork)
    assert wanted(ALICE) == set()


def test_another_forks_link_is_refused(app: Flask, provider: FlaskClient, sent: Sent) -> None:
    config, fork = app.extensions["startupwebapp"]
    bind(app, config, Fork("another_fork", fork.uploads_root))
    try:
        theirs = leaving_token(sent.email.id, sent.alice.id)
    finally:
        bind(app, config, fork)
    assert provider.post(f"/u/{theirs}", data=ONE_CLICK).status_code == 404
    assert wanted(ALICE) == {MailTopic.NEWSLETTER}


def test_a_link_is_counted_as_one_however_it_is_spelt(limited: FlaskClient, sent: Sent) -> None:
    paths = [sent.path, f"/u/{sent.path.removeprefix('/u/').upper()}"]
    answers = [limited.post(paths[n % 2], data=ONE_CLICK).status_code for n in range(61)]
    assert answers == [200] * 60 + [429]


def test_who_is_erased_or_unknown_gets_a_polite_answer(
    provider: FlaskClient, session: Session, sent: Sent
) -> None:
    unknown = f"/u/{leaving_token(sent.email.id, 10**9)}"
    sent.alice.address = f"erased-{sent.alice.id}{ERASED_AT}"
    session.commit()
    for path in (unknown, sent.path):
        assert provider.post(path, data=ONE_CLICK).status_code == 200
        page = provider.get(path)
        assert page.status_code == 200
        assert "Nothing left to do" in page.text
    assert goodbyes() == []
