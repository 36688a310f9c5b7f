"""Who may call what: every address of the app says so, and the door holds everyone to it."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from admin.base import Guarded
from admin.base.actions import asks_of
from tests.attacks.routes import MUTATING, Route, routes_of
from tests.factories.people import browser_of, make_user
from tests.other_apps import MakeApp
from webapp.accounts.models import Role
from webapp.accounts.permissions import Permission, allows
from webapp.core.access import EVERYONE, MEMBERS, NOBODY
from webapp.core.security import csrf

# Whoever calls these can't have a token of ours: Stripe, Amazon and SendGrid sign what they send,
# and Apple's answer to a sign-in is a form that another site posts, held to its state and nonce.
# Mail providers (RFC 8058) and readers without cookies post to a signed link. Browsers keep cookies
# back from a newsletter form in a frame on another site; it does nothing in anybody's name, and has
# a signed token of its own.
CALLED_FROM_ELSEWHERE = {
    "payments.stripe_webhook",
    "accounts.apple_handover",
    "messaging.ses_webhook",
    "messaging.sendgrid_webhook",
    "campaigns.leave",
    "campaigns.leave_at_once",
    "campaigns.join_elsewhere",
}
AUDIENCES = {EVERYONE, MEMBERS, NOBODY, *(permission.value for permission in Permission)}


def table(routes: list[Route]) -> str:
    lines = [
        f"{route.rule:48} {','.join(sorted(route.methods)):10} {route.endpoint:40} {route.audience}"
        for route in routes
    ]
    return "\n" + "\n".join(lines)


def undeclared(app: Flask) -> list[Route]:
    return [route for route in routes_of(app) if route.audience not in AUDIENCES]


@pytest.fixture
def another_app(make_app: MakeApp) -> Flask:
    """An app that a test may add routes to."""
    return make_app()


def test_every_route_says_who_may_call_it(app: Flask) -> None:
    missing = undeclared(app)
    assert missing == [], (
        f"{[route.endpoint for route in missing]} say nothing of who may call them. All routes:"
        + table(routes_of(app))
    )


def test_a_route_that_says_nothing_is_closed_and_found(another_app: Flask) -> None:
    another_app.add_url_rule("/planted", "planted", lambda: "secrets")
    assert [route.endpoint for route in undeclared(another_app)] == ["planted"]
    answer = another_app.test_client().get("/planted")
    assert answer.status_code == 403
    assert "secrets" not in answer.text


def test_not_even_an_owner_gets_through_a_route_that_says_nothing(app: Flask) -> None:
    owner = browser_of(app, make_user("owner@example.com", role=Role.OWNER))
    endpoint = "storefront.robots"
    view = app.view_functions[endpoint]
    assert owner.get("/robots.txt").status_code == 200
    marked = vars(view).pop("open_to")
    try:
        assert [route.endpoint for route in undeclared(app)] == [endpoint]
    finally:
        vars(view)["open_to"] = marked


def test_shops_pages_are_for_everyone_or_members(app: Flask) -> None:
    """What staff may do is done in the back office, behind its own address."""
    strays = [r for r in routes_of(app) if not r.is_admin and r.audience not in (EVERYONE, MEMBERS)]
    assert strays == [], table(strays)


def test_pages_about_oneself_are_for_members(app: Flask) -> None:
    rooms = [r for r in routes_of(app) if r.rule == "/account" or r.rule.startswith("/account/")]
    open_ones = [route for route in rooms if route.audience != MEMBERS]
    assert open_ones == [], table(open_ones)
    assert len(rooms) > 30


def test_the_back_office_is_for_staff(app: Flask) -> None:
    rooms = [r for r in routes_of(app) if r.is_admin]
    assert len(rooms) > 130
    open_ones = [r for r in rooms if r.audience in (EVERYONE, MEMBERS)]
    # Flask-Admin's own files would be public; ours brings none.
    assert [r for r in open_ones if not r.rule.endswith("<path:filename>")] == [], table(open_ones)


def test_only_callers_from_elsewhere_need_no_token(app: Flask) -> None:
    named = {
        f"{app.view_functions[endpoint].__module__}.{app.view_functions[endpoint].__name__}"
        for endpoint in CALLED_FROM_ELSEWHERE
    }
    assert csrf._exempt_views == named
    assert csrf._exempt_blueprints == set()
    exempt = [r for r in routes_of(app) if r.endpoint in CALLED_FROM_ELSEWHERE]
    assert all(route.methods == {"POST"} for route in exempt), table(exempt)


def rooms_of(app: Flask) -> dict[str, Guarded]:
    return {room.blueprint.name: room for room in app.extensions["admin"][0].rooms}


def routes_in_rooms(app: Flask) -> list[tuple[Route, Guarded, str]]:
    """Return every route of the back office with its room and the name of its method there."""
    rooms = rooms_of(app)
    split = [(route, *route.endpoint.rpartition(".")[::2]) for route in routes_of(app)]
    found = [(route, rooms[name], method) for route, name, method in split if name in rooms]
    assert len(found) > 130
    return found


def write_permission(room: Guarded, method: str) -> Permission | None:
    """What the room asks of whoever changes something there."""
    view = getattr(type(room), method, None)
    if view is None:
        return None
    asks = asks_of(view)
    return (asks and asks.write) or room.reading(method)


def test_rooms_ask_for_what_their_addresses_say(app: Flask) -> None:
    wrong = [
        route
        for route, room, method in routes_in_rooms(app)
        if route.audience != (room.reading(method) or NOBODY)
    ]
    assert wrong == [], table(wrong)


def test_nobody_changes_anything_by_the_right_to_look(app: Flask) -> None:
    wrong, changing = [], 0
    for route, room, method in routes_in_rooms(app):
        if route.methods & MUTATING and route.audience != NOBODY:
            changing += 1
            asked = write_permission(room, method)
            if asked is None or asked is Permission.VIEW:
                wrong.append(route)
    assert wrong == [], table(wrong)
    assert changing > 40


@pytest.mark.parametrize("role", [None, *Role])
def test_each_rank_gets_as_far_as_its_permissions(
    client: FlaskClient, app: Flask, session: Session, role: Role | None
) -> None:
    """A refusal is 403 (404 for what nobody may); the right to come in is never refused."""
    person = make_user("bob@example.com", role=role)
    browser = browser_of(app, person, second_factor=True)
    wrong, tried = [], 0
    for route in routes_of(app):
        if not route.is_admin or route.audience in (EVERYONE, MEMBERS):
            continue
        for method in sorted(route.methods):
            tried += 1
            answer = browser.open(route.address(), method=method)
            asked = asked_of(app, route, method)
            if asked is None:
                good = answer.status_code == 404
            elif allows(role, asked):
                good = answer.status_code not in (400, 403, 405)
            else:
                good = answer.status_code == 403
            if not good:
                wrong.append(f"{method} {route.rule}: {answer.status_code}, needs {asked}")
    assert wrong == []
    assert tried > 150


def asked_of(app: Flask, route: Route, method: str) -> Permission | None:
    if route.audience == NOBODY or route.audience is None:
        return None
    name, _, view = route.endpoint.rpartition(".")
    if method in MUTATING:
        return write_permission(rooms_of(app)[name], view)
    return Permission(route.audience)


def test_strangers_are_sent_to_the_login(client: FlaskClient, app: Flask) -> None:
    asked = 0
    for route in routes_of(app):
        if route.audience not in (EVERYONE, NOBODY):
            asked += 1
            for method in route.methods:
                answer = client.open(route.address(), method=method)
                assert answer.status_code == 303, route
                assert answer.location.startswith("/login?next="), route
    assert asked > 100
