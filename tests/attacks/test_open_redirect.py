"""Nobody is led from here to another site by what stands in an address or a form."""

import re
from collections.abc import Sequence
from urllib.parse import quote, urljoin, urlsplit

import pytest
from flask import Flask

from tests.attacks.cast import ALICE, PASSWORD, Cast
from tests.attacks.intruder import Intruder
from tests.attacks.pages import Page
from tests.attacks.routes import Route, open_routes, shares
from webapp.accounts.views.guard import same_site

NAMES = ("next", "back", "url", "return", "return_to", "redirect", "redirect_uri", "target", "goto")
EVIL = [
    "https://evil.example/",
    "HTTPS://evil.example/",
    "//evil.example/",
    "///evil.example/",
    "////evil.example",
    "/\\evil.example/",
    "\\/evil.example",
    "\\\\evil.example",
    "/\\/evil.example",
    "https:evil.example",
    "https:/evil.example",
    "http:/\\evil.example",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r\nLocation: https://evil.example/",
    "\t//evil.example",
    " //evil.example",
    "\x00//evil.example",
    "\x0b//evil.example",
    "/%0d%0aLocation:%20https://evil.example/",
    "/%2f%2fevil.example",
    "/%2fevil.example",
    "/%5cevil.example",
    "%2f%2fevil.example",
    "/.//evil.example",
    "/..//evil.example",
    "/a/..//evil.example",
    "/\u2044/evil.example",
    "/\uff0fevil.example",
    "\uff0f\uff0fevil.example",
    "/\u2215\u2215evil.example",
    "//evil.example\uff0fpath",
    "/@evil.example",
    "@evil.example",
    "//localhost@evil.example/",
    "https://localhost@evil.example/",
    "https://localhost.evil.example/",
    "//[::1]evil.example",
    "http://[evil",
    "evil.example",
    ".evil.example",
    ":80@evil.example",
    "?next=//evil.example",
    "#//evil.example",
    "/login?next=//evil.example",
    "/" * 5000 + "evil.example",
]


def where(location: str) -> str:
    """Return the host a browser ends at (https://url.spec.whatwg.org/#url-parsing)."""
    text = re.sub(r"[\t\r\n]", "", location.strip("".join(map(chr, range(33)))))
    parts = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", text, re.DOTALL)
    if parts and parts[1].lower() not in ("http", "https"):
        return f"{parts[1].lower()}:"
    if parts:
        rest = re.sub(r"^[/\\]*", "", parts[2])
        return re.split(r"[/\\?#]", rest)[0].rpartition("@")[2]
    head = re.match(r"[/\\]{2,}", text)
    if head:
        return re.split(r"[/\\?#]", text[head.end() :])[0].rpartition("@")[2]
    return urlsplit(urljoin("http://localhost/", text.replace("\\", "/"))).netloc


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("/cart", "localhost"),
        ("//evil.example/x", "evil.example"),
        ("/\t/evil.example", "evil.example"),
        ("/\\evil.example", "evil.example"),
        ("https:evil.example", "evil.example"),
        ("https://localhost@evil.example/", "evil.example"),
        ("javascript:alert(1)", "javascript:"),
        ("/%2f%2fevil.example", "localhost"),
    ],
)
def test_the_judge_reads_addresses_as_browsers_do(location: str, host: str) -> None:
    assert where(location) == host


def leads_away(html: str) -> list[str]:
    """Return the links and forms of a page that lead to the attacker."""
    page = Page(html)
    targets = [*page.links, *(form.action for form in page.forms)]
    return [target for target in targets if re.search("evil|javascript:|data:", where(target))]


@pytest.mark.parametrize("target", EVIL)
def test_the_judge_of_targets_lets_none_of_these_pass(target: str) -> None:
    found = same_site(target)
    assert found is None or where(found) == "localhost", found


def queries(target: str) -> str:
    return "&".join(f"{word}={quote(target, safe='')}" for word in NAMES)


def minds(browser: Intruder, route: Route) -> bool:
    """Whether the route does anything with a target it is given."""
    answer = browser.get(f"{route.address()}?{queries('/a-probe')}")
    return "a-probe" in f"{answer.headers}{answer.get_data(as_text=True)}"


@pytest.mark.parametrize("name", ["guest", "alice", "owner"])
def test_no_address_leads_to_another_site(app: Flask, cast: Cast, name: str) -> None:
    browser = cast.browser(name)
    wrong: list[str] = []
    minding: list[str] = []
    some_targets = shares(EVIL, 3)
    for route in open_routes(app):
        if "GET" not in route.methods or route.endpoint == "static":
            continue
        tried: Sequence[str] = EVIL[:1]
        # Whoever must log in first meets the same door everywhere: one address is enough.
        if minds(browser, route) and not (name == "guest" and len(minding) > 6):
            minding.append(route.rule)
            tried = next(some_targets)
        for evil in tried:
            answer = browser.get(f"{route.address()}?{queries(evil)}")
            location = answer.headers.get("Location", "/")
            if where(location) != "localhost":
                wrong.append(f"{route.rule} with {evil!r} -> {location!r}")
            if answer.status_code == 200 and answer.mimetype == "text/html":
                wrong += [
                    f"{route.rule} with {evil!r} shows {x!r}" for x in leads_away(answer.text)
                ]
    assert wrong == []
    assert minding, "no address minds a target: the attack proves nothing"


@pytest.mark.parametrize("evil", EVIL)
def test_a_login_leads_nowhere_else(app: Flask, cast: Cast, evil: str) -> None:
    browser = cast.browser("guest")
    fields = {"email": ALICE, "password": PASSWORD, "csrf_token": browser.token(), "next": evil}
    answer = browser.post(f"/login?next={quote(evil, safe='')}", data=fields)
    assert answer.status_code == 303
    assert where(answer.location) == "localhost", answer.location


def test_forms_lead_nowhere_else(app: Flask, cast: Cast) -> None:
    """Every route that takes a form, with evil in each field that could be a way back."""
    wrong, led = [], 0
    some_evil = shares(("//evil.example/", "https://evil.example/", "/\\evil.example/"), 3)
    for name in ("guest", "alice", "owner"):
        for route in open_routes(app):
            if not route.changes:
                continue
            for evil in next(some_evil):
                browser = cast.browser(name)
                fields = dict.fromkeys(NAMES, evil) | {"csrf_token": browser.token()}
                answer = browser.post(
                    f"{route.address()}?next={quote(evil, safe='')}",
                    data=fields,
                    headers={"Referer": f"http://localhost{evil}"},
                )
                location = answer.headers.get("Location", "/")
                led += "Location" in answer.headers
                if "evil" in where(location):
                    wrong.append(f"{name}: {route.rule} with {evil!r} -> {location!r}")
    assert wrong == []
    assert led > 100, "hardly a form led anywhere: the attack proves nothing"


def test_the_page_before_is_no_way_out(app: Flask, cast: Cast) -> None:
    """Whoever must log in first is sent back by the Referer, of which only the path counts."""
    browser = cast.browser("guest")
    for referer in ("https://evil.example/", "https://evil.example//evil.example/", "//evil"):
        answer = browser.post(
            "/admin/shop/",
            data={"csrf_token": browser.token()},
            headers={"Referer": referer},
        )
        assert where(answer.location) == "localhost"
        assert "evil" not in answer.location.replace("%2Fevil", "")
