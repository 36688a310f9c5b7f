"""Nobody writes our mails' headers, adds recipients, or has us carry their words to strangers."""

import email
import email.message
from email.policy import default

import pytest
from flask import Flask
from sqlalchemy import select

from tests.attacks.cast import PASSWORD, Cast
from tests.attacks.intruder import Intruder
from tests.attacks.test_host_header import mails, run_all_but_deliveries
from webapp.accounts.models import User
from webapp.core.db import db
from webapp.core.models import Shop
from webapp.messaging.models import Mail
from webapp.messaging.services.delivery import claim

SMUGGLED = [
    "Carol\r\nBcc: victim@example.net",
    "Carol\nBcc: victim@example.net",
    "Carol\rBcc: victim@example.net",
    "Carol\r\n\r\n<h1>Buy now</h1>",
    "Carol%0d%0aBcc: victim@example.net",
    "Carol\u2028Bcc: victim@example.net",
    "Carol\x0bBcc: victim@example.net",
    "Carol\x85Bcc: victim@example.net",
    "Carol\x00Bcc: victim@example.net",
    "=?utf-8?q?Carol=0d=0aBcc:victim@example.net?=",
]
ADDRESSES = [
    "carol@example.com\r\nBcc: victim@example.net",
    "carol@example.com\nBcc: victim@example.net",
    "carol@example.com,victim@example.net",
    "carol@example.com;victim@example.net",
    "carol@example.com victim@example.net",
    "carol@example.com%0aBcc:victim@example.net",
    "<carol@example.com>",
    "carol@example.com>\r\nRCPT TO:<victim@example.net",
    '"carol\r\nBcc: victim@example.net"@example.com',
    "victim@example.net:carol@example.com",
    "@example.net:carol@example.com",
    "carol@example.com\x00victim@example.net",
]


def is_clean(mail: Mail) -> bool:
    one_line = (mail.subject, mail.recipient, mail.sender, mail.reply_to or "")
    return not any(
        ord(letter) < 32 or letter in "\x7f\x85\u2028\u2029" for letter in "".join(one_line)
    )


def written(before: set[int]) -> list[Mail]:
    run_all_but_deliveries()
    return [mail for mail in mails() if mail.id not in before]


@pytest.fixture
def known(app: Flask, cast: Cast) -> set[int]:
    app.config["WTF_CSRF_ENABLED"] = False
    return {mail.id for mail in mails()}


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("path", ["/register", "/password/forgot", "/contact", "/account/email"])
def test_one_address_is_one_recipient(
    app: Flask, cast: Cast, known: set[int], path: str, address: str
) -> None:
    fields = {"email": address, "password": PASSWORD, "agree": "y", "name": "Carol"}
    fields |= {"subject": "Hello", "text": "Hello"}
    answer = cast.browser("bob" if "account" in path else "guest").post(path, data=fields)
    assert answer.status_code < 500
    for mail in written(known):
        assert is_clean(mail)
        assert "victim" not in mail.recipient
        assert mail.recipient.count("@") == 1


@pytest.mark.parametrize("name", SMUGGLED)
def test_a_name_stays_a_name(app: Flask, cast: Cast, known: set[int], name: str) -> None:
    fields = {"name": name, "email": "carol@example.com", "password": PASSWORD, "agree": "y"}
    browser = Intruder(app, app.response_class)
    assert browser.post("/register", data=fields).status_code in (303, 422)
    browser.post("/verify/resend")
    browser.post("/account/profile", data={"name": name})
    browser.post("/account/data/export")
    for mail in written(known):
        assert is_clean(mail), mail.subject
        assert mail.recipient == "carol@example.com"
        head = message_of(mail)
        assert head["Bcc"] is None


def message_of(mail: Mail) -> email.message.EmailMessage:
    """Return the mail as its reader's program would see it."""
    letter = claim(mail.id)
    db.session.commit()
    assert letter is not None
    parsed = email.message_from_bytes(letter.envelope.content, policy=default)
    assert isinstance(parsed, email.message.EmailMessage)
    return parsed


@pytest.mark.parametrize("text", SMUGGLED)
def test_the_contact_form_writes_no_headers(
    app: Flask, cast: Cast, known: set[int], text: str
) -> None:
    for field in ("name", "subject", "text"):
        fields = {"name": "Carol", "email": "carol@example.com", "subject": "Hi", "text": "Hi"}
        answer = Intruder(app, app.response_class).post("/contact", data=fields | {field: text})
        assert answer.status_code < 500
    for mail in written(known):
        assert is_clean(mail), mail.subject
        assert mail.recipient == shop_address()


def shop_address() -> str:
    return db.session.scalars(select(Shop.support_email)).one()


def test_strangers_words_are_not_carried_to_other_mailboxes(
    app: Flask, cast: Cast, known: set[int]
) -> None:
    """Whoever types another's address must not choose what is written to it."""
    lure = "Win at evil.example"
    fields = {"name": lure, "email": "victim@example.net", "password": PASSWORD, "agree": "y"}
    browser = Intruder(app, app.response_class)
    browser.post("/register", data=fields)
    browser.post("/verify/resend")
    browser.post("/password/forgot", data={"email": "victim@example.net"})
    contact = {"name": lure, "email": "victim@example.net", "subject": lure, "text": lure}
    Intruder(app, app.response_class).post("/contact", data=contact)
    cast.browser("bob").post("/account/profile", data={"name": lure})
    bob = cast.browser("bob")
    bob.post("/account/email", data={"email": "victim@example.net"})
    to_victim = [mail for mail in written(known) if mail.recipient == "victim@example.net"]
    assert to_victim
    for mail in to_victim:
        assert "evil.example" not in mail.subject + mail.text + mail.html, mail.kind
    assert db.session.scalars(select(User).where(User.email == "victim@example.net")).one()
