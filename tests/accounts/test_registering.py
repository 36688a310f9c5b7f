"""Opening an account: at once, and with the same face for known and unknown addresses."""

import re
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from jobs.accounts import purge_unverified
from tests.accounts.conftest import Mails, link_in
from tests.factories.orders import make_orders, member_id_of
from tests.factories.people import PASSWORD, browser_of, make_user
from webapp.accounts.models import LoginMethod, LoginSession, Member, TermsAgreement, User
from webapp.accounts.services.terms import draft, publish
from webapp.core import clock
from webapp.core.audit import OPERATOR
from webapp.core.db import db
from webapp.core.models import AuditEntry, Job, Shop
from webapp.messaging.models import Mail, MailConsent, MailTopic
from webapp.messaging.services.consent import wants

ALICE = "alice@example.com"
BOB = "bob@example.com"


def form(email: str = ALICE, **more: str) -> dict[str, str]:
    return {"email": email, "password": PASSWORD, **more}


def test_whoever_registers_is_a_member_and_logged_in(client: FlaskClient, session: Session) -> None:
    answer = client.post("/register", data=form(" Alice@Example.com ", name="Alice\nDoe"))
    assert (answer.status_code, answer.location) == (303, "/account")
    user = session.scalars(select(User)).one()
    assert (user.email, user.email_verified_at, user.role) == (ALICE, None, None)
    assert session.scalars(select(Member)).one().name == "Alice Doe"
    login = session.scalars(select(LoginSession)).one()
    assert login.method is LoginMethod.REGISTERED
    assert client.get("/account/password").status_code == 200
    assert client.get("/register").location == "/account"


def test_the_way_goes_on_where_it_was_left(client: FlaskClient) -> None:
    page = client.get("/register?next=/cart")
    assert 'value="/cart"' in page.text
    assert client.post("/register", data=form(next="/cart")).location == "/cart"
    client.post("/logout")
    again = client.post("/register", data=form(BOB, next="//evil.example/"))
    assert again.location == "/account"


def test_the_welcome_mail_carries_the_link_and_no_name(client: FlaskClient, mails: Mails) -> None:
    client.post("/register", data=form(name="Win money at evil.example"))
    [mail] = mails()
    assert (mail.kind, mail.recipient, mail.secret) == ("welcome", ALICE, True)
    assert link_in(mail, "/verify/")
    assert "evil.example" not in mail.text + mail.html + mail.subject


def test_links_are_made_from_the_shops_own_address(client: FlaskClient, mails: Mails) -> None:
    client.post("/register", data=form(), headers={"Host": "evil.example"})
    [mail] = mails()
    assert "http://localhost/verify/" in mail.text
    assert "evil.example" not in mail.text + mail.html


def test_the_owner_of_a_known_address_is_told_and_nobody_gets_a_link(
    client: FlaskClient, mails: Mails
) -> None:
    alice = make_user(ALICE)
    assert client.post("/register", data=form()).status_code == 303
    [mail] = mails()
    assert (mail.kind, mail.subject_ref) == ("already_registered", f"user:{alice.id}")
    assert "/verify/" not in mail.text + mail.html
    client.post("/logout")
    client.post("/register", data=form())
    assert mails() == []


def test_known_and_unknown_addresses_get_the_same_answer_by_the_same_statements(
    app: Flask, client: FlaskClient, session: Session
) -> None:
    make_user(ALICE)
    seen: list[tuple[int, str, str, list[str]]] = []
    statements: list[str] = []
    bind = session.get_bind()

    def note(_c: object, _k: object, statement: str, *_: object) -> None:
        statements.append(re.sub(r"sa_savepoint_\d+", "savepoint", statement))

    event.listen(bind, "before_cursor_execute", note)
    try:
        for email in ("warm@example.com", ALICE, "unknown@example.com"):
            statements.clear()
            answer = app.test_client().post("/register", data=form(email))
            seen.append((answer.status_code, answer.location, answer.text, list(statements)))
    finally:
        event.remove(bind, "before_cursor_execute", note)
    assert seen[1] == seen[2]
    assert len(seen[1][3]) > 5


def test_a_strangers_account_is_one_like_any_other_until_the_owner_shows_up(
    app: Flask, client: FlaskClient
) -> None:
    make_user(ALICE)
    stranger = app.test_client()
    assert stranger.post("/register", data=form(password="Louder-Harbour-43")).status_code == 303
    assert stranger.get("/account/password").status_code == 200
    stranger.post("/logout")
    again = {"email": ALICE, "password": "Louder-Harbour-43"}
    assert stranger.post("/login", data=again).status_code == 303


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"email": "no address"}, "not an email address"),
        ({"email": "аlice@example.com"}, "not an email address"),
        ({"email": "alice@example.com\x00"}, "not an email address"),
        ({"email": ""}, "Type your email address"),
        ({"password": "Password-123"}, "tried first"),
        ({"password": "Alice-and-more"}, "too much like the email"),
        ({"password": ""}, "Choose a password"),
        ({"name": "x" * 101}, "100 characters at the most"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_made(
    client: FlaskClient, session: Session, data: dict[str, str], why: str
) -> None:
    answer = client.post("/register", data=form() | data)
    assert answer.status_code == 422
    assert why in answer.text
    assert PASSWORD not in answer.text
    assert session.scalar(select(func.count(User.id))) == 0
    assert session.scalar(select(func.count(Job.id))) == 0


def make_terms(version: str = "1") -> int:
    terms = draft(version, "Terms of use", "Be kind.", "", OPERATOR)
    publish(terms.id, OPERATOR)
    db.session.commit()
    return terms.id


def test_without_terms_nothing_is_to_be_agreed(client: FlaskClient) -> None:
    page = client.get("/register").text
    assert "Create account" in page
    assert "I agree" not in page


def test_the_terms_in_force_are_agreed_to_with_the_time(
    client: FlaskClient, session: Session
) -> None:
    terms_id = make_terms()
    assert "I agree to the" in client.get("/register").text
    refused = client.post("/register", data=form())
    assert refused.status_code == 422
    assert "needs your agreement" in refused.text
    assert client.post("/register", data=form(agree="y")).status_code == 303
    agreement = session.scalars(select(TermsAgreement)).one()
    assert agreement.terms_id == terms_id


def test_terms_that_changed_while_the_form_was_open_are_asked_again(
    client: FlaskClient, session: Session
) -> None:
    old = make_terms("1")
    new = make_terms("2")
    answer = client.post("/register", data=form(agree="y", terms=str(old)))
    assert answer.status_code == 422
    assert "have changed meanwhile" in answer.text
    assert client.post("/register", data=form(agree="y", terms=str(new))).status_code == 303


def test_the_newsletter_begins_when_the_address_is_shown_to_be_theirs(
    client: FlaskClient, session: Session, mails: Mails
) -> None:
    assert 'name="newsletter" type="checkbox" value="y">' in client.get("/register").text
    client.post("/register", data=form(newsletter="y"))
    assert not wants(ALICE, MailTopic.NEWSLETTER)
    [mail] = mails()
    client.post(link_in(mail, "/verify/"))
    consent = session.scalars(select(MailConsent)).one()
    assert (consent.email, consent.topic, consent.wanted) == (ALICE, MailTopic.NEWSLETTER, True)


def test_who_does_not_ask_for_the_newsletter_gets_none(
    client: FlaskClient, session: Session, mails: Mails
) -> None:
    client.post("/register", data=form())
    [mail] = mails()
    client.post(link_in(mail, "/verify/"))
    assert session.scalar(select(MailConsent)) is None


def test_one_mailbox_is_not_flooded_by_strangers(
    app: Flask, client: FlaskClient, mails: Mails
) -> None:
    for _ in range(8):
        app.test_client().post("/register", data=form())
    assert len(mails()) == 5


def test_the_sixth_account_from_one_place_has_to_wait(limited: FlaskClient) -> None:
    for number in range(5):
        assert limited.post("/register", data=form(f"p{number}@example.com")).status_code == 303
        limited.post("/logout")
    answer = limited.post("/register", data=form("p6@example.com"))
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 3600
    assert "then try again" in answer.text
    assert limited.get("/register").status_code == 200


def test_a_form_that_was_not_filled_in_well_is_no_try(limited: FlaskClient) -> None:
    for _ in range(7):
        assert limited.post("/register", data=form(password="short")).status_code == 422
    assert limited.post("/register", data=form()).status_code == 303


def test_registering_needs_the_token_of_its_page(app: Flask) -> None:
    assert app.test_client().post("/register", data=form()).status_code == 400


def test_it_is_written_down_without_the_address(client: FlaskClient, session: Session) -> None:
    client.post("/register", data=form(name="Alice Doe"))
    rows = session.scalars(select(AuditEntry)).all()
    assert "member.registered" in {row.action for row in rows}
    jobs = session.scalars(select(Job)).all()
    told = [f"{row.subject}{row.details}" for row in rows] + [f"{job.args}" for job in jobs]
    assert not [each for each in told if "alice" in each.lower()]


def test_logins_with_somebody_elses_address_are_removed_after_a_week(
    app: Flask, client: FlaskClient, session: Session
) -> None:
    make_user(ALICE)
    stranger = make_user(ALICE, verified=False)
    waiting = make_user(BOB, verified=False)
    browser_of(app, stranger)
    kept, gone = waiting.id, stranger.id
    purge_unverified()
    assert session.get(User, gone) is not None
    with clock.frozen(clock.now() + timedelta(days=8)):
        purge_unverified()
    session.expire_all()
    assert session.get(User, gone) is None
    assert session.get(User, kept) is not None
    assert session.scalar(select(func.count(User.id)).where(User.email == ALICE)) == 1


def test_logins_that_bought_something_stay_and_keep_no_other_from_going(
    client: FlaskClient, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.accounts.BATCH", 1)
    make_user(ALICE)
    buyer, stranger = make_user(ALICE, verified=False), make_user(ALICE, verified=False)
    make_orders(1, member_id=member_id_of(buyer))
    kept, gone = buyer.id, stranger.id
    with clock.frozen(clock.now() + timedelta(days=8)):
        purge_unverified()
    session.expire_all()
    assert session.get(User, kept) is not None
    assert session.get(User, gone) is None


def test_a_welcome_that_cannot_be_written_leaves_the_account_alone(
    client: FlaskClient, session: Session, mails: Mails
) -> None:
    session.get_one(Shop, 1).sender_email = "broken"
    session.commit()
    assert client.post("/register", data=form()).status_code == 303
    assert mails() == []
    assert session.scalar(select(func.count(Mail.id))) == 0
