"""An authenticator app: set up by a code, good once per code, sealed in the database."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from tests.factories.people import browser_of, make_user
from tests.races import Race
from webapp.accounts.models import RecoveryCode, Totp, User
from webapp.accounts.services import sealing, totp
from webapp.core import clock
from webapp.core.db import db
from webapp.core.fork import Fork
from webapp.core.models import AuditEntry
from webapp.core.state import bind
from webapp.messaging.models import Mail

pytest_plugins = ["tests.races"]

HERE = "/account/security"
NOON = datetime(2026, 3, 1, 12, 0, 10, tzinfo=UTC)


def begin(browser: FlaskClient) -> str:
    """Start setting up an app; returns the key that the page shows."""
    answer = browser.post(f"{HERE}/totp", follow_redirects=True)
    found = re.search(r'<code class="key">([A-Z2-7 ]+)</code>', answer.text)
    assert found, answer.text
    return found[1].replace(" ", "")


def switch_on(browser: FlaskClient) -> str:
    """Set an app up; returns its key."""
    key = begin(browser)
    answer = browser.post(f"{HERE}/totp/confirm", data={"code": code_of(key)})
    assert answer.status_code == 200, answer.text
    return key


def code_of(key: str, **passed: float) -> str:
    return pyotp.TOTP(key).at(clock.now() + timedelta(**passed))


def test_the_page_shows_a_picture_and_the_same_key_to_type(
    browser: FlaskClient, session: Session
) -> None:
    key = begin(browser)
    page = browser.get(f"{HERE}/totp")
    assert 'src="data:image/svg+xml' in page.text
    assert page.headers["Cache-Control"] == "no-store"
    assert key in page.text.replace(" ", "")
    setup = totp.find_setup(session.scalars(select(User)).one(), "Northwind Goods")
    assert setup is not None
    assert pyotp.parse_uri(setup.uri).secret == key
    assert pyotp.parse_uri(setup.uri).issuer == "Northwind Goods"
    assert pyotp.parse_uri(setup.uri).name == "alice@example.com"


def test_a_right_code_switches_it_on_and_hands_out_recovery_codes(
    browser: FlaskClient, session: Session, alice: User, run_jobs: Callable[[], int]
) -> None:
    key = begin(browser)
    assert not totp.is_on(alice.id), "not before the first code"
    answer = browser.post(f"{HERE}/totp/confirm", data={"code": code_of(key)})
    assert totp.is_on(alice.id)
    codes = re.findall(r"<code>([A-Z0-9-]{19})</code>", answer.text)
    assert len(set(codes)) == 10
    assert answer.headers["Cache-Control"] == "no-store"
    mail = session.scalars(select(Mail)).one()
    assert mail.kind == "second_factor_changed"
    assert "An authenticator app was set up" in mail.text
    assert key not in mail.html + mail.text
    actions = set(session.scalars(select(AuditEntry.action)))
    assert {"totp.added", "recovery_codes.made"} <= actions
    assert "10 of 10 left" in browser.get(HERE).text


def test_a_wrong_code_leaves_it_off(browser: FlaskClient, alice: User) -> None:
    begin(browser)
    for wrong in ("000000", "12345", "abcdef", "١٢٣٤٥٦", ""):
        answer = browser.post(f"{HERE}/totp/confirm", data={"code": wrong})
        assert answer.status_code in (401, 422)
        assert "data:image/svg+xml" in answer.text, "the picture stays for another try"
    assert not totp.is_on(alice.id)


def test_switching_it_on_logs_every_other_device_out(
    app: Flask, browser: FlaskClient, alice: User
) -> None:
    other = browser_of(app, alice)
    switch_on(browser)
    assert browser.get(HERE).status_code == 200
    assert other.get(HERE).status_code == 303


def test_a_code_is_taken_once_and_no_earlier_one_after_it(
    browser: FlaskClient, alice: User
) -> None:
    with clock.frozen(clock.now().replace(microsecond=0)):
        key = switch_on(browser)
        now = clock.now()
    with clock.frozen(now + timedelta(minutes=5)):
        assert totp.accept(alice.id, code_of(key))
        assert not totp.accept(alice.id, code_of(key)), "the same again"
        assert not totp.accept(alice.id, code_of(key, seconds=-30)), "the one before"
        assert totp.accept(alice.id, code_of(key, seconds=30)), "a fast clock's next one"
        assert not totp.accept(alice.id, code_of(key, seconds=60)), "too far ahead"


def test_of_two_requests_with_one_code_one_is_let_in(
    browser: FlaskClient, session: Session, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rival takes the step after ours was found good and before it is written down."""
    now = clock.now()
    with clock.frozen(now):
        key = switch_on(browser)
    find = totp._step_of

    def find_too_late(row: Totp, code: str) -> int | None:
        step = find(row, code)
        session.execute(update(Totp).values(last_step=step))
        return step

    monkeypatch.setattr(totp, "_step_of", find_too_late)
    with clock.frozen(now + timedelta(minutes=5)):
        assert not totp.accept(alice.id, code_of(key))


def test_the_code_it_was_switched_on_with_opens_nothing_more(
    browser: FlaskClient, alice: User
) -> None:
    with clock.frozen(clock.now()):
        key = switch_on(browser)
        assert not totp.accept(alice.id, code_of(key))


def test_the_code_of_half_a_minute_ago_still_counts_and_older_ones_do_not(
    browser: FlaskClient, alice: User
) -> None:
    now = clock.now()
    with clock.frozen(now):
        key = switch_on(browser)
    with clock.frozen(now + timedelta(minutes=5)):
        assert not totp.accept(alice.id, code_of(key, seconds=-60))
        assert totp.accept(alice.id, code_of(key, seconds=-30))


def test_codes_are_those_of_rfc_6238(session: Session, alice: User) -> None:
    """Appendix B's secret and times; its codes of eight digits end in ours of six."""
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    vectors = [(59, "287082"), (1111111109, "081804"), (2000000000, "279037")]
    session.add(Totp(user_id=alice.id, secret=sealing.seal(secret), confirmed_at=NOON))
    session.commit()
    for seconds, code in vectors:
        with clock.frozen(datetime.fromtimestamp(seconds, UTC)):
            assert totp.accept(alice.id, code)


def test_the_key_in_the_database_is_sealed(
    browser: FlaskClient, session: Session, alice: User
) -> None:
    key = switch_on(browser)
    row = session.get_one(Totp, alice.id)
    assert key not in row.secret
    assert sealing.unseal(row.secret) == key


def test_it_outlives_a_roll_of_the_secret_key_and_opens_in_no_other_fork(
    app: Flask, browser: FlaskClient, session: Session, alice: User
) -> None:
    key = switch_on(browser)
    sealed = session.get_one(Totp, alice.id).secret
    config, fork = app.extensions["startupwebapp"]
    rolled = config.model_copy(
        update={"secret_key": "another-" + "y" * 32, "secret_key_previous": config.secret_key}
    )
    gone = rolled.model_copy(update={"secret_key_previous": ""})
    try:
        bind(app, rolled, fork)
        assert sealing.unseal(sealed) == key
        bind(app, gone, fork)
        assert sealing.unseal(sealed) is None
        assert not totp.accept(alice.id, "123456")
        bind(app, config, Fork("another_fork", fork.uploads_root))
        assert sealing.unseal(sealed) is None
    finally:
        bind(app, config, fork)


def test_an_app_that_is_used_while_the_secret_key_is_rolled_needs_the_old_one_no_more(
    app: Flask, browser: FlaskClient, alice: User
) -> None:
    key = switch_on(browser)
    config, fork = app.extensions["startupwebapp"]
    rolled = config.model_copy(
        update={"secret_key": "another-" + "y" * 32, "secret_key_previous": config.secret_key}
    )
    try:
        bind(app, rolled, fork)
        with clock.frozen(clock.now() + timedelta(minutes=1)):
            assert totp.accept(alice.id, code_of(key))
        bind(app, rolled.model_copy(update={"secret_key_previous": ""}), fork)
        with clock.frozen(clock.now() + timedelta(minutes=2)):
            assert totp.accept(alice.id, code_of(key))
    finally:
        bind(app, config, fork)


def test_a_second_one_is_refused_and_the_first_stays(browser: FlaskClient, alice: User) -> None:
    switch_on(browser)
    answer = browser.post(f"{HERE}/totp", follow_redirects=True)
    assert "There is an authenticator app already." in answer.text
    assert browser.get(f"{HERE}/totp").status_code == 303, "its key is never shown again"
    assert totp.is_on(alice.id)


def test_two_presses_make_one_key(open_shop: Flask, race: Race) -> None:
    user_id = make_user("bob@example.com").id

    def press() -> None:
        totp.begin(db.session.get_one(User, user_id))
        db.session.commit()

    race.run(*([press] * 4))
    assert db.session.scalar(select(func.count()).select_from(Totp)) == 1


def test_setting_up_can_be_cancelled(browser: FlaskClient, session: Session) -> None:
    begin(browser)
    assert session.scalars(select(Totp)).all() != []
    browser.post(f"{HERE}/totp/cancel")
    assert session.scalars(select(Totp)).all() == []


def test_cancelling_does_not_remove_one_that_is_on(browser: FlaskClient, alice: User) -> None:
    switch_on(browser)
    browser.post(f"{HERE}/totp/cancel")
    assert totp.is_on(alice.id)


def test_removing_it_voids_the_recovery_codes_and_is_told(
    browser: FlaskClient, session: Session, alice: User
) -> None:
    switch_on(browser)
    answer = browser.post(f"{HERE}/totp/remove", follow_redirects=True)
    assert "The authenticator app is removed." in answer.text
    assert not totp.is_on(alice.id)
    assert session.scalars(select(RecoveryCode)).all() == []
    mails = session.scalars(select(Mail.text).order_by(Mail.id)).all()
    assert "The authenticator app was removed" in mails[-1]


def test_an_unverified_address_gets_no_mail(
    app: Flask, client: FlaskClient, session: Session
) -> None:
    switch_on(browser_of(app, make_user("bob@example.com", verified=False)))
    assert session.scalars(select(Mail)).all() == []


@pytest.mark.parametrize("path", ["totp", "totp/confirm", "totp/remove", "recovery-codes"])
def test_every_change_needs_a_fresh_proof(app: Flask, alice: User, path: str) -> None:
    with clock.frozen(clock.now() - timedelta(minutes=16)):
        browser = browser_of(app, alice)
    answer = browser.post(f"{HERE}/{path}", headers={"Referer": f"http://localhost{HERE}"})
    assert answer.location == f"/account/prove?next={HERE}"
