"""The account's pages: one's own things, nobody else's, and never more statements than needed."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.factories.orders import make_orders, member_id_of
from tests.factories.people import browser_of, make_user
from webapp.accounts.models import Address, Member, Role, User
from webapp.accounts.queries.activity import SENTENCES, in_words
from webapp.core.audit import OPERATOR, record
from webapp.core.db import db
from webapp.core.models import AuditEntry
from webapp.messaging.models import MailConsent, MailTopic
from webapp.messaging.services.consent import consents_of
from webapp.orders.models import Order

Statements = Callable[[], AbstractContextManager[list[str]]]
PAGES = [
    "/account",
    "/account/orders",
    "/account/addresses",
    "/account/addresses/new",
    "/account/profile",
    "/account/mail",
    "/account/activity",
]
HOME = {
    "name": "Alice Doe",
    "line1": "1 Main Street",
    "city": "Springfield",
    "state": "IL",
    "postal_code": "62701",
    "country": "US",
}


@pytest.fixture
def alice(app: Flask, client: FlaskClient) -> User:
    return make_user(name="Alice Doe")


@pytest.fixture
def browser(app: Flask, alice: User) -> FlaskClient:
    return browser_of(app, alice)


@pytest.mark.parametrize("path", PAGES)
def test_a_visitor_is_sent_to_log_in_first(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 303
    assert answer.location.startswith("/login?next=%2Faccount") or "next=/account" in (
        answer.location
    )


@pytest.mark.parametrize("path", PAGES)
def test_each_page_marks_its_section_and_is_kept_by_no_cache(
    browser: FlaskClient, path: str
) -> None:
    answer = browser.get(path)
    assert answer.status_code == 200
    assert answer.text.count('aria-current="page"') >= 1
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert 'action="/logout"' in answer.text


def test_the_overview_greets_by_name_and_shows_what_is_newest(
    browser: FlaskClient, alice: User
) -> None:
    numbers = make_orders(5, member_id=member_id_of(alice))
    browser.post("/account/addresses/new", data=HOME)
    page = browser.get("/account").text
    assert "Hello, Alice Doe." in page
    shown = [number for number in numbers if f"/account/orders/{number}" in page]
    assert shown == numbers[-3:]
    assert "Springfield, IL 62701" in page


def test_an_unverified_address_is_asked_about_and_a_verified_one_not(
    app: Flask, client: FlaskClient, browser: FlaskClient
) -> None:
    bob = make_user("bob@example.com", verified=False)
    assert "/verify/resend" in browser_of(app, bob).get("/account").text
    assert "/verify/resend" not in browser.get("/account").text


def test_orders_come_in_pages_of_twenty(browser: FlaskClient, alice: User) -> None:
    numbers = make_orders(45, member_id=member_id_of(alice))
    for page, wanted in ((1, numbers[25:]), (2, numbers[5:25]), (3, numbers[:5])):
        text = browser.get(f"/account/orders?page={page}").text
        assert [n for n in numbers if f'/account/orders/{n}"' in text] == wanted
    assert browser.get("/account/orders?page=4").location == "/account/orders?page=3"
    assert browser.get("/account/orders?page=x").location == "/account/orders"


def test_a_thousand_orders_cost_as_many_statements_as_one(
    app: Flask, browser: FlaskClient, alice: User, statements: Statements
) -> None:
    counts = {}
    made = 0
    for wanted in (1, 1000):
        make_orders(wanted - made, member_id=member_id_of(alice), first_number=5001 + made)
        made = wanted
        db.session.expire_all()
        for path in ("/account", "/account/orders", "/account/orders/5001"):
            with statements() as seen:
                assert browser.get(path).status_code == 200
            counts[path, wanted] = len(seen)
    for path in ("/account", "/account/orders", "/account/orders/5001"):
        assert counts[path, 1000] == counts[path, 1]
    assert counts["/account/orders", 1000] <= 8
    assert counts["/account", 1000] <= 10


def test_an_order_looks_like_its_status_page(browser: FlaskClient, alice: User) -> None:
    (number,) = make_orders(1, member_id=member_id_of(alice))
    page = browser.get(f"/account/orders/{number}").text
    assert f"Order {number}" in page
    assert "Oak Bowl" in page
    assert "$75.00" in page
    assert "What happened so far" in page


def test_somebody_elses_order_is_not_there(browser: FlaskClient, app: Flask) -> None:
    bob = make_user("bob@example.com")
    (bobs,) = make_orders(1, "bob@example.com", member_id=member_id_of(bob))
    (guests,) = make_orders(1, "alice@example.com", first_number=6001)
    for number in (bobs, guests, 999999, 2**63 + 1):
        assert browser.get(f"/account/orders/{number}").status_code == 404


def test_a_profile_is_changed_and_the_audit_names_only_the_fields(
    browser: FlaskClient, alice: User, session: Session
) -> None:
    answer = browser.post("/account/profile", data={"name": " Alice\n D. ", "phone": "+1 202 555"})
    assert answer.status_code == 303
    member = session.scalars(select(Member).where(Member.user_id == alice.id)).one()
    assert (member.name, member.phone) == ("Alice D.", "+1 202 555")
    entry = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1)).one()
    assert (entry.action, entry.user_id) == ("profile.changed", alice.id)
    assert entry.details == {"fields": ["name", "phone"]}


@pytest.mark.parametrize(
    ("name", "phone"), [("x" * 101, ""), ("Alice", "call me"), ("Alice", "+1 2\x00")]
)
def test_a_wrong_profile_is_refused_with_a_sentence(
    browser: FlaskClient, name: str, phone: str
) -> None:
    answer = browser.post("/account/profile", data={"name": name, "phone": phone})
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text


def test_staff_who_shop_get_a_profile_when_they_write_one(
    app: Flask, client: FlaskClient, session: Session
) -> None:
    owner = make_user("charlie@example.com", role=Role.OWNER)
    browser = browser_of(app, owner)
    for path in PAGES:
        assert browser.get(path).status_code == 200
    assert session.scalar(select(Member).where(Member.user_id == owner.id)) is None
    browser.post("/account/profile", data={"name": "Charlie", "phone": ""})
    assert session.scalars(select(Member).where(Member.user_id == owner.id)).one().name == "Charlie"


def test_addresses_are_added_changed_chosen_and_removed(
    browser: FlaskClient, alice: User, session: Session
) -> None:
    browser.post("/account/addresses/new", data=HOME)
    browser.post("/account/addresses/new", data=HOME | {"city": "Bern", "country": "CH"})
    first, second = session.scalars(select(Address).order_by(Address.id)).all()
    assert (first.is_default, second.is_default) == (True, False)

    browser.post(f"/account/addresses/{second.id}/default")
    session.expire_all()
    assert (first.is_default, second.is_default) == (False, True)

    answer = browser.get(f"/account/addresses/{first.id}")
    assert 'value="1 Main Street"' in answer.text
    assert '<option selected value="US">' in answer.text
    browser.post(f"/account/addresses/{first.id}", data=HOME | {"line1": "2 Side Street"})
    session.expire_all()
    assert first.line1 == "2 Side Street"
    assert "2 Side Street" in browser.get("/account/addresses").text

    browser.post(f"/account/addresses/{second.id}/remove")
    browser.post(f"/account/addresses/{second.id}/remove")
    session.expire_all()
    assert [each.is_default for each in session.scalars(select(Address))] == [True]


@pytest.mark.parametrize(
    "wrong",
    [{"name": ""}, {"line1": "\0"}, {"country": "XX"}, {"country": ""}, {"city": "x" * 101}],
)
def test_an_address_nobody_could_deliver_to_is_refused(
    browser: FlaskClient, session: Session, wrong: dict[str, str]
) -> None:
    answer = browser.post("/account/addresses/new", data=HOME | wrong)
    assert answer.status_code == 422
    assert session.scalars(select(Address)).all() == []


def test_somebody_elses_address_can_be_neither_seen_nor_touched(
    app: Flask, browser: FlaskClient, session: Session
) -> None:
    browser.post("/account/addresses/new", data=HOME)
    address = session.scalars(select(Address)).one()
    mallory = browser_of(app, make_user("bob@example.com"))
    path = f"/account/addresses/{address.id}"
    assert mallory.get(path).status_code == 404
    assert mallory.post(path, data=HOME | {"city": "Elsewhere"}).status_code == 404
    assert mallory.post(f"{path}/default").status_code == 404
    mallory.post(f"{path}/remove")
    session.expire_all()
    assert session.scalars(select(Address)).one().city == "Springfield"


def test_the_twenty_first_address_is_refused(browser: FlaskClient, session: Session) -> None:
    for number in range(20):
        browser.post("/account/addresses/new", data=HOME | {"line1": f"{number} Main Street"})
    answer = browser.post("/account/addresses/new", data=HOME, follow_redirects=True)
    assert "You can keep 20 addresses" in answer.text
    assert len(session.scalars(select(Address)).all()) == 20
    assert "/account/addresses/new" not in browser.get("/account/addresses").text


def test_mail_topics_are_switched_and_each_answer_is_kept(
    browser: FlaskClient, session: Session
) -> None:
    browser.post("/account/mail", data={"topics": ["newsletter", "offers", "nonsense"]})
    browser.post("/account/mail", data={"topics": ["newsletter"]})
    standing = consents_of("alice@example.com")
    assert {topic: each.wanted for topic, each in standing.items()} == {
        MailTopic.NEWSLETTER: True,
        MailTopic.OFFERS: False,
    }
    assert len(session.scalars(select(MailConsent)).all()) == 3
    page = browser.get("/account/mail").text
    ticked = re.findall(r'name="topics" value="(\w+)"[^>]* checked', page)
    assert ticked == ["newsletter"]
    assert "On since" in page
    assert "Off since" in page
    assert "can’t be switched off" in page


def test_who_has_not_verified_an_address_neither_sees_nor_sets_its_mails(
    app: Flask, browser: FlaskClient, session: Session
) -> None:
    browser.post("/account/mail", data={"topics": ["newsletter"]})
    pretender = browser_of(app, make_user("alice@example.com", verified=False))
    page = pretender.get("/account/mail").text
    assert "On since" not in page
    assert "checkbox" not in page
    answer = pretender.post("/account/mail", data={"topics": []}, follow_redirects=True)
    assert "Verify your email address first" in answer.text
    assert consents_of("alice@example.com")[MailTopic.NEWSLETTER].wanted


def test_activity_says_in_words_who_did_what(
    app: Flask, browser: FlaskClient, alice: User, session: Session
) -> None:
    browser.post("/account/profile", data={"name": "Alice D.", "phone": ""})
    record(OPERATOR, "passkey.removed", "passkey:1", user_id=alice.id)
    bob = make_user("bob@example.com")
    record(OPERATOR, "totp.removed", "totp:1", user_id=bob.id)
    session.commit()
    page = browser.get("/account/activity").text
    assert SENTENCES["profile.changed"] in page
    assert "You, from 127.0.0.0/24" in page
    assert in_words("passkey.removed") in page
    assert "The shop’s operator" in page
    assert in_words("totp.removed") not in page


def test_activity_comes_in_pages(browser: FlaskClient, alice: User, session: Session) -> None:
    for number in range(60):
        record(OPERATOR, "password.changed", f"user:{number}", user_id=alice.id)
    session.commit()
    assert browser.get("/account/activity").text.count("<time") == 25
    assert browser.get("/account/activity?page=99").location == "/account/activity?page=3"


def test_numbers_of_orders_in_an_address_are_read_as_numbers(
    browser: FlaskClient, session: Session
) -> None:
    assert session.scalars(select(Order)).all() == []
    for path in (
        "/account/orders/0",
        "/account/orders/-1",
        "/account/addresses/99999999999999999999",
    ):
        assert browser.get(path).status_code == 404
