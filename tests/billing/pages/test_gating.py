"""Doors that a plan opens, for views, templates and limits; exact at the moment of the change."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, event

from tests.factories.billing import (
    make_customer,
    make_entitlement,
    make_plan,
    make_subscription,
)
from tests.factories.people import browser_of, make_user
from tests.factories.subscribing import Subscriber
from webapp.accounts.models import User
from webapp.billing.errors import PlanNeeded
from webapp.billing.gating import current_entitlement, entitled, require_feature, within
from webapp.billing.models import Entitlement
from webapp.billing.queries.plans import get_plan
from webapp.billing.services.plans import PlanDraft, edit_plan
from webapp.billing.services.sync import Ref, RefKind, sync_now
from webapp.core import clock
from webapp.core.audit import OPERATOR
from webapp.core.db import db


def grant(user: User, slug: str = "pro", **values: Any) -> Entitlement:
    plan = make_plan(slug, features={"early": "Early"}, limits={"boards": 2, "notes": None})
    return make_entitlement(user, make_subscription(make_customer(user), plan), **values)


def test_the_pro_room_opens_to_its_plans_alone(app: Flask, client: FlaskClient) -> None:
    assert "/login?next=" in client.get("/pro").location
    user = make_user()
    browser = browser_of(app, user)
    assert browser.get("/pro").location == "/pricing"
    assert "This is for subscribers" in browser.get("/pricing").text
    entitlement = grant(user)
    page = browser.get("/pro")
    assert page.status_code == 200
    assert "two days before everybody else" in page.text
    assert "2 boards" in page.text
    assert "Unlimited notes" in page.text
    entitlement.walled_at = clock.now()
    db.session.commit()
    assert browser.get("/pro").location == "/billing/wall"
    bob = make_user("bob@example.com")
    grant(bob, "starter")
    other = browser_of(app, bob)
    assert other.get("/pro").location == "/pricing"
    assert "doesn’t include this" in other.get("/pricing").text


def test_callers_that_read_json_are_told_in_json(app: Flask, client: FlaskClient) -> None:
    answer = browser_of(app, make_user()).get("/pro", headers={"Accept": "application/json"})
    assert answer.status_code == PlanNeeded.status
    assert answer.json is not None
    assert answer.json["error"]["code"] == "plan_needed"


def test_access_ends_with_the_subscription_in_the_same_transaction(
    browser: FlaskClient, subscribed: Subscriber
) -> None:
    assert browser.get("/pro").status_code == 200
    subscribed.desk.client.v1.subscriptions.cancel(subscribed.row.stripe_id)
    assert browser.get("/pro").status_code == 200
    sync_now(Ref(RefKind.SUBSCRIPTION, subscribed.row.stripe_id))
    db.session.commit()
    assert browser.get("/pro").location == "/pricing"


def test_a_plans_new_terms_hold_at_once_for_who_has_it(app: Flask, client: FlaskClient) -> None:
    user = make_user()
    entitlement = grant(user)
    edit_plan(
        get_plan("pro").id,
        PlanDraft(name="Pro", features={"late": "Late"}, limits={"boards": 7}),
        OPERATOR,
    )
    db.session.commit()
    db.session.expire_all()
    assert (entitlement.features, entitlement.limits) == (["late"], {"boards": 7})


def test_features_and_limits_are_asked_within_a_request(app: Flask, client: FlaskClient) -> None:
    user = make_user()
    assert (entitled("early"), within("boards", 0), current_entitlement()) == (False, False, None)
    browser = browser_of(app, user)
    found: dict[str, bool] = {}

    @require_feature("early")
    def room() -> str:
        found.update(
            early=entitled("early"),
            late=entitled("late"),
            room=within("boards", 1),
            full=within("boards", 2),
            endless=within("notes", 10**9),
            unknown=within("seats", 0),
        )
        return "in"

    before = app.view_functions["billing.pro"]
    room.open_to = "members"  # type: ignore[attr-defined] # a mark on a function
    app.view_functions["billing.pro"] = room
    try:
        assert browser.get("/pro").location == "/pricing"
        grant(user)
        assert browser.get("/pro").text == "in"
    finally:
        app.view_functions["billing.pro"] = before
    assert found == {
        "early": True,
        "late": False,
        "room": True,
        "full": False,
        "endless": True,
        "unknown": False,
    }


@pytest.fixture
def asked(connection: Connection) -> Callable[[], list[str]]:
    """Every statement about entitlements so far."""
    seen: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "FROM entitlement" in statement:
            seen.append(statement)

    event.listen(connection, "before_cursor_execute", note)
    return lambda: seen


def test_a_page_asks_once_for_a_member_and_never_for_a_visitor(
    app: Flask, client: FlaskClient, asked: Callable[[], list[str]]
) -> None:
    user = make_user()
    grant(user)
    for path in ("/", "/pricing", "/contact"):
        client.get(path)
    assert asked() == []
    browser = browser_of(app, user)
    for number, path in enumerate(("/", "/account", "/pro", "/pricing"), 1):
        browser.get(path)
        assert len(asked()) == number, path


def test_a_session_that_is_over_shows_nothing_of_a_plan(app: Flask, client: FlaskClient) -> None:
    user = make_user()
    grant(user, owing=True)
    browser = browser_of(app, user)
    with browser.session_transaction() as kept:
        token = kept["_user_id"]
    browser.post("/logout")
    with browser.session_transaction() as kept:
        kept["_user_id"] = token
    with app.test_request_context("/", headers={"Cookie": _cookie(browser)}):
        assert current_entitlement() is None
    for odd in ("", "x", "x.y"):
        with browser.session_transaction() as kept:
            kept["_user_id"] = odd
        assert browser.get("/").status_code == 200


def _cookie(browser: FlaskClient) -> str:
    return "; ".join(f"{each.key}={each.value}" for each in (browser._cookies or {}).values())
