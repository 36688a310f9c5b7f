"""Advertisements: a code outside leads to a page inside, and to no other place."""

import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tests.campaigns.test_draining import happen
from tests.factories.people import make_user
from webapp.accounts.models import Role
from webapp.campaigns import queries
from webapp.campaigns.errors import AdCodeTaken, InvalidAd, NoSuchAd
from webapp.campaigns.models import Ad, ClientEventKind
from webapp.campaigns.services.ads import AdDetails, create_ad, edit_ad
from webapp.campaigns.services.events import write
from webapp.core.audit import OPERATOR, Actor
from webapp.core.models import ActorKind, AuditEntry

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def ad(app: Flask, session: Session) -> Ad:
    ad = create_ad("Spring-24", AdDetails("Spring", "/products?tag=sale#top"), OPERATOR)
    session.commit()
    return ad


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_ad_leads_to_its_page_with_its_code(client: FlaskClient, ad: Ad, method: str) -> None:
    answer = client.open("/a/spring-24", method=method)
    assert answer.status_code == 302
    assert answer.location == "/products?tag=sale&ad=spring-24#top"
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_code_read_off_paper_may_be_in_capitals(client: FlaskClient, ad: Ad) -> None:
    assert client.get("/a/SPRING-24").location == "/products?tag=sale&ad=spring-24#top"


@pytest.mark.parametrize(
    "code", ["unknown", "%00", "..%2fadmin", "x" * 3000, "a b", "%F0%9F%98%80"]
)
def test_an_unknown_code_leads_to_the_front_page(client: FlaskClient, ad: Ad, code: str) -> None:
    answer = client.get(f"/a/{code}")
    assert (answer.status_code, answer.location) in [(302, "/"), (404, None)]
    assert "%2f" in code or answer.status_code == 302


def test_an_ad_that_is_over_leads_to_the_front_page(
    client: FlaskClient, session: Session, ad: Ad
) -> None:
    edit_ad(ad.id, AdDetails("Spring", ad.landing, active=False), OPERATOR)
    session.commit()
    assert client.get("/a/spring-24").location == "/"


@pytest.mark.parametrize(
    "landing",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/\t/evil.example",
        "/%zz\r\nSet-Cookie: a=b",
        "javascript:alert(1)",
        "products",
        "/pro\u2028ducts",
        "/nothing-here",
        "/a/spring",
        "/admin/",
        "/logout",
        "/" + "x" * 600,
        "/[",
    ],
)
def test_an_ad_leads_to_a_page_of_this_shop_only(app: Flask, landing: str) -> None:
    with pytest.raises(InvalidAd):
        create_ad("evil", AdDetails("Evil", landing), OPERATOR)


@pytest.mark.parametrize("landing", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_a_landing_that_got_past_the_check_leads_home(
    client: FlaskClient, session: Session, ad: Ad, landing: str
) -> None:
    ad.landing = landing
    session.commit()
    assert client.get("/a/spring-24").location == "/"


@pytest.mark.parametrize(
    ("landing", "target"),
    [
        ("/", "/?ad=x"),
        ("", "/?ad=x"),
        ("/products?", "/products?ad=x"),
        ("/products?ad=old&tag=a%20b", "/products?tag=a%20b&ad=x"),
        ("/products?%61d=old", "/products?ad=x"),
        ("/products/gr%C3%B6%C3%9Fe", "/products/gr%C3%B6%C3%9Fe?ad=x"),
    ],
)
def test_the_code_joins_what_the_address_has(
    client: FlaskClient, session: Session, landing: str, target: str
) -> None:
    create_ad("x", AdDetails("X", landing), OPERATOR)
    session.commit()
    assert client.get("/a/x").location == target


@pytest.mark.parametrize("code", ["", "a b", "ä", "-x", "x" * 65, "a/b", "a\n"])
def test_a_code_can_stand_in_an_address(app: Flask, code: str) -> None:
    if code == "a\n":
        assert create_ad(code, AdDetails("A"), OPERATOR).code == "a"
        return
    with pytest.raises(InvalidAd):
        create_ad(code, AdDetails("A"), OPERATOR)


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\0b", "a\nb"])
def test_an_ad_has_a_readable_name(app: Flask, name: str) -> None:
    with pytest.raises(InvalidAd):
        create_ad("a", AdDetails(name), OPERATOR)


def test_a_code_belongs_to_one_ad(app: Flask, ad: Ad) -> None:
    with pytest.raises(AdCodeTaken):
        create_ad("SPRING-24", AdDetails("Other"), OPERATOR)
    with pytest.raises(NoSuchAd):
        edit_ad(ad.id + 1, AdDetails("Other"), OPERATOR)


def test_who_made_and_changed_an_ad_is_on_record(app: Flask, session: Session) -> None:
    staff = Actor(ActorKind.STAFF, make_user(role=Role.MANAGER).id)
    ad = create_ad("a", AdDetails("A"), staff)
    edit_ad(ad.id, AdDetails("B", "/products"), staff)
    edit_ad(ad.id, AdDetails("B", "/products"), staff)
    session.commit()
    of_ad = select(AuditEntry).where(AuditEntry.subject == f"ad:{ad.id}").order_by(AuditEntry.id)
    entries = session.scalars(of_ad).all()
    assert [(entry.action, entry.actor_id) for entry in entries] == [
        ("ad.created", staff.id),
        ("ad.edited", staff.id),
    ]
    assert entries[1].details == {"fields": ["name", "landing"]}


def test_the_figures_of_a_span(app: Flask, session: Session, ad: Ad) -> None:
    bob, alice = uuid.uuid4(), make_user()
    error: dict[str, Any] = {
        "kind": ClientEventKind.SCRIPT_ERROR,
        "label": "x is undefined",
        "details": {"source": "/static/js/app.js", "line": 3},
    }
    write(
        [
            happen(at=NOON, ad_code="spring-24"),
            happen(at=NOON, ad_code="spring-24", path="/products", user_id=alice.id),
            happen(at=NOON, ad_code="lost", visitor_id=bob),
            happen(at=NOON, kind=ClientEventKind.BUTTON, visitor_id=bob),
            happen(at=NOON + timedelta(hours=13), **error),
            happen(at=NOON + timedelta(hours=14), visitor_id=bob, **error),
            happen(at=NOON + timedelta(days=2)),
            happen(at=NOON - timedelta(days=2)),
        ]
    )
    span = NOON - timedelta(days=1), NOON + timedelta(days=1)
    first, second = date(2026, 5, 4), date(2026, 5, 5)
    assert queries.count_by_day(*span) == [
        queries.KindOfDay(first, ClientEventKind.BUTTON, 1),
        queries.KindOfDay(first, ClientEventKind.PAGE_VIEW, 3),
        queries.KindOfDay(second, ClientEventKind.SCRIPT_ERROR, 2),
    ]
    assert queries.count_visitors_by_day(*span) == [
        queries.VisitorsOfDay(first, 2, 1),
        queries.VisitorsOfDay(second, 2, 0),
    ]
    assert queries.list_top_paths(*span) == [
        queries.PathViews("/", 2, 2),
        queries.PathViews("/products", 1, 1),
    ]
    assert queries.list_top_ads(*span) == [
        queries.AdVisits("lost", "", 1, 1),
        queries.AdVisits("spring-24", "Spring", 2, 1),
    ]
    (found,) = queries.list_script_errors(*span)
    assert (found.message, found.source, found.line) == (
        "x is undefined",
        "/static/js/app.js",
        3,
    )
    assert (found.count, found.visitors, found.last_at) == (2, 2, NOON + timedelta(hours=14))
    assert session.scalar(select(func.count()).select_from(Ad)) == 1
