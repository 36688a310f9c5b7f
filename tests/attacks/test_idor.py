"""An id is no key: another's order, address, session or row stays closed to whoever names it."""

import uuid
from collections.abc import Iterator, Sequence
from itertools import product
from typing import TypeVar

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from tests.attacks.cast import ALICE, CANARY, Cast
from tests.attacks.pages import Form, Page
from tests.attacks.picture import TRACES, changed, picture
from tests.attacks.routes import Route, open_routes
from webapp.accounts.models import User
from webapp.core.access import EVERYONE, MEMBERS
from webapp.core.db import db

KINDS = {"int": int, "uuid": uuid.UUID, "string": object, "path": object, "any": object}
REFUSALS = (302, 303, 400, 401, 403, 404, 405, 409, 410, 415, 422, 429)
OUTSIDERS = ["guest", "bob"]
T = TypeVar("T")
# How many forms are sent between two looks at what became of the database.
LOOK_AFTER = 8
# They may look into every room of the shop by their rank, members' pages apart.
STAFF = ["viewer", "staff"]


@pytest.fixture
def ground(app: Flask, cast: Cast) -> Cast:
    app.config["WTF_CSRF_ENABLED"] = False
    return cast


def fillings(cast: Cast, route: Route) -> Iterator[dict[str, object]]:
    """Every id of alice's that fits the route's arguments, in each of them."""
    for argument in route.arguments:
        for ids in cast.ids.values():
            for value in ids:
                if isinstance(value, KINDS.get(argument.kind, object)):
                    yield {argument.name: value}


def tells(answer: TestResponse) -> bool:
    """Whether anything of alice's shows."""
    carried = f"{answer.headers}{answer.get_data(as_text=True)}".lower()
    return CANARY in carried


def test_alice_herself_gets_there(app: Flask, ground: Cast) -> None:
    """So that the refusals below are not for want of ids."""
    reached, shown = set(), 0
    for route in open_routes(app):
        if route.audience == MEMBERS and route.arguments and "GET" in route.methods:
            for values in fillings(ground, route):
                answer = ground.browser("alice").get(route.address(values))
                if answer.status_code == 200:
                    reached.add(route.endpoint)
                    shown += tells(answer)
    assert {"storefront.account_order", "storefront.change_address"} <= reached
    assert shown


@pytest.mark.parametrize("name", [*OUTSIDERS, *STAFF])
def test_no_members_page_opens_for_another_by_its_id(app: Flask, ground: Cast, name: str) -> None:
    before = picture(about=ground.about_alice, without=TRACES)
    wrong = []
    for route in open_routes(app):
        if route.is_admin or not route.arguments:
            continue
        browser = ground.browser(name)
        for values in fillings(ground, route):
            for method in sorted(route.methods):
                answer = browser.open(route.address(values), method=method, data=FORM)
                where = f"{method} {route.rule} {values}: {answer.status}"
                if tells(answer):
                    wrong.append(f"{where} shows what is alice's")
                if route.audience == MEMBERS and answer.status_code not in REFUSALS:
                    wrong.append(where)
    assert wrong == []
    assert changed(before, picture(about=ground.about_alice, without=TRACES)) == []


# Fields that would be taken, were the row one's own.
FORM = {
    "name": "Mallory",
    "line1": "1 Evil Lane",
    "city": "York",
    "postal_code": "YO1",
    "country": "GB",
    "make_default": "y",
}


def pages_of(app: Flask, cast: Cast, name: str) -> Iterator[tuple[str, Page]]:
    """Every page ``name`` can look at, with alice's ids where one is asked for."""
    browser = cast.browser(name)
    for route in open_routes(app):
        if "GET" not in route.methods or route.endpoint == "static":
            continue
        paths = [route.address()]
        if route.is_admin and "details" in route.rule:
            paths += [
                f"{route.address()}?id={value}" for ids in cast.ids.values() for value in ids[:1]
            ]
        paths += [route.address(values) for values in fillings(cast, route)][:40]
        for path in paths:
            answer = browser.get(path)
            if answer.status_code == 200 and answer.mimetype == "text/html":
                yield path, Page(answer.text)


def forms_of(app: Flask, cast: Cast, name: str) -> list[tuple[str, Form]]:
    """Every different form ``name`` is offered, with the page that has it."""
    found: dict[tuple[str, str], tuple[str, Form]] = {}
    for path, page in pages_of(app, cast, name):
        for form in page.forms:
            action = form.action or path
            key = (
                action,
                ",".join(
                    sorted(f"{f.name}={f.value}" for f in form.fields if f.name != "csrf_token")
                ),
            )
            found.setdefault(key, (path, form))
    return [found[key] for key in sorted(found)]


def groups(sendings: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield so many at a time that looking at the whole database afterwards costs little."""
    for start in range(0, len(sendings), LOOK_AFTER):
        yield sendings[start : start + LOOK_AFTER]


def replays(path: str, form: Form) -> Iterator[tuple[str, dict[str, str]]]:
    """Return where a form goes and what it sends, once per button."""
    fields = {
        name: "Mallory" if CANARY in value.lower() or value == ALICE else value
        for name, value in form.values().items()
        if name != "csrf_token"
    }
    presses: list[dict[str, str]] = [{b.name: b.value} for b in form.buttons if b.name] or [{}]
    for press in presses:
        yield form.action or path, FORM | fields | press


def test_alices_own_forms_do_nothing_for_another(app: Flask, ground: Cast) -> None:
    """Every form of her pages, with her ids in it, sent from another's browser."""
    forms = forms_of(app, ground, "alice")
    hers = [path for path, form in forms if "/account" in (form.action or path)]
    assert len(hers) > 8, hers
    before = picture(about=ground.about_alice, without=TRACES)
    sendings = [(form.method, *sent) for path, form in forms for sent in replays(path, form)]
    for few in groups(sendings):
        browsers = {name: ground.browser(name) for name in (*OUTSIDERS, *STAFF)}
        for (method, action, fields), (name, browser) in product(few, browsers.items()):
            answer = browser.open(action, method=method, data=fields)
            assert answer.status_code < 500, (name, action, answer.status)
            assert not tells(answer), (name, action)
        after = picture(about=ground.about_alice, without=TRACES)
        assert changed(before, after) == [], few


def test_the_owners_forms_do_nothing_for_lower_ranks(app: Flask, ground: Cast) -> None:
    """Every form of the back office, as the owner sees it, sent by who may not."""
    forms = [
        (path, form)
        for path, form in forms_of(app, ground, "owner")
        if (form.action or path).startswith("/admin") and form.method == "POST"
    ]
    assert len(forms) > 5
    browsers = {name: ground.browser(name) for name in ("guest", "bob", "viewer")}
    before = picture(without=TRACES)
    sendings = [sent for path, form in forms for sent in replays(path, form)]
    for few in groups(sendings):
        for (action, fields), (name, browser) in product(few, browsers.items()):
            answer = browser.post(action, data=fields)
            assert answer.status_code in (303, 403, 404, 405), (name, action, answer.status)
        assert changed(before, picture(without=TRACES)) == [], few


def test_no_rank_below_admin_makes_staff(app: Flask, ground: Cast) -> None:
    """Whatever is posted to the rooms of people and roles, nobody rises by their own hand."""

    def roles() -> dict[str, object]:
        return {user.email: user.role for user in db.session.scalars(select(User))}

    before = roles()
    for name in ("viewer", "staff", "manager"):
        mine = str(ground.people[name])
        for route in open_routes(app):
            if route.is_admin and "POST" in route.methods:
                fields = FORM | {"id": mine, "role": "owner", "email": "eve@example.com"}
                ground.browser(name).post(f"{route.address()}?id={mine}", data=fields)
                assert roles() == before, (name, route.rule)


def test_public_pages_show_nothing_of_members(app: Flask, ground: Cast) -> None:
    shown = 0
    for route in open_routes(app):
        if route.audience == EVERYONE and "GET" in route.methods:
            for values in [{}, *list(fillings(ground, route))[:60]]:
                answer = ground.browser("guest").get(route.address(values))
                assert not tells(answer), route.rule
                shown += answer.status_code == 200
    assert shown > 10
