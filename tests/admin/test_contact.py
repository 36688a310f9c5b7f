"""What people wrote to the shop: read, answered, or put away."""

import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.admin.conftest import Enter, act
from tests.admin.people import make_message
from webapp.accounts.models import ContactMessage, ContactState, Role
from webapp.core.models import AuditEntry
from webapp.messaging.models import Mail


def subjects(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="/admin/contact[^>]*>([^<]+)<', page)


def state(session: Session, message: ContactMessage) -> ContactState:
    session.expire_all()
    return message.state


def test_the_inbox_narrows_by_state_and_is_searched(owner: FlaskClient, session: Session) -> None:
    for each in ContactState:
        make_message(f"A {each.value} one", each)
    make_message("From Alice", email="alice@example.com")
    assert len(subjects(owner.get("/admin/contact/").text)) == 5
    for each in (ContactState.HELD, ContactState.ANSWERED, ContactState.SPAM):
        page = owner.get(f"/admin/contact/?state={each.value}").text
        assert subjects(page) == [f"A {each.value} one"]
    assert subjects(owner.get("/admin/contact/?search=alice@").text) == ["From Alice"]
    assert subjects(owner.get("/admin/contact/?search=FROM").text) == ["From Alice"]


def test_waiting_messages_are_counted_in_the_menu_and_on_the_start_page(
    enter: Enter, session: Session
) -> None:
    make_message("One")
    make_message("Two")
    make_message("Three", ContactState.HELD)
    page = enter(Role.STAFF).get("/admin/").text
    assert '<span class="hint">Messages</span><span class="value">2</span>' in page
    assert 'Messages<span class="count">2</span>' in page
    assert "Messages" not in enter(Role.VIEWER).get("/admin/").text


def test_a_message_is_read_as_text(owner: FlaskClient, session: Session) -> None:
    message = make_message("<i>Hi</i>", text="<script>alert(1)</script>\nsecond line")
    page = owner.get(f"/admin/contact/details/?id={message.id}").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;<br>second line" in page
    assert "&lt;i&gt;Hi" in page


def test_an_answer_is_mailed_and_the_message_is_done(owner: FlaskClient, session: Session) -> None:
    message = make_message()
    url = "/admin/contact/reply/"
    notice = act(owner, url, id=message.id, reply="It is <b>here</b>.\r\n\r\nAlice", seen="0")
    assert "goes to bob@example.com" in notice
    assert state(session, message) is ContactState.ANSWERED
    mail = session.scalars(select(Mail)).one()
    assert (mail.kind, mail.recipient) == ("contact_reply", "bob@example.com")
    assert mail.subject == "Re: Where is my hat?"
    assert "It is <b>here</b>." in mail.text
    assert "> I ordered it last week." in mail.text
    assert "It is &lt;b&gt;here" in mail.html
    assert mail.subject_ref == f"contact:{message.id}"
    actions = session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all()
    assert {"contact.answered", "contact.replied"} <= set(actions)
    page = owner.get(f"/admin/contact/details/?id={message.id}").text
    assert "What we answered" in page
    assert "by owner@example.org" in page


def test_pressed_twice_one_answer_leaves(owner: FlaskClient, session: Session) -> None:
    message = make_message()
    for _ in range(2):
        act(owner, "/admin/contact/reply/", id=message.id, reply="Here.", seen="0")
    assert len(session.scalars(select(Mail)).all()) == 1
    act(owner, "/admin/contact/reply/", id=message.id, reply="One more thing.", seen="1")
    assert len(session.scalars(select(Mail)).all()) == 2


@pytest.mark.parametrize(
    ("before", "reply", "why"),
    [
        (ContactState.NEW, "  \n", "Write an answer first"),
        (ContactState.NEW, "x" * 10_001, "at most"),
        (ContactState.HELD, "Hello", "Say first that it is no spam"),
        (ContactState.SPAM, "Hello", "Say first that it is no spam"),
    ],
)
def test_an_answer_that_can_not_be_is_refused(
    owner: FlaskClient, session: Session, before: ContactState, reply: str, why: str
) -> None:
    message = make_message(state=before)
    assert why in act(owner, "/admin/contact/reply/", id=message.id, reply=reply)
    assert state(session, message) is before
    assert session.scalars(select(Mail)).all() == []


@pytest.mark.parametrize(
    ("way", "before", "after"),
    [
        ("answered", ContactState.NEW, ContactState.ANSWERED),
        ("spam", ContactState.NEW, ContactState.SPAM),
        ("spam", ContactState.HELD, ContactState.SPAM),
        ("release", ContactState.HELD, ContactState.NEW),
        ("release", ContactState.SPAM, ContactState.NEW),
    ],
)
def test_a_message_is_sorted(
    owner: FlaskClient, session: Session, way: str, before: ContactState, after: ContactState
) -> None:
    message = make_message(state=before)
    act(owner, f"/admin/contact/{way}/", id=message.id)
    assert state(session, message) is after
    found = session.scalars(
        select(AuditEntry).where(AuditEntry.subject == f"contact:{message.id}")
    ).all()
    assert [deed.action for deed in found] == [f"contact.{after.value}"]


def test_many_are_put_away_at_once(owner: FlaskClient, session: Session) -> None:
    messages = [make_message(f"Buy {n}", ContactState.HELD) for n in range(3)]
    answer = owner.post(
        "/admin/contact/spam/",
        data={"id": [each.id for each in messages], "back": "/admin/contact/?state=held"},
        follow_redirects=True,
    )
    assert "Spam: 3 done." in answer.text
    assert {state(session, each) for each in messages} == {ContactState.SPAM}
