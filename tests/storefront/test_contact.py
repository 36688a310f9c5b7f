"""Writing to the shop: people get through, machines wait in a room of their own."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from tests.factories.people import browser_of, make_user
from webapp.accounts.errors import MessageHandled, NoSuchMessage
from webapp.accounts.models import ContactMessage, ContactState, Prospect, ProspectSource, Role
from webapp.accounts.services import contact
from webapp.core import clock
from webapp.core.audit import Actor
from webapp.core.models import ActorKind, AuditEntry, Shop
from webapp.core.signing import sign
from webapp.messaging.models import Mail

TEXT = "Does the bowl survive the dishwasher?\n\nThanks,\nAlice"
WORDS = {"name": "Alice Doe", "email": "alice@example.com", "subject": "The bowl", "text": TEXT}


def opened(ago: timedelta = timedelta(seconds=30)) -> str:
    """What the form carries that was shown so long ago."""
    return sign("contact", (clock.now() - ago).timestamp())


def write(browser: FlaskClient, **changes: str) -> TestResponse:
    data = {"opened": opened(), "website": ""} | WORDS | changes
    return browser.post("/contact", data=data)


def get_messages(session: Session) -> list[ContactMessage]:
    session.expire_all()
    return list(session.scalars(select(ContactMessage).order_by(ContactMessage.id)))


def get_mails(session: Session) -> list[Mail]:
    return list(session.scalars(select(Mail).order_by(Mail.id)))


def test_a_message_becomes_a_prospect_a_row_and_a_mail_to_the_shop(
    client: FlaskClient, session: Session
) -> None:
    answer = write(client, email=" Alice@Example.com ")
    assert (answer.status_code, answer.location) == (303, "/contact/sent")
    assert "Your message is with us" in client.get("/contact/sent").text
    (message,) = get_messages(session)
    assert (message.email, message.text) == ("alice@example.com", TEXT)
    assert (message.state, message.why_held) == (ContactState.NEW, "")
    assert (message.prospect.email, message.prospect.name) == ("alice@example.com", "Alice Doe")
    assert message.prospect.source is ProspectSource.CONTACT
    (mail,) = get_mails(session)
    assert (mail.kind, mail.recipient) == ("contact_received", "help@northwind.example")
    assert mail.subject == "The bowl (from Alice Doe)"
    assert mail.subject_ref == f"contact:{message.id}"
    assert TEXT in mail.text
    assert "mailto:alice@example.com?subject=Re%3A%20The%20bowl" in mail.html
    assert f"http://localhost{contact.ROOM}{message.id}" in mail.text


def test_the_sender_gets_no_mail(client: FlaskClient, session: Session) -> None:
    """Anybody's words to any address would make the form a relay for spam."""
    write(client)
    assert [mail.recipient for mail in get_mails(session)] == ["help@northwind.example"]


def test_the_form_as_a_browser_sends_it_works(app: Flask, session: Session) -> None:
    browser = app.test_client()
    page = browser.get("/contact")
    assert "no-store" in page.headers["Cache-Control"]
    hidden = dict(re.findall(r'name="(csrf_token|opened)"[^>]*value="([^"]*)"', page.text))
    assert set(hidden) == {"csrf_token", "opened"}
    assert browser.post("/contact", data=WORDS | hidden).status_code == 303
    # A test is as quick as a machine.
    assert get_messages(session)[0].state is ContactState.HELD


def test_a_message_without_the_token_is_refused(app: Flask, session: Session) -> None:
    assert write(app.test_client()).status_code == 400
    assert get_messages(session) == []


def test_the_trap_is_hidden_from_everybody(client: FlaskClient) -> None:
    trap = re.search(
        r'<div class="unseen" aria-hidden="true">.*?</div>', client.get("/contact").text
    )
    assert trap
    assert 'name="website"' in trap.group()
    assert 'tabindex="-1"' in trap.group()
    assert 'autocomplete="off"' in trap.group()


def test_members_need_not_type_what_we_know(app: Flask, client: FlaskClient) -> None:
    alice = make_user(name="Alice Doe")
    page = browser_of(app, alice).get("/contact").text
    assert 'value="alice@example.com"' in page
    assert 'value="Alice Doe"' in page
    assert "alice" not in client.get("/contact").text


def test_strangers_cost_no_question_about_who_they_are(
    client: FlaskClient, statements: Callable[[], Any]
) -> None:
    with statements() as seen:
        assert client.get("/contact").status_code == 200
    assert seen
    assert not [statement for statement in seen if "login_session" in statement]


def test_looking_at_the_head_only_is_no_message(client: FlaskClient) -> None:
    assert client.head("/contact").status_code == 200


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": " "}, "Tell us your name."),
        ({"email": ""}, "Type your email address."),
        ({"email": "alice"}, "is not an email address."),
        ({"email": "аlice@example.com"}, "is not an email address."),
        ({"subject": ""}, "Say in a few words what it is about."),
        ({"text": " \n "}, "Write your message."),
        ({"text": "x" * 5001}, "5000 characters"),
        ({"subject": "x" * 151}, "150 characters"),
        ({"name": "Alice\r\nBcc: bob@example.com"}, "Write this on one line"),
        ({"subject": "Hi\nBcc: bob@example.com"}, "Write this on one line"),
        ({"subject": "Hi%0aBcc: bob@example.com"}, "Write this on one line"),
        ({"subject": "Hi\u2028Bcc: bob@example.com"}, "Write this on one line"),
        ({"email": "alice@example.com\r\nBcc: bob@example.com"}, "Write this on one line"),
        ({"opened": ""}, "Your words are still here"),
        ({"opened": "forged.token.here"}, "Your words are still here"),
        ({"opened": "aGVsbG8"}, "Your words are still here"),
    ],
)
def test_what_is_missing_or_wrong_is_told_and_the_words_stay(
    client: FlaskClient, session: Session, changes: dict[str, str], sentence: str
) -> None:
    answer = write(client, **changes)
    assert answer.status_code == 422
    assert sentence in answer.text
    assert changes.keys() == {"text"} or "Does the bowl survive" in answer.text
    assert get_messages(session) == []


def test_a_page_left_open_for_days_asks_to_send_again(
    client: FlaskClient, session: Session
) -> None:
    answer = write(client, opened=opened(timedelta(hours=25)))
    assert answer.status_code == 422
    assert "open for more than a day" in answer.text
    again = re.search(r'name="opened"[^>]*value="([^"]*)"', answer.text)
    assert again
    with clock.frozen(clock.now() + timedelta(seconds=10)):
        assert write(client, opened=again.group(1)).status_code == 303
    assert get_messages(session)[0].state is ContactState.NEW


def test_a_signature_for_something_else_is_none(client: FlaskClient) -> None:
    assert write(client, opened=sign("cart", 1.0)).status_code == 422


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"website": "https://spam.example"}, "The field that people don't see was filled in."),
        ({"text": "see https://a.example http://b.example www.c.example"}, "It holds 3 links."),
        ({"subject": "https://spam.example"}, "There is a link in the name or the subject."),
        ({"name": "Win www.spam.example"}, "There is a link in the name or the subject."),
        ({"text": 'Look: <a href="https://x.example">x</a>'}, "It holds links written as code."),
        ({"text": "[url=https://x.example]x[/url]"}, "It holds links written as code."),
        (
            {"text": "Hi\nBcc: bob@example.com\nContent-Type: text/html"},
            "It holds lines that look like the head of a mail.",
        ),
    ],
)
def test_what_looks_like_spam_is_held_and_not_told_of(
    client: FlaskClient, session: Session, changes: dict[str, str], why: str
) -> None:
    answer = write(client, **changes)
    assert (answer.status_code, answer.location) == (303, "/contact/sent")
    (message,) = get_messages(session)
    assert (message.state, message.why_held) == (ContactState.HELD, why)
    assert get_mails(session) == []


def test_two_links_are_a_persons(client: FlaskClient, session: Session) -> None:
    write(client, text="I mean https://northwind.example/a and https://northwind.example/b")
    assert get_messages(session)[0].state is ContactState.NEW


def test_nobody_types_that_quickly(client: FlaskClient, session: Session) -> None:
    assert write(client, opened=opened(timedelta(seconds=1))).status_code == 303
    (message,) = get_messages(session)
    assert message.state is ContactState.HELD
    assert message.why_held == "It was sent 1 s after the page was opened."


def test_a_second_click_is_one_message(client: FlaskClient, session: Session) -> None:
    assert write(client).status_code == write(client).status_code == 303
    assert len(get_messages(session)) == len(get_mails(session)) == 1


def test_the_same_text_from_somebody_else_is_held(client: FlaskClient, session: Session) -> None:
    write(client)
    write(client, email="bob@example.com")
    with clock.frozen(clock.now() + timedelta(minutes=11)):
        write(client)
    with clock.frozen(clock.now() + timedelta(days=2)):
        write(client)
    states = [message.state for message in get_messages(session)]
    assert states == [ContactState.NEW, ContactState.HELD, ContactState.HELD, ContactState.NEW]
    assert get_messages(session)[1].why_held == "The same text came before."


def test_no_sign_in_a_text_breaks_anything(client: FlaskClient, session: Session) -> None:
    write(client, name="Zoë 'Z' <b>", subject='"Re" & <i>', text="a\0b\x07 <script>\ttab ☃")
    (message,) = get_messages(session)
    assert message.text == "ab <script>\ttab ☃"
    (mail,) = get_mails(session)
    assert "&lt;script&gt;" in mail.html
    assert "<script>" in mail.text


def test_a_shop_without_a_good_address_loses_no_message(
    client: FlaskClient, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    session.get_one(Shop, 1).support_email = "nobody"
    session.commit()
    assert write(client).status_code == 303
    assert len(get_messages(session)) == 1
    assert "contact not mailed" in caplog.messages
    assert "alice" not in caplog.text


def test_a_member_who_writes_stays_a_member(client: FlaskClient, session: Session) -> None:
    make_user()
    write(client)
    prospect = session.scalars(select(Prospect)).one()
    assert prospect.member_id is not None


@pytest.fixture
def staff(session: Session) -> Actor:
    return Actor(ActorKind.STAFF, make_user("charlie@example.com", role=Role.STAFF).id)


def test_staff_marks_a_message_as_answered_once(
    client: FlaskClient, session: Session, staff: Actor
) -> None:
    write(client)
    (message,) = get_messages(session)
    contact.mark_answered(message.id, staff)
    session.commit()
    assert (message.state, message.handled_by) == (ContactState.ANSWERED, staff.id)
    for again in (contact.mark_answered, contact.mark_spam, contact.release):
        with pytest.raises(MessageHandled):
            again(message.id, staff)
    with pytest.raises(NoSuchMessage):
        contact.mark_answered(message.id + 1, staff)
    of_message = AuditEntry.subject == f"contact:{message.id}"
    (entry,) = session.scalars(select(AuditEntry).where(of_message))
    assert (entry.action, entry.actor_id) == ("contact.answered", staff.id)
    assert entry.details == {"before": "new"}


def test_a_held_message_that_was_none_reaches_the_shop(
    client: FlaskClient, session: Session, staff: Actor
) -> None:
    write(client, website="x")
    (message,) = get_messages(session)
    contact.mark_spam(message.id, staff)
    contact.release(message.id, staff)
    session.commit()
    assert (message.state, message.handled_by) == (ContactState.NEW, None)
    assert len(get_mails(session)) == 1


def test_a_message_put_away_by_mistake_is_mailed_once(
    client: FlaskClient, session: Session, staff: Actor
) -> None:
    write(client)
    (message,) = get_messages(session)
    contact.mark_spam(message.id, staff)
    contact.release(message.id, staff)
    session.commit()
    assert session.scalar(select(func.count()).select_from(Mail)) == 1


def test_the_sixth_message_in_an_hour_has_to_wait(limited: FlaskClient, session: Session) -> None:
    for number in range(5):
        assert write(limited, text="").status_code == 422
        assert write(limited, text=f"Message {number}").status_code == 303
    answer = write(limited, text="Message 6")
    assert answer.status_code == 429
    assert 3000 < int(answer.headers["Retry-After"]) <= 3600
    assert "Wait 60 minutes" in answer.text
    assert "Message 6" in answer.text
    assert len(get_messages(session)) == 5
    assert limited.get("/contact").status_code == 200


def test_events_are_limited_to_sixty_requests_a_minute(limited: FlaskClient) -> None:
    statuses = [limited.post("/events", json={}).status_code for _ in range(61)]
    assert statuses == [422] * 60 + [429]
