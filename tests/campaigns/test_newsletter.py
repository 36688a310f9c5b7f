"""Joining the newsletter: the mailbox has the last word, and strangers learn nothing."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tests.attacks.pages import Page
from tests.factories.people import browser_of, make_user
from webapp.accounts.models import Prospect, ProspectSource
from webapp.campaigns.forms import joining
from webapp.campaigns.services import newsletter
from webapp.campaigns.services.settings import SettingsDetails, edit_settings
from webapp.core import clock
from webapp.core.audit import OPERATOR
from webapp.core.db import db
from webapp.core.signing import sign
from webapp.messaging.models import Mail, MailConsent, MailTopic
from webapp.messaging.services.consent import consents_of, wants

ALICE = "alice@example.com"
SITE = "https://blog.example"


def configure(**changes: object) -> None:
    edit_settings(SettingsDetails(**changes), OPERATOR)  # type: ignore[arg-type]
    db.session.commit()


def asked() -> list[Mail]:
    mails = select(Mail).where(Mail.kind == "newsletter_confirm").order_by(Mail.id)
    return list(db.session.scalars(mails))


def link_in(mail: Mail) -> str:
    (found,) = set(re.findall(r"http://localhost(/newsletter/confirm/[\w.-]+)", mail.text))
    assert found in mail.html
    return str(found)


def count(model: type[Prospect] | type[MailConsent]) -> int:
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def test_whoever_asks_is_asked_back_and_joins_by_a_press(
    client: FlaskClient, session: Session
) -> None:
    page = client.get("/newsletter")
    assert page.status_code == 200
    assert Page(page.text).faults == []
    answer = client.post(
        "/newsletter", data={"email": " Alice@Example.com ", "name": "Alice\r\nX: y"}
    )
    assert answer.status_code == 303
    assert answer.location == "/newsletter/asked"
    assert "Look into your mail" in client.get(answer.location).text
    (mail,) = asked()
    assert (mail.recipient, mail.secret) == (ALICE, True)
    # Nobody is on any list yet, and opening the link (as scanners do) changes nothing.
    link = link_in(mail)
    assert ALICE not in link
    for method in ("GET", "HEAD"):
        assert client.open(link, method=method).status_code == 200
    assert (count(Prospect), count(MailConsent)) == (0, 0)
    assert "Welcome" in client.post(link).text
    prospect = session.scalars(select(Prospect)).one()
    assert (prospect.email, prospect.name) == (ALICE, "Alice X: y")
    assert prospect.source is ProspectSource.NEWSLETTER
    said = consents_of(ALICE)[MailTopic.NEWSLETTER]
    assert said.wanted
    assert re.fullmatch(
        r"newsletter form, asked [\d-]{10} [\d:]{5} UTC, confirmed by mail", said.source
    )
    # Twice is once.
    assert client.post(link).status_code == 200
    assert "nothing left to do" in client.get(link).text
    assert (count(Prospect), count(MailConsent)) == (1, 1)


def test_the_answer_is_the_same_for_whoever_is_on_the_list(client: FlaskClient) -> None:
    configure()
    newsletter._join(ALICE, "", "newsletter form")
    db.session.commit()
    answers = [
        client.post("/newsletter", data={"email": each}) for each in (ALICE, "bob@example.com")
    ]
    assert answers[0].data == answers[1].data
    assert len(asked()) == 2


def test_a_mailbox_is_not_flooded(client: FlaskClient) -> None:
    for _ in range(newsletter.MOST_A_DAY + 2):
        assert client.post("/newsletter", data={"email": ALICE}).status_code == 303
    assert len(asked()) == newsletter.MOST_A_DAY


def test_five_wishes_an_hour_for_a_network_and_for_an_address(limited: FlaskClient) -> None:
    def ask(email: str, network: int) -> int:
        here = {"REMOTE_ADDR": f"203.0.113.{network}"}
        data = {"email": email}
        return limited.post("/newsletter", data=data, environ_overrides=here).status_code

    assert [ask(f"alice{n}@example.com", 1) for n in range(6)] == [303] * 5 + [429]
    assert [ask("BOB@example.com" if n % 2 else "bob@example.com", 10 + n) for n in range(6)] == (
        [303] * 5 + [429]
    )
    # Mistakes cost nothing.
    assert [ask("nobody", 99) for _ in range(7)] == [422] * 7


def test_machines_hear_the_same_and_get_nothing(client: FlaskClient) -> None:
    answer = client.post("/newsletter", data={"email": ALICE, "website": "https://spam.example"})
    assert answer.location == "/newsletter/asked"
    assert asked() == []


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"email": "alice"},
        {"email": "alice@example.com\r\nBcc: bob@example.com"},
        {"email": ALICE, "name": "x" * 101},
        {"email": "x" * 300 + "@example.com"},
    ],
)
def test_what_is_no_address_is_refused(client: FlaskClient, fields: dict[str, str]) -> None:
    assert client.post("/newsletter", data=fields).status_code == 422
    assert asked() == []


def test_without_double_opt_in_it_begins_at_once(
    client: FlaskClient, run_jobs: Callable[[], int]
) -> None:
    configure(double_opt_in=False)
    answer = client.post("/newsletter", data={"email": ALICE})
    assert answer.location == "/newsletter/welcome"
    assert consents_of(ALICE)[MailTopic.NEWSLETTER].source == "newsletter form"
    assert asked() == []
    run_jobs()


def test_a_member_need_not_confirm_an_address_that_is_theirs(
    app: Flask, client: FlaskClient
) -> None:
    alice = browser_of(app, make_user(ALICE))
    assert alice.post("/newsletter", data={"email": ALICE}).location == "/newsletter/welcome"
    assert wants(ALICE, MailTopic.NEWSLETTER)
    bob = browser_of(app, make_user("bob@example.com", verified=False))
    for email in ("bob@example.com", "charlie@example.com"):
        assert bob.post("/newsletter", data={"email": email}).location == "/newsletter/asked"
        assert not wants(email, MailTopic.NEWSLETTER)


def test_links_expire_and_cannot_be_made_up(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/newsletter", data={"email": ALICE})
    link = link_in(asked()[0])
    elsewhere = sign("verify-email", {"mail": "x", "name": ""})
    unknown = sign(newsletter.PURPOSE, {"mail": "0" * 32, "name": ""})
    for token in (elsewhere, unknown, "x", link.rpartition("/")[2][:-1]):
        for method in ("GET", "POST"):
            assert client.open(f"/newsletter/confirm/{token}", method=method).status_code == 404
    monkeypatch.setattr(newsletter, "LASTS", timedelta(seconds=-1))
    answer = client.post(link)
    assert answer.status_code == 410
    assert "Ask for a new link" in answer.text
    assert not wants(ALICE, MailTopic.NEWSLETTER)


def test_only_named_sites_may_frame_the_bare_form(client: FlaskClient) -> None:
    closed = client.get("/newsletter/form")
    assert "frame-ancestors 'none'" in closed.headers["Content-Security-Policy"]
    assert closed.headers["X-Frame-Options"] == "DENY"
    configure(embed_origins=f"{SITE}\nhttps://shop.example:8443")
    page = client.get("/newsletter/form")
    policy = page.headers["Content-Security-Policy"]
    assert policy.endswith(f"frame-ancestors {SITE} https://shop.example:8443")
    assert "X-Frame-Options" not in page.headers
    assert "Set-Cookie" not in page.headers
    assert Page(page.text).faults == []
    # Every other page is framed by nobody.
    assert client.get("/newsletter").headers["X-Frame-Options"] == "DENY"
    assert 'src="http://localhost/newsletter/form"' in newsletter.embed_snippet()


def test_the_framed_form_works_without_a_cookie(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "QUICKEST", timedelta(0))
    configure(embed_origins=SITE)
    reader = app.test_client(use_cookies=False)
    (form,) = Page(reader.get("/newsletter/form").text).forms
    fields = form.values() | {"email": ALICE}
    answer = reader.post(form.action, data=fields, headers={"Origin": SITE})
    assert "Look into your mail" in answer.text
    assert "X-Frame-Options" not in answer.headers
    assert [mail.recipient for mail in asked()] == [ALICE]
    assert reader.post(form.action, data=fields | {"email": "x"}).status_code == 422
    trapped = reader.post(form.action, data=fields | {"website": "x"})
    assert trapped.data == answer.data
    assert len(asked()) == 1


def test_another_sites_own_form_needs_one_more_press(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = app.test_client(use_cookies=False)
    (snippet,) = Page(newsletter.form_snippet()).forms
    assert snippet.action == "http://localhost/newsletter/form"
    answer = reader.post("/newsletter/form", data={"email": ALICE}, headers={"Origin": SITE})
    assert "Yes, subscribe me" in answer.text
    assert asked() == []
    monkeypatch.setattr(joining, "QUICKEST", timedelta(0))
    (form,) = Page(answer.text).forms
    assert form.values()["email"] == ALICE
    old = sign(joining.PURPOSE, clock.now().timestamp() + 60)
    reader.post(form.action, data=form.values() | {"opened": old})
    assert asked() == []
    reader.post(form.action, data=form.values())
    assert [mail.recipient for mail in asked()] == [ALICE]
