"""Addresses that look like somebody's are another's or nobody's, never hers."""

import pytest
from flask import Flask
from sqlalchemy import select

from tests.attacks.cast import ALICE, PASSWORD, Cast
from tests.attacks.intruder import Intruder
from tests.attacks.test_host_header import mails, run_all_but_deliveries
from webapp.accounts.errors import InvalidEmail
from webapp.accounts.models import User
from webapp.accounts.services.addressing import read_email
from webapp.core.db import db

LOOKALIKES = [
    "\u0430lice@example.com",  # Cyrillic a
    "alic\u0435@example.com",  # Cyrillic ie
    "al\u0131ce@example.com",  # dotless i
    "al\u0456ce@example.com",  # Ukrainian i
    "\uff41lice@example.com",  # fullwidth a
    "alice\uff20example.com",  # fullwidth @
    "alice@ex\u0430mple.com",  # Cyrillic a in the domain
    "alice@ex\u00e4mple.com",
    "alice@\u0435xample.com",
    "al\u200bice@example.com",  # zero width space
    "alice\u00ad@example.com",  # soft hyphen
    "\u202ealice@example.com",  # right to left
    "alice@example.com\u2028",
    "alice@example\u3002com",  # ideographic full stop
    "alice@\uff45xample.com",  # fullwidth e in the domain
    "alice@exam\u24dfle.com",  # circled p
    "alice@example.co\u2098",  # subscript m
    "a\u0301lice@example.com",  # combining accent
    "alice@example.com.",
    "alice@example.com\x00",
    "alice\x00@example.com",
    '"alice"@example.com',
    "alice@[example.com]",
    "alice (hers)@example.com",
    "Alice <alice@example.com>",
    "alice@example.com, bob@example.com",
    "alice@example.com;bob@example.com",
    "alice%00@example.com",
    "alice@example.com%0abcc:bob@example.com",
    "AL\u0130CE@example.com",  # capital I with a dot, lower() makes two characters of it
]
# Python's own folding maps these on plain letters; an address must not be found by them.
FOLDING = ["\u017f", "\u212a"]


def read(text: str) -> str | None:
    try:
        return read_email(text)
    except InvalidEmail:
        return None


@pytest.mark.parametrize("email", LOOKALIKES)
def test_a_lookalike_is_ascii_or_refused(app: Flask, email: str) -> None:
    found = read(email)
    assert found is None or found.isascii()


@pytest.mark.parametrize("letter", FOLDING)
def test_letters_that_fold_to_ascii_are_refused(app: Flask, letter: str) -> None:
    assert read(f"{letter}im@example.com") is None


def test_domains_in_other_letters_look_like_nobody_elses(app: Flask) -> None:
    assert read("info@b\u00fccher.example") == "info@xn--bcher-kva.example"
    assert read("INFO@B\u00dcCHER.example") == "info@xn--bcher-kva.example"
    assert read("alice@ex\u0430mple.com") in (None, "alice@xn--exmple-4nf.com")


@pytest.mark.parametrize("email", LOOKALIKES)
def test_a_lookalike_opens_no_door(app: Flask, cast: Cast, email: str) -> None:
    """Her address in other clothes may be read as hers, but then needs her password."""
    app.config["WTF_CSRF_ENABLED"] = False
    browser = Intruder(app, app.response_class)
    answer = browser.post("/login", data={"email": email, "password": "Wrong-Harbour-42"})
    assert answer.status_code in (200, 401, 422)
    fields = {"email": email, "password": "Other-Harbour-43", "agree": "y"}
    answer = browser.post("/register", data=fields)
    assert answer.status_code in (303, 422)
    verified = select(User).where(User.email == ALICE, User.email_verified_at.is_not(None))
    assert db.session.scalars(verified).one().id == cast.people["alice"]
    made = db.session.scalars(select(User).where(User.email_verified_at.is_(None))).all()
    assert all(user.email.isascii() and user.email == read(email) for user in made)
    assert (
        Intruder(app, app.response_class)
        .post("/login", data={"email": ALICE, "password": PASSWORD})
        .status_code
        == 303
    )


@pytest.mark.parametrize("email", LOOKALIKES)
def test_a_reset_for_a_lookalike_goes_to_nobody_else(app: Flask, cast: Cast, email: str) -> None:
    """What a lookalike asks for is mailed to the address as stored, never to the one typed."""
    app.config["WTF_CSRF_ENABLED"] = False
    before = {mail.id for mail in mails()}
    Intruder(app, app.response_class).post("/password/forgot", data={"email": email})
    run_all_but_deliveries()
    for mail in mails():
        assert mail.id in before or mail.recipient == ALICE


@pytest.mark.parametrize("email", LOOKALIKES)
def test_nobody_moves_to_a_lookalike_that_is_hers(app: Flask, cast: Cast, email: str) -> None:
    app.config["WTF_CSRF_ENABLED"] = False
    answer = cast.browser("bob").post("/account/email", data={"email": email})
    assert answer.status_code in (303, 422)
    assert cast.bob.email == "bob@example.com"
