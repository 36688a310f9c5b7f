"""The running demo under a scanner: as a guest, a member and the owner, every page and button."""

import pytest
import requests

from tests.attacks.crawler import Crawler, submit
from tests.attacks.pages import Form
from tests.journeys.conftest import Demo, demo

__all__ = ["demo"]

STARTS = [
    "/",
    "/products",
    "/cart",
    "/login",
    "/register",
    "/password/forgot",
    "/contact",
    "/terms",
]
STARTS += ["/robots.txt", "/sitemap.xml", "/no-such-page", "/admin/", "/account", "/health"]
MEMBERS = ["/account", "/account/security", "/account/data", "/account/mail", "/account/profile"]
MEMBERS += ["/account/addresses", "/account/email", "/account/password", "/account/activity"]
HIDDEN = [
    "/static/",
    "/media/",
    "/media/pictures/",
    "/static/css/",
    "/.git/HEAD",
    "/.env",
    "/wsgi.py",
    "/static/../wsgi.py",
    "/static/%2e%2e/%2e%2e/wsgi.py",
    "/static/..%2f..%2fdemo.env",
    "/media/pictures/..%2f..%2fdemo.env",
    "/uploads/",
    "/backup.sql",
    "/server-status",
    "/debug",
    "/console",
    "/metrics",
    "/admin/..;/",
]


@pytest.fixture(scope="module")
def guest(demo: Demo) -> Crawler:
    crawler = Crawler(demo.web, "guest")
    crawler.walk(STARTS)
    return crawler


def enter(crawler: Crawler, path: str, **typed: str) -> str:
    """Send the page's form that asks for a password; returns where that leads."""

    def asks_for_password(form: Form) -> bool:
        return "password" in {each.name for each in form.fields}

    return submit(crawler, path, asks_for_password, **typed)


@pytest.fixture(scope="module")
def member(demo: Demo) -> Crawler:
    crawler = Crawler(demo.web, "member")
    who = {"email": "visitor@example.com", "password": "Quiet-Harbour-42"}
    where = enter(crawler, "/register", **who, agree="y")
    assert where.endswith("/account"), where
    crawler.walk([*MEMBERS, "/", "/cart"], most=250)
    return crawler


@pytest.fixture(scope="module")
def owner(demo: Demo) -> Crawler:
    crawler = Crawler(demo.web, "owner")
    admin = demo.ready["admin"]
    where = enter(crawler, "/login", email=admin["email"], password=admin["password"])
    assert "/login" not in where, where
    crawler.walk(["/admin/", *MEMBERS], most=350)
    return crawler


@pytest.mark.parametrize("who", ["guest", "member", "owner"])
def test_a_scanner_finds_nothing(who: str, request: pytest.FixtureRequest) -> None:
    crawler: Crawler = request.getfixturevalue(who)
    told = "\n".join(map(str, crawler.findings[:60]))
    assert crawler.findings == [], f"{len(crawler.findings)} findings:\n{told}"
    assert len(crawler.pages) > 25, sorted(crawler.pages)
    assert len(crawler.pressed) > 3, sorted(crawler.pressed)


def test_the_scanner_sees_what_is_wrong(demo: Demo) -> None:
    """A scan that can't fail is worth nothing: the mailbox beside the shop has none of it."""
    crawler = Crawler(demo.ready["mailbox"].rstrip("/"), "guest")
    crawler.get(demo.ready["mailbox"])
    assert {finding.what for finding in crawler.findings}


def test_members_and_staffs_pages_are_reached(member: Crawler, owner: Crawler) -> None:
    reached = {
        address.removeprefix(member.base) for address, page in member.pages.items() if page.ok
    }
    assert set(MEMBERS) <= reached
    rooms = {a for a, page in owner.pages.items() if "/admin/" in a and page.status_code == 200}
    assert len(rooms) > 15, sorted(rooms)


def test_nothing_lies_open_beside_the_pages(demo: Demo) -> None:
    for path in HIDDEN:
        answer = requests.get(f"{demo.web}{path}", allow_redirects=False, timeout=60)
        assert answer.status_code in (303, 400, 403, 404), (path, answer.status_code)
        assert "SECRET" not in answer.text and "import" not in answer.text


@pytest.mark.parametrize(
    "method", ["TRACE", "TRACK", "CONNECT", "PROPFIND", "DEBUG", "PUT", "DELETE"]
)
def test_odd_methods_are_refused(demo: Demo, method: str) -> None:
    for path in ("/", "/login", "/admin/", "/static/css/app.css"):
        answer = requests.request(
            method,
            f"{demo.web}{path}",
            headers={"X-Canary": "zanzibar"},
            allow_redirects=False,
            timeout=60,
        )
        assert answer.status_code in (303, 400, 403, 404, 405, 501), (path, answer.status_code)
        assert "zanzibar" not in answer.text


def test_search_engines_are_kept_from_what_is_private(demo: Demo) -> None:
    robots = requests.get(f"{demo.web}/robots.txt", timeout=60).text
    closed = [
        line.partition(":")[2].strip()
        for line in robots.splitlines()
        if line.startswith("Disallow")
    ]
    for path in (
        "/admin/",
        "/account",
        "/account/orders",
        "/cart",
        "/checkout",
        "/orders/status/x",
        "/login",
        "/verify/x",
        "/password/reset/x",
        "/email-change/x",
        "/export/x",
    ):
        assert any(path.startswith(each) for each in closed), (path, closed)
    assert "/" not in closed
    listed = requests.get(f"{demo.web}/sitemap-collections.xml", timeout=60).text
    assert "<loc>" in listed
    for path in ("/admin", "/account", "/login"):
        assert path not in listed


def test_a_log_in_the_demo_tells_no_more_than_it_must(demo: Demo, member: Crawler) -> None:
    """Neither the address nor the password of who was just there stands in any log."""
    read = {}
    for log in (demo.state / "logs").glob("*"):
        if log.is_file() and "mailbox" not in log.name:
            text = log.read_text(errors="replace")
            assert "visitor@example.com" not in text, log.name
            assert "Quiet-Harbour-42" not in text, log.name
            read[log.name] = text
    assert {"web.log", "worker.log"} <= set(read), sorted(read)
    assert "mail sent" in read["worker.log"], "the visit left no trace: nothing was searched"
