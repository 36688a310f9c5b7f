"""A link works for one thing, in one fork, for its time, and where it says so only once."""

import ast
import re
from pathlib import Path
from typing import Any, TypeGuard

import pytest
from flask import Flask
from itsdangerous import TimestampSigner
from sqlalchemy import select

from tests.attacks.cast import ALICE, PASSWORD, Cast
from tests.attacks.intruder import Intruder
from tests.attacks.picture import TRACES, changed, picture
from tests.attacks.routes import Route, open_routes, shares
from tests.attacks.test_host_header import mails, run_all_but_deliveries
from tests.factories.billing import make_customer
from webapp.accounts.models import DataExport, EmailChange, User
from webapp.accounts.services.exporting import token_of
from webapp.accounts.services.resetting import _reset_link
from webapp.accounts.services.verifying import verification_link
from webapp.billing.models import Channel
from webapp.billing.queries.home import find_customer
from webapp.billing.services.dunning.links import make as make_card_link
from webapp.core.db import db
from webapp.core.fork import Fork
from webapp.core.signing import sign
from webapp.core.state import bind
from webapp.messaging.models import Mail
from webapp.messaging.services import post as post_mail
from webapp.orders.models import Order, OrderDownload
from webapp.orders.queries import status_token

ROOT = Path(__file__).resolve().parents[2]
YEARS = 3 * 365 * 24 * 3600
# Which kind of token each address takes; all others must open nothing there.
TAKES = {
    "orders.status": "order-status",
    "orders.download": "download",
    "accounts.verification": "verify-email",
    "accounts.verify": "verify-email",
    "accounts.reset_password": "reset-password",
    "accounts.email_change": "email-change",
    "accounts.download_copy": "export",
    "campaigns.join_question": "newsletter",
    "campaigns.join_confirm": "newsletter",
    "billing.card": "card-link",
    "billing.open_card": "card-link",
}
NEW = "Louder-Harbour-43"


def purposes() -> dict[str, set[str]]:
    """Return every purpose the code signs or reads for, with the files that do."""
    found: dict[str, set[str]] = {}
    for source in sorted((ROOT / "webapp").rglob("*.py")) + sorted((ROOT / "admin").rglob("*.py")):
        text = source.read_text(encoding="utf-8")
        constants = dict(re.findall(r"^([A-Z_]+)(?:: \w+)? = \"([^\"]+)\"", text, re.MULTILINE))
        for node in ast.walk(ast.parse(text)):
            if is_signing(node):
                found.setdefault(purpose_in(node.args[0], constants), set()).add(source.name)
    return found


def is_signing(node: ast.AST) -> TypeGuard[ast.Call]:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return False
    return node.func.id in ("sign", "unsign") and bool(node.args)


def purpose_in(argument: ast.expr, constants: dict[str, str]) -> str:
    if isinstance(argument, ast.Constant):
        return str(argument.value)
    if isinstance(argument, ast.Name):
        return constants.get(argument.id, argument.id)
    return ast.unparse(argument)


def token_routes(app: Flask) -> list[Route]:
    names = {"token"}
    return [r for r in open_routes(app) if names & {each.name for each in r.arguments}]


@pytest.fixture
def trusting_cast(app: Flask, cast: Cast) -> Cast:
    app.config["WTF_CSRF_ENABLED"] = False
    return cast


def good_tokens(cast: Cast) -> dict[str, str]:
    """Return a token of each purpose that would open something of alice's right now."""
    alice = cast.alice
    alice.email_verified_at = None
    db.session.commit()
    alice = cast.alice
    order = db.session.get_one(Order, cast.ids["order"][0])
    download = db.session.scalars(
        select(OrderDownload).where(OrderDownload.order_id == order.id)
    ).one()
    export = db.session.scalars(select(DataExport)).one()
    change = db.session.scalars(select(EmailChange)).one()
    return {
        "verify-email": verification_link(alice).rpartition("/")[2],
        "reset-password": _reset_link(alice).rpartition("/")[2],
        "email-change": sign("email-change", {"change": change.id, "side": "new"}),
        "export": token_of(export) or "",
        "order-status": status_token(order.id),
        "download": sign("download", download.id),
        "cart": sign("cart", str(cast.people["alice"])),
        "newsletter": sign("newsletter", {"mail": invited(ALICE), "name": ""}),
        "card-link": card_link(alice),
    }


def card_link(user: User) -> str:
    """Return the token of a link to somebody's card, as a mail about an unpaid invoice has it."""
    customer = find_customer(user.id) or make_customer(user)
    link = make_card_link(customer.id, Channel.MAIL)
    db.session.commit()
    return link.rpartition("/")[2]


def invited(address: str) -> str:
    """Return what stands for the mail that asked somebody whether they want the newsletter."""
    key = f"newsletter_confirm:{address}"
    if db.session.scalar(select(Mail).where(Mail.dedupe_key == key)) is None:
        link = {"link": "http://localhost/newsletter/confirm/x", "days": 3}
        post_mail("newsletter_confirm", address, link, dedupe_key=key, subject_ref=None)
        db.session.commit()
    return address


def values_worth_trying(cast: Cast) -> list[Any]:
    """What the routes' own tokens carry, and what careless code might take instead."""
    alice = str(cast.people["alice"])
    found: list[Any] = [alice, ALICE, 1, True, None, [], {}, "", -1, 2**70, "1", "\0", ["x"] * 5]
    for ids in cast.ids.values():
        found += [str(value) if not isinstance(value, int) else value for value in ids[:1]]
    found.append({"user": alice, "email": ALICE})
    found.append({"user": alice, "fingerprint": ""})
    found.append({"change": cast.ids["email_change"][0], "side": "new"})
    found.append({"change": "x", "side": "x"})
    found.append({"user": "x"})
    return found


def knock(app: Flask, route: Route, token: str) -> list[int]:
    """Ask a route by every method with a token; returns the answers' statuses."""
    statuses = []
    for method in sorted(route.methods):
        browser = Intruder(app, app.response_class)
        answer = browser.open(
            route.address({"token": token}), method=method, data={"password": NEW}
        )
        statuses.append(answer.status_code)
    return statuses


def refused(statuses: list[int]) -> bool:
    return all(status in (303, 400, 404, 410) for status in statuses)


def test_every_address_with_a_token_is_known_here(app: Flask) -> None:
    assert {route.endpoint for route in token_routes(app)} == set(TAKES)


def test_every_purpose_is_signed_and_read_in_one_capability(app: Flask) -> None:
    found = purposes()
    assert set(TAKES.values()) <= set(found), found


def test_each_good_token_opens_its_own_address(app: Flask, trusting_cast: Cast) -> None:
    """So that the refusals below are the purpose's and nothing else's."""
    tokens = good_tokens(trusting_cast)
    alice = trusting_cast.browser("alice")
    for route in token_routes(app):
        if "GET" in route.methods:
            answer = alice.get(route.address({"token": tokens[TAKES[route.endpoint]]}))
            # The files behind the last two were never written.
            files = ("orders.download", "accounts.download_copy")
            assert answer.status_code == (404 if route.endpoint in files else 200), route.rule


def test_a_token_made_for_another_purpose_opens_nothing(app: Flask, trusting_cast: Cast) -> None:
    tokens = good_tokens(trusting_cast)
    before = picture(without=TRACES)
    for route in token_routes(app):
        for purpose, token in tokens.items():
            if purpose != TAKES[route.endpoint]:
                assert refused(knock(app, route, token)), (route.rule, purpose)
                assert changed(before, picture(without=TRACES)) == [], (route.rule, purpose)


def test_any_purpose_with_any_value_opens_nothing_elsewhere(
    app: Flask, trusting_cast: Cast
) -> None:
    """Each purpose in the code, each value an address's own tokens carry, at each other address."""
    named = set(purposes()) | {"", "session", "cookie-session", "wtf-csrf-token", "token"}
    values = values_worth_trying(trusting_cast)
    before = picture(without=TRACES)
    some_values = shares(values, 3)
    for route in token_routes(app):
        for purpose in sorted(named - {TAKES[route.endpoint]}):
            for value in next(some_values):
                statuses = knock(app, route, sign(purpose, value))
                assert refused(statuses), (route.rule, purpose, value, statuses)
    assert changed(before, picture(without=TRACES)) == []


def test_a_token_of_another_fork_opens_nothing(app: Flask, trusting_cast: Cast) -> None:
    config, fork = app.extensions["startupwebapp"]
    bind(app, config, Fork("another_fork", fork.uploads_root))
    try:
        tokens = good_tokens(trusting_cast)
    finally:
        bind(app, config, fork)
    before = picture(without=TRACES)
    for route in token_routes(app):
        assert refused(knock(app, route, tokens[TAKES[route.endpoint]])), route.rule
    assert changed(before, picture(without=TRACES)) == []


def test_a_token_of_another_key_opens_nothing(
    app: Flask, trusting_cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, fork = app.extensions["startupwebapp"]
    bind(app, config.model_copy(update={"secret_key": "x" * 40}), fork)
    try:
        tokens = good_tokens(trusting_cast)
    finally:
        bind(app, config, fork)
    for route in token_routes(app):
        assert refused(knock(app, route, tokens[TAKES[route.endpoint]])), route.rule


def test_a_token_that_was_changed_opens_nothing(app: Flask, trusting_cast: Cast) -> None:
    tokens = good_tokens(trusting_cast)
    for route in token_routes(app):
        token = tokens[TAKES[route.endpoint]]
        payload, signed_at, signature = token.rsplit(".", 2)
        for broken in (
            token[:-2],
            token[:-9] + ("A" if token[-9] != "A" else "B") + token[-8:],
            payload,
            f".{signed_at}.{signature}",
            f"{payload}x.{signed_at}.{signature}",
            f"{payload}.{signature}.{signed_at}",
            f"{payload}.zzzzzz.{signature}",
            token.swapcase(),
            "." * 50,
            "A" * 20_000,
        ):
            assert refused(knock(app, route, broken)), (route.rule, broken[:60])


def test_old_tokens_open_nothing_where_they_shall_expire(
    app: Flask, trusting_cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = TimestampSigner.get_timestamp
    with monkeypatch.context() as then:
        then.setattr(TimestampSigner, "get_timestamp", lambda self: real(self) - YEARS)
        tokens = good_tokens(trusting_cast)
    # An order's page is meant to last; a change of address and a file expire by their rows.
    lasting = {"orders.status", "orders.download", "accounts.email_change"}
    for route in token_routes(app):
        if route.endpoint not in lasting:
            statuses = knock(app, route, tokens[TAKES[route.endpoint]])
            assert refused(statuses), (route.rule, statuses)


def test_a_reset_link_is_good_once(app: Flask, trusting_cast: Cast) -> None:
    Intruder(app, app.response_class).post("/password/forgot", data={"email": ALICE})
    Intruder(app, app.response_class).post("/password/forgot", data={"email": ALICE})
    run_all_but_deliveries()
    links = [m.group() for mail in mails() for m in re.finditer(r"/password/reset/\S+", mail.text)]
    assert len(links) >= 2
    assert post(app, links[0], password=NEW) == 303
    # The first is used, and the other was made for a password that is no more.
    for link in links:
        assert post(app, link, password="Other-Harbour-44") == 410
    assert log_in(app, ALICE, NEW) == 303
    assert log_in(app, ALICE, PASSWORD) == 401


def test_a_reset_ends_every_session_of_before(app: Flask, trusting_cast: Cast) -> None:
    thief = trusting_cast.browser("alice")
    assert thief.get("/account").status_code == 200
    Intruder(app, app.response_class).post("/password/forgot", data={"email": ALICE})
    run_all_but_deliveries()
    (link,) = {
        m.group() for mail in mails() for m in re.finditer(r"/password/reset/\S+", mail.text)
    }
    assert post(app, link, password=NEW) == 303
    assert thief.get("/account").status_code == 303


def test_a_verification_is_good_once_and_for_its_address(app: Flask, trusting_cast: Cast) -> None:
    browser = Intruder(app, app.response_class)
    fields = {"email": "carol@example.com", "password": NEW, "agree": "y"}
    assert browser.post("/register", data=fields).status_code == 303
    run_all_but_deliveries()
    (link,) = {
        m.group() for mail in mails() for m in re.finditer(r"/verify/[\w.-]{30,}", mail.text)
    }
    assert Intruder(app, app.response_class).get(link).status_code == 200
    user = db.session.scalars(select(User).where(User.email == "carol@example.com")).one()
    assert post(app, link) == 200  # the page that asks to sign in: the mailbox alone is not enough
    assert user.email_verified_at is None
    assert browser.post(link).status_code == 200
    assert post(app, link) == 410
    user = db.session.scalars(select(User).where(User.email == "carol@example.com")).one()
    user.email, user.email_verified_at = "daisy@example.com", None
    db.session.commit()
    assert post(app, link) == 404


def test_one_mailbox_cannot_answer_for_the_other(app: Flask, trusting_cast: Cast) -> None:
    """A change of address needs both: the new one twice, or called off, changes nothing."""
    bob = trusting_cast.browser("bob")
    bob.post("/account/email", data={"email": "robert@example.com"})
    run_all_but_deliveries()
    links = {
        mail.kind: m.group()
        for mail in mails()
        for m in re.finditer(r"/email-change/\S+", mail.text)
    }
    new, old = links["email_change_new"], links["email_change_old"]
    assert post(app, new) == bob.post(new).status_code == bob.post(new).status_code == 200
    assert trusting_cast.bob.email == "bob@example.com"
    assert post(app, old) == 200
    assert trusting_cast.bob.email == "robert@example.com"
    assert post(app, old) == post(app, new) == 410


def test_a_change_that_was_called_off_stays_off(app: Flask, trusting_cast: Cast) -> None:
    bob = trusting_cast.browser("bob")
    bob.post("/account/email", data={"email": "robert@example.com"})
    run_all_but_deliveries()
    links = [m.group() for mail in mails() for m in re.finditer(r"/email-change/\S+", mail.text)]
    bob.post("/account/email/cancel")
    assert {post(app, link) for link in links} == {410}
    assert trusting_cast.bob.email == "bob@example.com"


def test_somebody_elses_export_link_is_no_use(app: Flask, trusting_cast: Cast) -> None:
    export = db.session.scalars(select(DataExport)).one()
    token = token_of(export)
    for name in ("bob", "owner"):
        assert trusting_cast.browser(name).get(f"/export/{token}").status_code == 404
    answer = trusting_cast.browser("guest").get(f"/export/{token}")
    assert answer.status_code == 303 and answer.location.startswith("/login")


def post(app: Flask, path: str, **fields: str) -> int:
    return Intruder(app, app.response_class).post(path, data=fields).status_code


def log_in(app: Flask, address: str, password: str) -> int:
    return post(app, "/login", email=address, password=password)
