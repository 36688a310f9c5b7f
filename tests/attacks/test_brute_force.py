"""Guessing is slow: from one address or many, at each door that takes a secret."""

import logging

import pytest
from flask import Flask
from flask_limiter.util import get_qualified_name
from werkzeug.test import TestResponse

from tests.attacks.cast import ALICE, PASSWORD, Cast
from tests.attacks.intruder import Intruder
from tests.attacks.routes import routes_of
from tests.other_apps import MakeApp
from webapp.accounts.errors import InvalidEmail
from webapp.accounts.models import Totp
from webapp.accounts.services.addressing import read_email
from webapp.accounts.services.sealing import seal
from webapp.core import clock
from webapp.core.config import Env
from webapp.core.db import db
from webapp.core.limits import limiter
from webapp.core.redis import redis_client

WRONG = "Wrong-Harbour-42"
HERE = "203.0.113.7"
# Sees more guesses than any of the limits lets through.
PATIENCE = 14


@pytest.fixture
def counted(cast: Cast, make_app: MakeApp) -> Cast:
    """Everybody, before an app that counts, as all but the tests' do."""
    return Cast(counting(make_app), cast.people, cast.ids)


def counting(make_app: MakeApp, **changes: object) -> Flask:
    made = make_app(app_env=Env.DEVELOPMENT, **changes)
    made.config["WTF_CSRF_ENABLED"] = False
    return made


def send(
    app: Flask, path: str, address: str = HERE, headers: dict[str, str] | None = None, **fields: str
) -> TestResponse:
    return Intruder(app, app.response_class).post(
        path, data=fields, headers=headers, environ_overrides={"REMOTE_ADDR": address}
    )


def guess(app: Flask, email: str = ALICE, address: str = HERE, **headers: str) -> int:
    answer = send(app, "/login", address, headers, email=email, password=WRONG)
    return answer.status_code


def admitted(statuses: list[int]) -> int:
    """How many were looked at before the first that had to wait; all after it must wait too."""
    first = statuses.index(429) if 429 in statuses else len(statuses)
    assert set(statuses[first:]) <= {429}, statuses
    return first


def test_one_address_guesses_a_password_five_times(counted: Cast) -> None:
    assert admitted([guess(counted.app) for _ in range(PATIENCE)]) == 5


def test_many_addresses_guess_a_password_five_times_together(counted: Cast) -> None:
    statuses = [guess(counted.app, address=f"198.51.100.{n}") for n in range(PATIENCE)]
    assert admitted(statuses) == 5


def test_one_address_guesses_ten_times_whoever_it_is(counted: Cast) -> None:
    statuses = [guess(counted.app, f"person{n}@example.com") for n in range(PATIENCE)]
    assert admitted(statuses) == 10


def test_other_people_are_not_shut_out(counted: Cast) -> None:
    for number in range(PATIENCE):
        guess(counted.app, address=f"198.51.100.{number}")
    answer = send(counted.app, "/login", "192.0.2.9", email="bob@example.com", password=PASSWORD)
    assert answer.status_code == 303


@pytest.mark.parametrize(
    "spellings",
    [
        ["alice@example.com", "ALICE@example.com", "Alice@Example.COM", " alice@example.com "] * 3,
        ["alice@example.com\t", "\talice@example.com", "alice@example.com\u00a0"] * 3,
        [
            "alice@\uff45xample.com",
            "alice@e\uff58ample.com",
            "alice@ex\uff41mple.com",
            "alice@exa\uff4dple.com",
            "alice@exam\uff50le.com",
            "alice@examp\uff4ce.com",
            "alice@exampl\uff45.com",
            "alice@example.\uff43om",
            "alice@example.c\uff4fm",
            "alice@example\u3002com",
        ],
    ],
    ids=["capitals and blanks", "other blanks", "other letters for the same domain"],
)
def test_one_address_has_one_count_however_it_is_spelled(
    counted: Cast, spellings: list[str]
) -> None:
    """What leads to the same account must share its tries, or each spelling gives five more."""
    reads = 0
    for number, spelling in enumerate(spellings):
        status = guess(counted.app, spelling, f"198.51.100.{number}")
        try:
            is_hers = read_email(spelling) == ALICE
        except InvalidEmail:
            is_hers = False
        reads += is_hers and status != 429
    assert 0 < reads <= 5


def test_waiting_is_said_on_the_page_and_to_machines(counted: Cast) -> None:
    for _ in range(6):
        guess(counted.app)
    page = send(counted.app, "/login", email=ALICE, password=PASSWORD)
    assert page.status_code == 429
    assert 0 < int(page.headers["Retry-After"]) <= 15 * 60
    assert page.mimetype == "text/html" and "Wait" in page.text
    headers = {"Accept": "application/json"}
    answer = send(counted.app, "/login", headers=headers, email=ALICE, password=PASSWORD)
    assert answer.status_code == 429
    assert answer.get_json()["error"]["code"] == "http_429"
    assert 0 < int(answer.headers["Retry-After"]) <= 15 * 60


def test_the_right_password_is_no_way_past_the_limit(counted: Cast) -> None:
    """Else the answer to the sixth guess would still tell whether it was right."""
    for _ in range(5):
        guess(counted.app)
    answer = send(counted.app, "/login", email=ALICE, password=PASSWORD)
    assert answer.status_code == 429


def test_an_own_account_gives_no_tries_for_others(counted: Cast) -> None:
    """A good login is given back, and nothing beside it."""
    statuses = []
    for number in range(PATIENCE):
        statuses.append(guess(counted.app, f"person{number}@example.com"))
        send(counted.app, "/login", email="bob@example.com", password=PASSWORD)
    assert admitted(statuses) == 10


def test_five_accounts_an_hour(counted: Cast) -> None:
    statuses = [
        send(
            counted.app, "/register", email=f"p{n}@example.com", password=PASSWORD, agree="y"
        ).status_code
        for n in range(8)
    ]
    assert statuses == [303] * 5 + [429] * 3


def test_five_resets_an_hour(counted: Cast) -> None:
    statuses = [
        send(counted.app, "/password/forgot", email=f"p{n}@example.com").status_code
        for n in range(8)
    ]
    assert statuses == [200] * 5 + [429] * 3


def half_in(counted: Cast) -> Intruder:
    """Bob after his password, before his code."""
    if db.session.get(Totp, counted.people["bob"]) is None:
        with counted.app.app_context():
            secret = seal("JBSWY3DPEHPK3PXP")
        now = clock.now()
        db.session.add(Totp(user_id=counted.people["bob"], secret=secret, confirmed_at=now))
        db.session.commit()
    browser = Intruder(counted.app, counted.app.response_class)
    answer = browser.post("/login", data={"email": "bob@example.com", "password": PASSWORD})
    assert answer.location == "/login/second-step"
    return browser


def test_five_codes_at_the_second_step_even_over_new_first_steps(counted: Cast) -> None:
    statuses = []
    for number in range(PATIENCE):
        answer = half_in(counted).post(
            "/login/second-step",
            data={"code": f"{number:06}"},
            environ_overrides={"REMOTE_ADDR": f"198.51.100.{number}"},
        )
        statuses.append(answer.status_code)
    assert admitted(statuses) == 5


def test_a_first_step_alone_opens_nothing(counted: Cast) -> None:
    browser = half_in(counted)
    for path in ("/account", "/account/security", "/account/data", "/account/prove"):
        assert browser.get(path).status_code == 303


def test_five_proofs_of_oneself(counted: Cast) -> None:
    """A stolen session must not find out its owner's password."""
    thief = counted.browser("alice")
    statuses = [
        thief.post("/account/prove", data={"password": WRONG}).status_code for _ in range(PATIENCE)
    ]
    assert admitted(statuses) == 5


def test_the_current_password_is_not_guessed_at_the_change_of_it(counted: Cast) -> None:
    thief = counted.browser("alice")
    fields = {"current": WRONG, "password": "Louder-Harbour-43"}
    statuses = [thief.post("/account/password", data=fields).status_code for _ in range(PATIENCE)]
    assert admitted(statuses) <= 10


def test_discount_codes_are_not_guessed(counted: Cast) -> None:
    statuses = [
        send(counted.app, "/cart/discount", code=f"GUESS{n}").status_code for n in range(70)
    ]
    assert admitted(statuses) == 15


def test_every_door_that_takes_a_secret_has_a_limit(counted: Cast) -> None:
    """A new one without is found here."""
    secret = ("login", "password", "prove", "register", "second-step", "discount", "verify/resend")
    doors, bare = 0, []
    for route in routes_of(counted.app):
        if (
            "POST" in route.methods
            and not route.is_admin
            and any(word in route.rule for word in secret)
        ):
            doors += 1
            view = counted.app.view_functions[route.endpoint]
            if not limiter.limit_manager.decorated_limits(get_qualified_name(view)):
                bare.append(route.rule)
    assert doors > 12
    # These hand out a challenge or take another site's answer: there is nothing to guess.
    assert set(bare) <= {
        "/login/passkey/options",
        "/account/prove/passkey/options",
        "/login/apple/callback",
    }


def test_a_claimed_address_is_not_believed(counted: Cast) -> None:
    """Without a trusted proxy whoever asks is who the socket says."""
    statuses = []
    for number in range(PATIENCE):
        headers = {"X-Forwarded-For": f"198.51.100.{number}", "X-Real-IP": f"198.51.100.{number}"}
        headers |= {"Forwarded": f"for=198.51.100.{number}", "Client-IP": f"198.51.100.{number}"}
        statuses.append(guess(counted.app, f"person{number}@example.com", **headers))
    assert admitted(statuses) == 10


def guess_behind(app: Flask, proxy: str, forwarded: str) -> list[int]:
    """Guess at one person after another; ``forwarded`` is told the number of the guess."""
    return [
        guess(
            app,
            f"person{number}@example.com",
            proxy,
            **{"X-Forwarded-For": forwarded.format(number)},
        )
        for number in range(PATIENCE)
    ]


def test_behind_a_proxy_its_word_counts_and_no_other(cast: Cast, make_app: MakeApp) -> None:
    """The proxy appends whom it saw; what stands before that is the visitor's own writing."""
    app = counting(make_app, trusted_hops=1)
    assert admitted(guess_behind(app, "10.0.0.1", "198.51.100.{}, 203.0.113.50")) == 10
    headers = {"X-Forwarded-For": "203.0.113.51"}
    assert guess(app, "another@example.com", "10.0.0.1", **headers) == 401


def test_behind_two_proxies_the_second_last_counts(cast: Cast, make_app: MakeApp) -> None:
    app = counting(make_app, trusted_hops=2)
    statuses = guess_behind(app, "10.9.9.9", "198.51.100.{0}, 203.0.113.50, 10.0.0.{0}")
    assert admitted(statuses) == 10


def test_counts_hold_no_addresses_of_people(counted: Cast) -> None:
    guess(counted.app)
    send(counted.app, "/password/forgot", email=ALICE)
    keys = [str(key) for key in redis_client().keys("*")]
    assert keys
    assert not [key for key in keys if "alice" in key or "example" in key]


def test_without_redis_the_door_stays_open_with_a_counted_line(
    cast: Cast, make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    app = counting(make_app, redis_url="redis://127.0.0.1:1/0")
    with caplog.at_level(logging.WARNING):
        statuses = [guess(app) for _ in range(PATIENCE)]
    assert set(statuses) == {401}
    lines = [r for r in caplog.records if "limit" in r.getMessage() and hasattr(r, "count")]
    counts = [int(r.count) for r in lines if "not kept" in r.getMessage()]
    assert counts and counts == sorted(counts) and counts[-1] >= PATIENCE
    assert ALICE not in caplog.text
    answer = send(app, "/login", email=ALICE, password=PASSWORD)
    assert answer.status_code == 303
