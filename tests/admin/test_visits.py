"""What visitors did, day by day, and the ads that brought them."""

import re
import uuid
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from redis import RedisError
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.admin.conftest import DOOR, counting, said
from tests.admin.people import add_visit
from tests.admin.test_catalog import save
from webapp.campaigns.models import Ad, ClientEventKind
from webapp.core import clock
from webapp.core.models import AuditEntry, Shop


def bars_of(page: str, title: str) -> list[str]:
    """Return what the chart says to a screen reader, one text for each day."""
    found = re.search(rf'aria-label="{title} by day: ([^"]*)"', page)
    assert found, title
    return re.split(r", (?=[A-Z])", found.group(1))


def test_each_kind_has_its_chart_of_thirty_days(owner: FlaskClient, session: Session) -> None:
    alice = uuid.uuid4()
    add_visit(visitor=alice)
    add_visit(visitor=alice, path="/cart")
    add_visit()
    add_visit(ClientEventKind.BUTTON, visitor=alice, label="Buy")
    add_visit(ClientEventKind.LINK, visitor=alice, label="Hats")
    add_visit(at=clock.now() - timedelta(days=29))
    add_visit(at=clock.now() - timedelta(days=40))
    with counting() as counted:
        page = owner.get("/admin/visits/").text
    assert len(counted) <= DOOR + 8, "\n".join(counted.statements)
    views = bars_of(page, "Page views")
    assert len(views) == 30
    assert views[0].endswith(" 1")
    assert views[-1].endswith(" 3")
    assert bars_of(page, "Visitors")[-1].endswith(" 2")
    assert bars_of(page, "Buttons pressed")[-1].endswith(" 1")
    assert bars_of(page, "Links followed")[-1].endswith(" 1")
    assert bars_of(page, "Script errors")[-1].endswith(" 0")
    assert "4 in 30 days" in page
    add_visit()
    with counting() as again:
        assert owner.get("/admin/visits/").text.count("4 in 30 days") == 1
    assert len(again) <= DOOR + 2, "\n".join(again.statements)


def test_without_redis_they_are_counted(
    owner: FlaskClient, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise RedisError

    monkeypatch.setattr("admin.campaigns.figures.redis_client", away)
    add_visit()
    assert "1 in 30 days" in owner.get("/admin/visits/").text


def test_top_pages_ads_and_errors_are_listed(owner: FlaskClient, session: Session) -> None:
    session.add(Ad(code="spring", name="Spring poster", landing="/products"))
    for _ in range(3):
        add_visit(path="/products/hat", ad_code="spring")
    add_visit(path="/cart")
    add_visit(
        ClientEventKind.SCRIPT_ERROR,
        label="x is <b>not</b> a function",
        details={"source": "/static/js/app.js", "line": 12},
    )
    page = owner.get("/admin/visits/").text
    pages = page.split("Pages seen most</h2>")[1]
    assert pages.index("/products/hat") < pages.index("/cart")
    assert "Spring poster" in page
    assert "x is &lt;b&gt;not&lt;/b&gt; a function" in page
    assert "/static/js/app.js:12" in page


def test_the_page_says_when_nothing_is_recorded(owner: FlaskClient, session: Session) -> None:
    assert "Nothing is recorded" not in owner.get("/admin/visits/").text
    session.get_one(Shop, 1).record_client_events = False
    session.commit()
    page = owner.get("/admin/visits/").text
    assert "Nothing is recorded" in page
    assert "Nobody was here yet." in page


def test_an_ad_is_made_and_changed(owner: FlaskClient, session: Session) -> None:
    page = save(
        owner, "/admin/ads/new/", code="Spring-1", name="Spring poster", landing="/products"
    )
    assert "Spring poster is added." in said(page)
    ad = session.scalars(select(Ad)).one()
    assert (ad.code, ad.landing, ad.active) == ("spring-1", "/products", True)
    assert "http://localhost/a/spring-1" in page
    save(owner, f"/admin/ads/edit/?id={ad.id}", name="Poster", active=None, code="other")
    session.expire_all()
    assert (ad.code, ad.name, ad.active) == ("spring-1", "Poster", False)
    done = session.scalars(
        select(AuditEntry.action).where(AuditEntry.subject == f"ad:{ad.id}").order_by(AuditEntry.id)
    )
    assert list(done) == ["ad.created", "ad.edited"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"code": "two words"}, "A code has up to"),
        ({"code": "taken"}, "already"),
        ({"landing": "https://evil.example"}, "a path of this shop"),
        ({"landing": "//evil.example"}, "a path of this shop"),
        ({"landing": "/nowhere/at/all"}, "There is no page"),
        ({"name": ""}, "Name it"),
    ],
)
def test_an_ad_that_can_not_be_is_refused(
    owner: FlaskClient, session: Session, changes: dict[str, str], why: str
) -> None:
    session.add(Ad(code="taken", name="Taken"))
    session.commit()
    values = {"code": "new", "name": "New", "landing": "/"} | changes
    answer = owner.post("/admin/ads/new/", data=values)
    assert (answer.status_code, why in answer.text) == (422, True)


def test_the_list_counts_who_came_lately(owner: FlaskClient, session: Session) -> None:
    session.add_all([Ad(code="spring", name="Spring"), Ad(code="autumn", name="Autumn")])
    alice = uuid.uuid4()
    for path in ("/", "/products"):
        add_visit(visitor=alice, path=path, ad_code="spring")
    add_visit(ad_code="spring")
    add_visit(ad_code="spring", at=clock.now() - timedelta(days=31))
    with counting() as counted:
        page = owner.get("/admin/ads/").text
    assert len(counted) <= DOOR + 5, "\n".join(counted.statements)
    numbers = re.findall(r'<td class="number">(\d+)</td>', page)
    assert numbers == ["0", "0", "2", "3"]
