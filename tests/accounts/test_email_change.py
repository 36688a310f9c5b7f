"""Another address for an account: both mailboxes say yes, or nothing happens."""

from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from tests.accounts.conftest import Mails, link_in
from tests.factories.people import PASSWORD, browser_of, make_user
from webapp.accounts.models import EmailChange, LoginSession, User
from webapp.accounts.services.emails import PURPOSE, call_off
from webapp.accounts.services.resetting import ask_for_reset
from webapp.core import clock
from webapp.core.audit import SYSTEM
from webapp.core.models import AuditEntry, Job
from webapp.core.signing import sign
from webapp.messaging.models import MailTopic
from webapp.messaging.services.consent import give_consent, wants

ALICE = "alice@example.com"
NEW = "alice@new.example.com"
BOB = "bob@example.com"


@pytest.fixture
def alice(app: Flask) -> User:
    return make_user(ALICE)


@pytest.fixture
def here(app: Flask, client: FlaskClient, alice: User) -> FlaskClient:
    """The browser in which alice is logged in."""
    return browser_of(app, alice)


def ask(here: FlaskClient, mails: Mails, email: str = NEW) -> dict[str, str]:
    """Return the paths that were mailed, by the mailbox."""
    answer = here.post("/account/email", data={"email": email})
    assert (answer.status_code, answer.location) == (303, "/account/email")
    written = mails()
    assert all(mail.secret for mail in written if mail.kind.startswith("email_change"))
    return {
        mail.recipient: link_in(mail, "/email-change/")
        for mail in written
        if mail.kind.startswith("email_change")
    }


@pytest.mark.parametrize("order", [[ALICE, NEW], [NEW, ALICE]])
def test_it_is_done_when_both_said_yes(
    app: Flask,
    client: FlaskClient,
    session: Session,
    here: FlaskClient,
    alice: User,
    mails: Mails,
    order: list[str],
) -> None:
    elsewhere = browser_of(app, alice)
    give_consent(ALICE, MailTopic.OFFERS, True, "account")
    session.commit()
    links = ask(here, mails)
    assert set(links) == {ALICE, NEW}
    first, second = (links[each] for each in order)
    assert client.get(first).status_code == 200
    assert alice.email == ALICE
    waiting = here.post(first)
    assert "other mailbox has to say yes" in waiting.text
    assert (alice.email, here.get("/account/email").status_code) == (ALICE, 200)
    assert "You have confirmed this" in here.get(first).text
    done = here.post(second)
    assert "The address is changed" in done.text
    session.refresh(alice)
    assert alice.email == NEW
    assert alice.email_verified_at is not None
    assert here.get("/account/password").status_code == 200
    assert elsewhere.get("/account/password").status_code == 303
    assert [(mail.kind, mail.recipient) for mail in mails()] == [("email_changed", ALICE)]
    assert wants(NEW, MailTopic.OFFERS)
    changed = AuditEntry.action == "email.changed"
    assert session.scalar(select(func.count()).where(changed)) == 1
    assert client.post("/login", data={"email": NEW, "password": PASSWORD}).status_code == 303


def test_the_browser_that_says_the_last_yes_stays_logged_in_with_a_new_secret(
    here: FlaskClient, alice: User, mails: Mails
) -> None:
    links = ask(here, mails)
    here.post(links[NEW])
    with here.session_transaction() as opened:
        before = opened["_user_id"]
    here.post(links[ALICE])
    with here.session_transaction() as opened:
        assert opened["_user_id"] != before
    assert here.get("/account/password").status_code == 200
    assert alice.email == NEW


def test_the_new_mailbox_learns_nothing_of_the_old_one(
    client: FlaskClient, here: FlaskClient, session: Session, mails: Mails
) -> None:
    here.post("/account/email", data={"email": NEW})
    written = {mail.recipient: mail for mail in mails()}
    assert ALICE not in written[NEW].text + written[NEW].html
    assert ALICE not in client.get(link_in(written[NEW], "/email-change/")).text
    assert NEW in written[ALICE].text


def test_the_new_mailbox_alone_gives_nobody_its_address(
    app: Flask, client: FlaskClient, here: FlaskClient, alice: User, mails: Mails
) -> None:
    links = ask(here, mails)
    here.post(links[ALICE])
    for browser in (client, browser_of(app, make_user(BOB))):
        assert "Sign in and confirm" in browser.post(links[NEW]).text
    assert alice.email == ALICE
    assert "The address is changed" in here.post(links[NEW]).text


def test_links_work_once(client: FlaskClient, here: FlaskClient, mails: Mails) -> None:
    links = ask(here, mails)
    client.post(links[ALICE])
    here.post(links[NEW])
    for path in links.values():
        for answer in (client.get(path), client.post(path)):
            assert answer.status_code == 410
            assert "is done" in answer.text


@pytest.mark.parametrize("side", [ALICE, NEW])
def test_either_mailbox_can_stop_it(
    client: FlaskClient, here: FlaskClient, alice: User, mails: Mails, side: str
) -> None:
    links = ask(here, mails)
    here.post(links[NEW if side == ALICE else ALICE])
    answer = client.post(links[side], data={"cancel": "yes"})
    assert "called off" in answer.text
    assert ("set a new password" in answer.text) == (side == ALICE)
    for path in links.values():
        assert client.post(path).status_code == 410
    assert alice.email == ALICE


def test_who_asked_can_call_it_off(client: FlaskClient, here: FlaskClient, mails: Mails) -> None:
    links = ask(here, mails)
    assert NEW in here.get("/account/email").text
    assert here.post("/account/email/cancel").status_code == 303
    assert NEW not in here.get("/account/email").text
    assert here.post(links[NEW]).status_code == 410
    assert here.post("/account/email/cancel").status_code == 303


def test_what_was_done_a_moment_ago_is_not_called_off(
    client: FlaskClient, here: FlaskClient, session: Session, mails: Mails
) -> None:
    ask(here, mails)
    seen = session.scalars(select(EmailChange)).one()
    meanwhile = update(EmailChange).values(done_at=clock.now())
    session.execute(meanwhile.execution_options(synchronize_session=False))
    assert not call_off(seen, SYSTEM)
    assert seen.cancelled_at is None
    session.commit()
    page = here.post("/account/email/cancel", follow_redirects=True)
    assert "There was no change to call off any more" in page.text


def test_a_second_wish_takes_the_place_of_the_first(
    client: FlaskClient, here: FlaskClient, session: Session, mails: Mails
) -> None:
    first = ask(here, mails)
    second = ask(here, mails, "other@example.com")
    assert client.post(first[NEW]).status_code == 410
    assert client.post(second["other@example.com"]).status_code == 200
    open_ones = EmailChange.cancelled_at.is_(None)
    assert session.scalar(select(func.count(EmailChange.id)).where(open_ones)) == 1


def test_it_lapses_after_a_day(
    client: FlaskClient, here: FlaskClient, alice: User, mails: Mails
) -> None:
    links = ask(here, mails)
    with clock.frozen(clock.now() + timedelta(hours=25)):
        assert here.post(links[NEW]).status_code == 410
    assert alice.email == ALICE


def test_a_known_address_looks_like_any_other_and_its_owner_is_told(
    here: FlaskClient, session: Session, mails: Mails
) -> None:
    make_user(BOB)
    known = here.post("/account/email", data={"email": BOB}, follow_redirects=True)
    assert sorted((mail.kind, mail.recipient) for mail in mails()) == [
        ("already_registered", BOB),
        ("email_change_old", ALICE),
    ]
    unknown = here.post("/account/email", data={"email": NEW}, follow_redirects=True)
    faces = [
        page.text.replace(email, "").split("<h1>")[1].split("csrf_token")[0]
        for page, email in ((known, BOB), (unknown, NEW))
    ]
    assert known.status_code == unknown.status_code == 200
    assert faces[0] == faces[1]


def test_an_address_that_got_an_owner_meanwhile_is_not_taken_from_them(
    client: FlaskClient, here: FlaskClient, session: Session, alice: User, mails: Mails
) -> None:
    links = ask(here, mails)
    here.post(links[NEW])
    make_user(NEW)
    answer = client.post(links[ALICE])
    assert "belongs to another account" in answer.text
    session.refresh(alice)
    assert alice.email == ALICE
    assert alice.email_verified_at is not None
    assert client.post(links[ALICE]).status_code == 410


def test_who_only_typed_the_new_address_loses_the_login(
    client: FlaskClient, here: FlaskClient, session: Session, mails: Mails
) -> None:
    stranger = make_user(NEW, verified=False)
    links = ask(here, mails)
    here.post(links[NEW])
    client.post(links[ALICE])
    session.refresh(stranger)
    assert not stranger.active


def test_an_address_never_shown_has_no_say(
    app: Flask, client: FlaskClient, session: Session, mails: Mails
) -> None:
    bob = make_user(BOB, verified=False)
    browser = browser_of(app, bob)
    links = ask(browser, mails)
    assert set(links) == {NEW}
    assert "The address is changed" in browser.post(links[NEW]).text
    session.refresh(bob)
    assert bob.email == NEW
    assert bob.email_verified_at is not None
    assert mails() == []


def test_a_changed_address_kills_links_made_for_the_old_one(
    client: FlaskClient, here: FlaskClient, session: Session, mails: Mails
) -> None:
    ask_for_reset(ALICE)
    session.commit()
    [mail] = mails()
    links = ask(here, mails)
    here.post(links[NEW])
    client.post(links[ALICE])
    reset = client.post(link_in(mail, "/password/reset/"), data={"password": "Louder-Harbour-43"})
    assert reset.status_code == 410


def test_what_was_bought_with_the_new_address_joins(
    client: FlaskClient, here: FlaskClient, session: Session, alice: User, mails: Mails
) -> None:
    links = ask(here, mails)
    here.post(links[NEW])
    client.post(links[ALICE])
    follow_up = Job.path == "jobs.accounts.email_verified"
    assert session.scalars(select(Job.args).where(follow_up)).one() == [str(alice.id)]


@pytest.mark.parametrize(
    ("email", "why"),
    [
        (ALICE, "your address already"),
        (" ALICE@example.com ", "your address already"),
        ("nonsense", "not an email address"),
        ("", "Type the new address"),
    ],
)
def test_what_is_no_other_address_is_refused(
    here: FlaskClient, session: Session, email: str, why: str
) -> None:
    answer = here.post("/account/email", data={"email": email})
    assert answer.status_code == 422
    assert why in answer.text
    assert session.scalar(select(func.count(EmailChange.id))) == 0


def test_a_credential_must_have_been_shown_lately(
    here: FlaskClient, session: Session, alice: User
) -> None:
    login = session.scalars(select(LoginSession).where(LoginSession.user_id == alice.id)).one()
    login.proven_at = clock.now() - timedelta(hours=1)
    session.commit()
    answer = here.post("/account/email", data={"email": NEW})
    assert answer.status_code == 303
    assert answer.location.startswith("/account/prove")
    assert session.scalar(select(func.count(EmailChange.id))) == 0


def test_a_token_for_something_else_opens_nothing(
    client: FlaskClient, here: FlaskClient, session: Session, alice: User, mails: Mails
) -> None:
    ask(here, mails)
    change = session.scalars(select(EmailChange.id)).one()
    value = {"change": change, "side": "new", "user": str(alice.id), "email": ALICE}
    tokens = [sign("verify-email", value), sign("reset-password", value), "x"]
    for token in [*tokens, sign(PURPOSE, value | {"change": change + 1})]:
        assert client.post(f"/email-change/{token}").status_code == 404
    assert client.post(f"/email-change/{sign(PURPOSE, value)}").status_code == 200


def test_strangers_reach_none_of_it(client: FlaskClient) -> None:
    for path in ("/account/email", "/account/email/cancel"):
        assert client.post(path, data={"email": NEW}).location.startswith("/login")


def test_the_audit_tells_it_without_addresses(
    client: FlaskClient, here: FlaskClient, session: Session, mails: Mails
) -> None:
    links = ask(here, mails)
    here.post(links[NEW])
    client.post(links[ALICE])
    rows = session.scalars(select(AuditEntry)).all()
    assert {"email.change_asked", "email.changed"} <= {row.action for row in rows}
    assert not [row for row in rows if "@" in f"{row.subject}{row.details}"]
