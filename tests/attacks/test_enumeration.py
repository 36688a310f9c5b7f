"""Nothing tells whether an address is known: not the words, not the work behind them."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask import Flask
from sqlalchemy import Connection, event
from werkzeug.test import TestResponse

from tests.attacks.cast import ALICE, PASSWORD, Cast
from tests.attacks.intruder import Intruder
from tests.factories.people import make_user
from webapp.accounts.models import LoginSession, User
from webapp.core.db import db

WRONG = "Wrong-Harbour-42"
# As long as the known one's, as the page repeats it.
UNKNOWN = "carol@example.com"
PENDING, CLOSED, BARE = "daisy@example.com", "edgar@example.com", "fiona@example.com"
NOISE = [
    (re.compile(r'name="csrf_token"[^>]*value="[^"]*"'), "csrf"),
    (re.compile(r'value="[^"]*"[^>]*name="csrf_token"'), "csrf"),
    (re.compile(r"(?i)[\w.+-]+@example\.com"), "somebody"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}"), "uuid"),
    (re.compile(r'name="opened"[^>]*value="[^"]*"'), "opened"),
    (re.compile(r"(?i)<time[^>]*>[^<]*</time>"), "time"),
    (re.compile(r"\b[0-9a-f]{16}\b"), "request"),
]
PASSING = {"set-cookie", "content-length", "x-request-id", "date"}


@pytest.fixture
def everyone(app: Flask, cast: Cast) -> Cast:
    """Beside the cast: somebody unverified, somebody shut out, somebody without a password."""
    app.config["WTF_CSRF_ENABLED"] = False
    make_user(PENDING, verified=False)
    closed = make_user(CLOSED).id
    db.session.get_one(User, closed).active = False
    make_user(BARE, password=None)
    db.session.commit()
    return cast


def masked(answer: TestResponse) -> tuple[int, dict[str, str], str]:
    """Return what a stranger sees, without what differs from request to request."""
    body = answer.text
    for pattern, word in NOISE:
        body = pattern.sub(word, body)
    kept = {
        name.lower(): value for name, value in answer.headers.items() if name.lower() not in PASSING
    }
    kept["cookies"] = str(len(answer.headers.getlist("Set-Cookie")))
    return answer.status_code, kept, body


@dataclass
class Work:
    """What a request cost, in a measure that doesn't vary."""

    hashes: list[str] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)

    def cost(self) -> tuple[list[str], int]:
        return sorted(self.hashes), len(self.statements)


@pytest.fixture
def working(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Return a block that notes the password hashing and the statements within it."""

    @contextmanager
    def noting() -> Iterator[Work]:
        work = Work()
        real_verify, real_hash = PasswordHasher.verify, PasswordHasher.hash

        def verify(self: PasswordHasher, *args: Any) -> Any:
            work.hashes.append(f"verify {self.time_cost} {self.memory_cost}")
            return real_verify(self, *args)

        def make(self: PasswordHasher, *args: Any, **more: Any) -> Any:
            work.hashes.append(f"hash {self.time_cost} {self.memory_cost}")
            return real_hash(self, *args, **more)

        def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            if "SAVEPOINT" not in statement:
                work.statements.append(statement)

        with monkeypatch.context() as patched:
            patched.setattr(PasswordHasher, "verify", verify)
            patched.setattr(PasswordHasher, "hash", make)
            event.listen(connection, "before_cursor_execute", note)
            try:
                yield work
            finally:
                event.remove(connection, "before_cursor_execute", note)

    return noting


def log_in(app: Flask, email: str) -> TestResponse:
    browser = Intruder(app, app.response_class)
    return browser.post("/login", data={"email": email, "password": WRONG})


def forget(app: Flask, email: str) -> TestResponse:
    return Intruder(app, app.response_class).post("/password/forgot", data={"email": email})


def register(app: Flask, email: str) -> TestResponse:
    fields = {"email": email, "password": "Other-Harbour-43", "agree": "y"}
    return Intruder(app, app.response_class).post("/register", data=fields)


DOORS = {"login": log_in, "forgot": forget, "register": register}
WHO = {
    "a member": ALICE,
    "the owner": "owner@example.com",
    "somebody unverified": PENDING,
    "somebody shut out": CLOSED,
    "somebody without a password": BARE,
    "a member in capitals": ALICE.upper(),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("who", WHO)
def test_a_door_answers_everybody_alike(
    app: Flask, everyone: Cast, working: Callable[[], Any], door: str, who: str
) -> None:
    knock = DOORS[door]
    knock(app, "first@example.com")  # whatever is made once per process is made by now
    with working() as for_unknown:
        unknown = masked(knock(app, UNKNOWN))
    with working() as for_known:
        known = masked(knock(app, WHO[who]))
    assert known == unknown
    assert for_known.cost() == for_unknown.cost(), "\n".join(
        ["known:", *for_known.statements, "unknown:", *for_unknown.statements]
    )


def test_guesses_at_the_door_are_hashed_at_all(
    app: Flask, everyone: Cast, working: Callable[[], Any]
) -> None:
    with working() as work:
        log_in(app, UNKNOWN)
    assert work.hashes and all("verify" in each for each in work.hashes)


@pytest.mark.parametrize(
    "path",
    [
        "/account",
        "/account/profile",
        "/account/mail",
        "/account/orders",
        "/account/security",
        "/account/data",
        "/account/email",
        "/account/activity",
        "/verify/resend",
        "/account/addresses",
    ],
)
def test_after_registering_nothing_tells_either(app: Flask, everyone: Cast, path: str) -> None:
    seen = []
    for email in (UNKNOWN, ALICE):
        browser = Intruder(app, app.response_class)
        fields = {"email": email, "password": "Other-Harbour-43", "agree": "y"}
        assert browser.post("/register", data=fields).status_code == 303
        if path == "/verify/resend":
            browser.post(path)
        seen.append(masked(browser.get(path)))
    assert seen[0] == seen[1]


def test_logging_in_again_after_registering_tells_nothing(app: Flask, everyone: Cast) -> None:
    """Register with somebody's address, leave, come back: refused would mean it is known."""
    seen = []
    for email in (UNKNOWN, ALICE):
        register(app, email)
        browser = Intruder(app, app.response_class)
        fields = {"email": email, "password": "Other-Harbour-43"}
        seen.append(masked(browser.post("/login", data=fields)))
    assert seen[0] == seen[1]
    assert seen[0][0] == 303


def test_registering_takes_nothing_from_the_owner(app: Flask, everyone: Cast) -> None:
    register(app, ALICE)
    browser = Intruder(app, app.response_class)
    assert browser.post("/login", data={"email": ALICE, "password": PASSWORD}).status_code == 303
    with browser.session_transaction() as opened:
        token = opened["_user_id"]
    login = db.session.get_one(LoginSession, token.partition(".")[0])
    assert login.user_id == everyone.people["alice"]


def test_asking_for_another_address_tells_nothing_of_it(
    app: Flask, everyone: Cast, working: Callable[[], Any]
) -> None:
    seen, costs = [], []
    for email in ("first@example.com", UNKNOWN, ALICE, PENDING):
        bob = everyone.browser("bob")
        with working() as work:
            asked = masked(bob.post("/account/email", data={"email": email}))
        seen.append((asked, masked(bob.get("/account/email"))))
        costs.append(work.cost())
    assert seen[1] == seen[2] == seen[3]
    assert costs[1] == costs[2] == costs[3]


def test_sending_the_link_again_tells_nothing(
    app: Flask, everyone: Cast, working: Callable[[], Any]
) -> None:
    seen, costs = [], []
    for email in (UNKNOWN, ALICE):
        browser = Intruder(app, app.response_class)
        fields = {"email": email, "password": "Other-Harbour-43", "agree": "y"}
        browser.post("/register", data=fields)
        with working() as work:
            seen.append(masked(browser.post("/verify/resend")))
        costs.append(work.cost())
    assert seen[0] == seen[1]
    assert costs[0] == costs[1]


def test_passkey_options_name_nobodys_keys(app: Flask, everyone: Cast) -> None:
    answers = []
    for email in (UNKNOWN, ALICE):
        browser = Intruder(app, app.response_class)
        answer = browser.post("/login/passkey/options", json={"email": email})
        body = answer.get_json()
        body.pop("challenge", None)
        answers.append((answer.status_code, body))
    assert answers[0] == answers[1]
    assert not answers[0][1].get("allowCredentials")


def test_writing_to_the_shop_tells_nothing(app: Flask, everyone: Cast) -> None:
    seen = []
    for email in (UNKNOWN, ALICE):
        browser = Intruder(app, app.response_class)
        fields = {"name": "Carol", "email": email, "subject": "Hello", "text": f"Hello {email}"}
        seen.append(masked(browser.post("/contact", data=fields)))
    assert seen[0] == seen[1]


def test_a_discount_for_somebody_tells_nothing_of_them(app: Flask, everyone: Cast) -> None:
    seen = []
    for email in (UNKNOWN, ALICE):
        browser = Intruder(app, app.response_class)
        answer = browser.post("/cart/discount", data={"code": "NOPE", "email": email})
        seen.append(masked(answer))
    assert seen[0] == seen[1]
