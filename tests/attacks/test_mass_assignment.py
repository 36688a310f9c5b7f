"""Fields nobody asked for change nothing: every form there is, with more than it has."""

import re

import pytest
from flask import Flask
from sqlalchemy import select

from tests.attacks.cast import ALICE, PASSWORD, Cast
from tests.attacks.intruder import Intruder
from tests.attacks.picture import changed, picture
from tests.attacks.routes import open_routes
from webapp.accounts.models import Address, Member, Role, User
from webapp.core.db import db


def extras(cast: Cast) -> dict[str, str]:
    """Names of columns, of relations and of what other frameworks would swallow."""
    alice, member = str(cast.people["alice"]), str(cast.ids["member"][0])
    return {
        "role": "owner",
        "user.role": "owner",
        "user[role]": "owner",
        "is_admin": "1",
        "is_staff": "true",
        "is_superuser": "1",
        "admin": "1",
        "permissions": "settings.edit",
        "email_verified_at": "2020-01-01T00:00:00",
        "verified": "y",
        "active": "y",
        "id": alice,
        "user": alice,
        "user_id": alice,
        "owner_id": alice,
        "member_id": member,
        "member": member,
        "order_id": str(cast.ids["order"][0]),
        "prospect_id": "1",
        "password_hash": "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aaaa",
        "password_changed_at": "2020-01-01",
        "second_factor_at": "2020-01-01",
        "proven_at": "2020-01-01",
        "created_at": "2000-01-01",
        "closed_at": "",
        "erased_at": "2020-01-01",
        "erase_after": "2020-01-01",
        "total_amount": "0",
        "unit_amount": "0",
        "discount_amount": "999999",
        "status": "refunded",
        "state": "ready",
        "_method": "DELETE",
        "__class__": "x",
        "constructor.prototype.role": "owner",
    }


# What forms do ask for, so that they are taken and not only refused.
GOOD = {
    "email": "carol@example.com",
    "password": "Louder-Harbour-43",
    "current": PASSWORD,
    "agree": "y",
    "name": "Carol",
    "line1": "1 Mill Lane",
    "city": "York",
    "postal_code": "YO1",
    "country": "GB",
    "phone": "+44 20 7946 0000",
    "subject": "Hello",
    "text": "Hello there",
    "topics": "offers",
    "code": "123456",
    "confirmation": "no",
}


def ranks() -> dict[str, Role | None]:
    return {str(user.id): user.role for user in db.session.scalars(select(User))}


@pytest.mark.parametrize("name", ["guest", "bob", "viewer"])
def test_no_form_takes_more_than_it_asks_for(app: Flask, cast: Cast, name: str) -> None:
    app.config["WTF_CSRF_ENABLED"] = False
    more = extras(cast)
    before, hers = ranks(), picture(about=cast.about_alice)
    accepted = []
    for route in open_routes(app):
        if "POST" not in route.methods:
            continue
        browser = cast.browser(name)
        for fields in (more, more | GOOD):
            answer = browser.post(route.address(), data=fields)
            assert answer.status_code < 500, (route.rule, answer.status)
            if answer.status_code in (302, 303) and "/login" not in answer.location:
                accepted.append(route.rule)
        browser.post(route.address(), json=more | GOOD)
        now = ranks()
        risen = [role for user, role in now.items() if role is not None and user not in before]
        assert risen == [], route.rule
        assert {user: now[user] for user in before} == before, route.rule
        assert changed(hers, picture(about=cast.about_alice)) == [], route.rule
    assert accepted, "no form was taken: the attack proves nothing"


def test_nobody_registers_as_the_owner(app: Flask, cast: Cast) -> None:
    app.config["WTF_CSRF_ENABLED"] = False
    browser = Intruder(app, app.response_class)
    answer = browser.post("/register", data=extras(cast) | GOOD)
    assert answer.status_code == 303
    made = db.session.scalars(select(User).where(User.email == GOOD["email"])).one()
    assert (made.role, made.email_verified_at) == (None, None)
    assert made.id != cast.people["alice"]
    assert made.password_hash != extras(cast)["password_hash"]
    assert browser.get("/admin/").status_code == 403


def test_an_address_stays_with_who_wrote_it(app: Flask, cast: Cast) -> None:
    app.config["WTF_CSRF_ENABLED"] = False
    answer = cast.browser("bob").post("/account/addresses/new", data=extras(cast) | GOOD)
    assert answer.status_code == 303
    made = db.session.scalars(select(Address).where(Address.line1 == GOOD["line1"])).one()
    bob = db.session.scalars(select(Member).where(Member.user_id == cast.people["bob"])).one()
    assert made.member_id == bob.id


def test_a_profile_changes_its_own_two_fields(app: Flask, cast: Cast) -> None:
    app.config["WTF_CSRF_ENABLED"] = False
    cast.browser("bob").post("/account/profile", data=extras(cast) | GOOD)
    bob = cast.bob
    assert (bob.email, bob.role, bob.active) == ("bob@example.com", None, True)
    member = db.session.scalars(select(Member).where(Member.user_id == bob.id)).one()
    assert member.name == GOOD["name"]
    assert re.sub(r"\D", "", member.phone) == "442079460000"
    assert db.session.scalars(select(Member).where(Member.user_id == cast.people["alice"])).one()
    assert cast.alice.email == ALICE
