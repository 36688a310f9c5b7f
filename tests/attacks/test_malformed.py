"""Too much, too deep, or not text at all: refused with a sentence, and never our mistake."""

from io import BytesIO
from itertools import cycle

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.attacks import nasty
from tests.attacks.cast import PASSWORD
from tests.attacks.pages import Page
from tests.attacks.picture import changed
from tests.attacks.routes import Route, open_routes, shares
from tests.attacks.siege import Siege

MEGABYTE = 1024 * 1024
NAMES = ["email", "password", "name", "current", "code", "text", "subject", "next", "line1", "city"]
NAMES += ["country", "phone", "credential", "sku_id", "quantity", "id", "topics", "confirmation"]
GOOD = {"email": "carol@example.com", "password": PASSWORD, "agree": "y", "name": "Carol"}


def posting(app: Flask, name: str = "") -> list[Route]:
    found = [route for route in reached(app, name) if "POST" in route.methods]
    assert len(found) > 40, "a walk over few routes proves little"
    return found


def reached(app: Flask, name: str) -> list[Route]:
    """Return the routes worth asking as somebody: the owner's are the back office's alone."""
    mine = {"owner": (True,), "alice": (False,)}.get(name, (True, False))
    return [route for route in open_routes(app) if route.is_admin in mine]


def is_ours(answer: TestResponse) -> bool:
    return answer.status_code >= 500


@pytest.mark.parametrize(
    ("name", "room"), [("guest", "/login"), ("alice", "/account"), ("owner", "/admin/")]
)
def test_whoever_tries_is_let_in(siege: Siege, name: str, room: str) -> None:
    """So that what follows meets the pages themselves and not the door before them."""
    assert siege.browser(name).get(room).status_code == 200


@pytest.mark.parametrize("name", ["guest", "alice", "owner"])
def test_a_megabyte_in_every_field(siege: Siege, name: str) -> None:
    """Each field that any form has, with more than anybody would type."""
    broken = []
    one_of = cycle(("email", "password", "name", "code"))
    for route in posting(siege.app, name):
        browser = siege.browser(name)
        everywhere = dict.fromkeys(NAMES, "a@b.c" + "x" * (100_000 // len(NAMES)))
        for fields in (everywhere, GOOD | {next(one_of): "x" * MEGABYTE}):
            answer = browser.post(route.address(), data=fields)
            if is_ours(answer):
                broken.append(f"{route.rule} with {list(fields)}: {answer.status}")
    assert broken == []


def test_a_long_password_costs_no_more_than_a_long_one(siege: Siege) -> None:
    """What is hashed has an end, or a megabyte each would keep all cores busy."""
    for path, field in (("/login", "password"), ("/register", "password")):
        answer = siege.browser("guest").post(path, data=GOOD | {field: "x" * 500_000})
        assert answer.status_code in (200, 401, 413, 422), path


@pytest.mark.parametrize("name", ["guest", "alice", "owner"])
def test_bodies_beyond_the_limit_are_refused_unread(siege: Siege, name: str) -> None:
    browser = siege.browser(name)
    before = siege.picture()
    for route in posting(siege.app, name)[::3]:
        body = b"x=" + b"y" * (17 * MEGABYTE)
        kind = "application/x-www-form-urlencoded"
        answer = browser.post(route.address(), data=body, content_type=kind)
        # Whoever reads no body, like one that only hands out a challenge, answers as ever.
        unread = answer.status_code == 200 and answer.is_json
        refused = answer.status_code in (303, 400, 401, 403, 404, 413, 415, 422)
        assert refused or unread, (route.rule, answer.status)
    assert changed(before, siege.picture()) == []
    answer = browser.post("/login", data={"file": (BytesIO(b"x" * 17 * MEGABYTE), "big.bin")})
    assert answer.status_code in (413, 303)


def test_thousands_of_fields(siege: Siege) -> None:
    broken = []
    some_counts = shares((999, 2000), 2)
    for route in posting(siege.app):
        browser = siege.browser("alice")
        answer = browser.post(route.address(), data={f"field{n}": "x" for n in range(2000)})
        if is_ours(answer):
            broken.append(f"{route.rule} with fields: {answer.status}")
    for route in posting(siege.app)[::4]:
        for count in next(some_counts):
            parts = {f"f{n}": (BytesIO(b"x"), "x.txt") for n in range(count)}
            answer = siege.browser("alice").post(route.address(), data=parts)
            if is_ours(answer):
                broken.append(f"{route.rule} with {count} files: {answer.status}")
    assert broken == []


@pytest.mark.parametrize("name", ["guest", "alice", "owner"])
def test_json_that_is_deep_broken_or_strange(siege: Siege, name: str) -> None:
    broken = []
    # The back office reads no JSON: a few show that it doesn't trip over it.
    some_bodies, few_bodies = shares(nasty.JSONS, 3), shares(nasty.JSONS, 12)
    for route in posting(siege.app, name):
        browser = siege.browser(name)
        for body in next(few_bodies if route.is_admin else some_bodies):
            answer = browser.post(route.address(), data=body, content_type="application/json")
            if is_ours(answer):
                broken.append(f"{route.rule} with {body[:60]!r}: {answer.status}")
    assert broken == []


@pytest.mark.parametrize("name", ["guest", "alice", "owner"])
@pytest.mark.parametrize("text", ["a\x00b", "\ufffe\U0010ffff\u2028"])
def test_no_text_at_all_in_every_field(siege: Siege, name: str, text: str) -> None:
    broken = []
    tries = [dict.fromkeys(NAMES, text), GOOD | dict.fromkeys(NAMES[2:], text)]
    tries += [GOOD | {field: text} for field in NAMES[:3]]
    some_tries = shares(tries, 3)
    for route in posting(siege.app, name):
        browser = siege.browser(name)
        for fields in next(some_tries):
            answer = browser.post(route.address(), data=fields)
            if is_ours(answer):
                broken.append(f"{route.rule} with {text!r} in {list(fields)}: {answer.status}")
        query = f"{route.address()}?id={text}&next={text}&page={text}"
        if is_ours(browser.post(query)):
            broken.append(f"{route.rule} with {text!r} in its query")
    assert broken == []


@pytest.mark.parametrize("name", ["guest", "alice", "owner"])
def test_addresses_of_any_bytes(siege: Siege, name: str) -> None:
    broken = []
    some_texts, some_queries = shares(nasty.TEXTS, 6), shares(nasty.QUERIES, 4)
    for route in reached(siege.app, name):
        if "GET" not in route.methods:
            continue
        browser = siege.browser(name)
        paths = [route.address()]
        for argument in route.arguments:
            paths += [route.address({argument.name: text}) for text in next(some_texts)]
        for path in paths:
            for query in next(some_queries) if path == paths[0] else [""]:
                answer = browser.get(path, query_string=query)
                answer.get_data()  # what streams holds its context until it is read
                if is_ours(answer):
                    broken.append(f"{path[:80]}?{query[:60]}: {answer.status}")
    browser = siege.browser(name)
    for path in nasty.PATHS:
        answer = browser.get(path)
        if is_ours(answer) or (answer.status_code == 200 and "root:" in answer.text):
            broken.append(path)
    assert broken == []


@pytest.mark.parametrize("number", [2**63, 10**400])
def test_a_number_that_no_row_can_have_leads_nowhere(siege: Siege, number: int) -> None:
    asked = 0
    for route in open_routes(siege.app):
        for argument in (each for each in route.arguments if each.kind == "int"):
            for method in sorted(route.methods & {"GET", "POST"}):
                path = route.address({argument.name: f"{number:d}"})
                answer = siege.browser("alice").open(path, method=method, data=GOOD)
                assert answer.status_code == 404, (method, path[:80], answer.status)
                asked += 1
    assert asked > 6


def test_bodies_of_any_bytes(siege: Siege) -> None:
    broken = []
    bodies = [b"\xff\xfe\x00", b"email=%ff%fe&password=%00", b"email=\xff", b"--x\r\n", b"%", b"="]
    some_body, some_kinds = cycle(bodies), shares(nasty.HEADERS["Content-Type"], 3)
    for route in posting(siege.app):
        browser = siege.browser("alice")
        for kind in next(some_kinds):
            body = next(some_body)
            answer = browser.post(route.address(), data=body, content_type=kind)
            if is_ours(answer):
                broken.append(f"{route.rule} with {body!r} as {kind[:40]!r}: {answer.status}")
    assert broken == []


@pytest.mark.parametrize("name", ["guest", "alice", "owner"])
def test_files_where_text_belongs(siege: Siege, name: str) -> None:
    broken = []
    some_names = shares((NAMES, *([field] for field in NAMES[:5])), 3)
    for route in posting(siege.app, name):
        browser = siege.browser(name)
        for fields in next(some_names):
            files = {field: (BytesIO(b"\x00\xff"), "evil.svg") for field in fields}
            answer = browser.post(route.address(), data=GOOD | files)
            if is_ours(answer):
                broken.append(f"{route.rule} with files as {fields}: {answer.status}")
    assert broken == []


def test_cookies_of_any_bytes(siege: Siege) -> None:
    broken = []
    session = siege.app.config["SESSION_COOKIE_NAME"]
    cart = session.replace("session", "cart")
    for value in ("\xff\xfe", "x", "." * 50, "a.b.c", "=" * 9, "x" * 8000, '"', ".eJw.x.y", ""):
        for name in (session, cart, "remember_token", "\xff"):
            for path in ("/", "/cart", "/login", "/account", "/admin/"):
                browser = siege.browser("guest")
                answer = browser.get(path, headers={"Cookie": f"{name}={value}"})
                if is_ours(answer):
                    broken.append(f"{path} with {name!r}={value[:20]!r}: {answer.status}")
    assert broken == []


def test_headers_of_any_kind(siege: Siege) -> None:
    broken = []
    for name in ("guest", "alice"):
        browser = siege.browser(name)
        for header, values in nasty.HEADERS.items():
            for value in values:
                for path in ("/", "/login", "/account", "/no-such-page", "/static/css/app.css"):
                    answer = browser.get(path, headers={header: value})
                    if is_ours(answer):
                        broken.append(f"{path} with {header}: {value[:40]!r}: {answer.status}")
    assert broken == []


def test_markup_somebody_typed_is_shown_as_text(siege: Siege) -> None:
    """What members write about themselves reaches the back office as letters."""
    lure = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    bob = siege.browser("bob")
    assert bob.post("/account/profile", data={"name": lure}).status_code == 303
    where = {"name": lure[:90], "line1": lure, "city": lure, "postal_code": "1", "country": "GB"}
    bob.post("/account/addresses/new", data=where)
    contact = {"name": lure, "email": "bob@example.com", "subject": lure, "text": lure}
    siege.browser("guest").post("/contact", data=contact)
    headers = {"User-Agent": lure}
    fields = {"email": "bob@example.com", "password": PASSWORD}
    siege.browser("guest").post("/login", data=fields, headers=headers)
    for name in ("bob", "owner"):
        browser = siege.browser(name)
        for route in open_routes(siege.app):
            if "GET" in route.methods:
                answer = browser.get(route.address())
                if answer.mimetype == "text/html":
                    assert Page(answer.text).faults == [], (name, route.rule)
                    assert "<script>alert" not in answer.text, (name, route.rule)
