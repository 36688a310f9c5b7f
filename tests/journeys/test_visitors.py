"""What a visit leaves behind: for the shop its figures, for who asks not to be tracked nothing."""

import json
import re
import time
import uuid
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.journeys.conftest import Demo, wait_for_held, window
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.browser

NEVER_TRACK = {
    "DNT": "Object.defineProperty(navigator, 'doNotTrack', {get: () => '1'})",
    "Sec-GPC": "Object.defineProperty(navigator, 'globalPrivacyControl', {get: () => true})",
}
FACTS = "kind, path, label, ad_code, email_code, details, user_id"


def visitor_of(page: Page) -> str:
    kept = json.loads(page.evaluate("localStorage.getItem('visitor')"))
    return str(uuid.UUID(kept["id"]))


def wait_for_events(demo: Demo, page: Page, count: int) -> list[tuple[Any, ...]]:
    """Return what the shop knows of this browser once it knows ``count`` things or more."""
    visitor = visitor_of(page)
    deadline = time.monotonic() + PATIENCE_SECONDS
    query = f"SELECT {FACTS} FROM client_event WHERE visitor_id = %s ORDER BY at"
    while len(rows := demo.sql(query, visitor)) < count:
        assert time.monotonic() < deadline, rows
        page.wait_for_timeout(200)
    return rows


def test_pages_buttons_and_links_arrive_in_the_table(demo: Demo, page: Page) -> None:
    page.goto(f"{demo.web}/products")
    page.get_by_role("link", name="Classic Varsity Top").first.click()
    page.locator("form[action$='/cart/add'] label", has_text="Small").first.click()
    page.locator("form[action$='/cart/add'] button[type=submit]").last.click()
    expect(page).to_have_url(f"{demo.web}/cart")
    rows = wait_for_events(demo, page, 5)
    kinds = [(row[0], row[1]) for row in rows]
    product = kinds[2][1]
    assert product.startswith("/products/")
    assert kinds == [
        ("page_view", "/products"),
        ("link", "/products"),
        ("page_view", product),
        ("button", product),
        ("page_view", "/cart"),
    ]
    assert "Classic Varsity Top" in rows[1][2]
    assert rows[1][5] == {"to": product}
    assert rows[3][2] == "Add to cart"
    assert {row[6] for row in rows} == {None}


def test_a_visitor_stays_the_same_from_page_to_page(demo: Demo, page: Page) -> None:
    page.goto(demo.web)
    first = visitor_of(page)
    page.goto(f"{demo.web}/products")
    assert visitor_of(page) == first
    page.evaluate("localStorage.clear()")
    page.reload()
    assert visitor_of(page) != first


def test_no_word_of_a_form_is_reported(demo: Demo, page: Page) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.post_data or ""))
    page.goto(f"{demo.web}/contact?secret=in-the-query#and-in-the-fragment")
    page.get_by_label("Your name").fill("Alice Doe")
    page.get_by_label("Subject").fill("A private matter")
    page.get_by_label("Message").fill("Nobody else should read this.")
    page.get_by_label("Your name").click()
    page.get_by_role("link", name="Your cart").click()
    wait_for_events(demo, page, 3)
    events = [body for body in sent if '"events"' in body]
    assert events
    for word in ("Alice", "private", "Nobody", "secret", "fragment"):
        assert word not in "".join(events)


def test_the_key_in_an_address_is_not_kept(demo: Demo, page: Page) -> None:
    page.goto(f"{demo.web}/orders/status/this-is-no-good-key-but-it-could-be-one")
    rows = wait_for_events(demo, page, 1)
    assert rows[0][1] == "/orders/status/<token>"


def test_what_is_under_way_when_the_page_changes_arrives_all_the_same(
    demo: Demo, page: Page
) -> None:
    held: list[Route] = []
    page.route("**/events/token", lambda route: route.continue_() if held else held.append(route))
    page.goto(f"{demo.web}/products")
    wait_for_held(page, held, 1)
    page.goto(f"{demo.web}/cart")
    rows = wait_for_events(demo, page, 2)
    assert {"/products", "/cart"} <= {row[1] for row in rows}


def test_what_breaks_in_a_browser_is_told_once_and_five_times_a_page(
    demo: Demo, browser: Browser
) -> None:
    with window(browser) as page:
        page.goto(demo.web)
        page.evaluate(
            """() => {
                for (const message of ["one", "one", "two", "three", "four", "five", "six"]) {
                    setTimeout(() => { throw new Error(message); });
                }
                Promise.reject(new Error("promised"));
            }"""
        )
        page.wait_for_timeout(300)
        page.goto(f"{demo.web}/products")
        page.evaluate(
            "document.body.append(Object.assign(new Image(), {src: 'https://x.example/a.png'}))"
        )
        rows = wait_for_events(demo, page, 8)
        broken = [row for row in rows if row[0] == "script_error"]
        home = [row[2] for row in broken if row[1] == "/"]
        assert len(home) == len(set(home)) == 5
        assert any("one" in label for label in home)
        (refused,) = [row for row in broken if row[1] == "/products"]
        assert refused[2] == "CSP img-src: x.example"


@pytest.mark.parametrize("header", NEVER_TRACK)
def test_who_asks_not_to_be_tracked_sends_nothing(
    demo: Demo, browser: Browser, header: str
) -> None:
    before = demo.sql("SELECT count(*) FROM client_event WHERE ad_code = %s", header.lower())
    with window(browser, extra_http_headers={header: "1"}) as page:
        # An earlier visit, before the wish, left an id.
        page.goto(demo.web)
        page.evaluate(
            "localStorage.setItem('visitor', JSON.stringify({id: 'x', since: Date.now()}))"
        )
        page.context.add_init_script(NEVER_TRACK[header])
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{demo.web}/?ad={header.lower()}")
        page.get_by_role("link", name="Shop").first.click()
        page.wait_for_timeout(4000)
        page.goto(f"{demo.web}/cart")
        assert not [url for url in asked if "/events" in url.replace("/js/events.js", "")]
        assert page.evaluate("localStorage.length + sessionStorage.length") == 0
        after = demo.sql("SELECT count(*) FROM client_event WHERE ad_code = %s", header.lower())
        assert before == after == [(0,)]


@pytest.mark.parametrize("header", NEVER_TRACK)
def test_the_header_alone_is_enough(demo: Demo, browser: Browser, header: str) -> None:
    """A proxy may add what the browser's own scripts don't see."""
    with window(browser, extra_http_headers={header: "1"}) as page:
        with page.expect_response("**/events/token") as answered:
            page.goto(demo.web)
        assert answered.value.status == 204
        assert page.context.cookies() == []


def test_an_ad_leads_to_its_page_and_stays_on_what_follows(demo: Demo, page: Page) -> None:
    code = f"spring-{uuid.uuid4().hex[:8]}"
    demo.sql(
        "INSERT INTO ad (code, name, landing, active, created_at)"
        " VALUES (%s, 'Spring', '/products?tag=sale', true, now())",
        code,
    )
    page.goto(f"{demo.web}/a/{code.upper()}")
    expect(page).to_have_url(f"{demo.web}/products?tag=sale&ad={code}")
    page.goto(f"{demo.web}/?em=mail-7")
    page.goto(f"{demo.web}/cart")
    rows = wait_for_events(demo, page, 3)
    assert [row[1:2] + row[3:5] for row in rows] == [
        ("/products", code, None),
        ("/", code, "mail-7"),
        ("/cart", code, "mail-7"),
    ]
    page.evaluate(
        """() => {
            const codes = JSON.parse(localStorage.getItem("codes"));
            codes.ad.at -= 6 * 24 * 60 * 60 * 1000;
            localStorage.setItem("codes", JSON.stringify(codes));
        }"""
    )
    page.goto(f"{demo.web}/products")
    assert wait_for_events(demo, page, 4)[-1][3:5] == (None, "mail-7")


def test_a_login_ties_the_visitor_to_a_person_from_then_on(demo: Demo, page: Page) -> None:
    # The token of before the login is kept, and good for nothing after it.
    with page.expect_response("**/events/token"):
        page.goto(demo.web)
    visitor = visitor_of(page)
    page.goto(demo.ready["admin"]["url"])
    page.get_by_label("Email").fill(demo.ready["admin"]["email"])
    page.get_by_label("Password", exact=True).fill(demo.ready["admin"]["password"])
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page).to_have_url(re.compile("/admin"))
    page.goto(f"{demo.web}/products")
    rows = wait_for_events(demo, page, 4)
    assert visitor_of(page) == visitor
    owner = demo.sql('SELECT id FROM "user" WHERE email = %s', demo.ready["admin"]["email"].lower())
    assert rows[0][6] is None
    assert (rows[-1][1], rows[-1][6]) == ("/products", owner[0][0])


def test_a_message_reaches_the_shop_and_its_room(demo: Demo, page: Page) -> None:
    subject = f"The varsity top {uuid.uuid4().hex[:6]}"
    page.goto(demo.web)
    page.get_by_role("link", name="Contact").click()
    page.get_by_role("button", name="Send message").click()
    assert page.url == f"{demo.web}/contact"  # the browser itself asks for what is missing
    page.get_by_label("Your name").fill("Alice Doe")
    page.get_by_label("Your email").fill("alice@example.com")
    page.get_by_label("Subject").fill(subject)
    page.get_by_label("Message").fill(f"Is it warm?\n\nAbout {subject}")
    page.wait_for_timeout(3100)
    page.get_by_role("button", name="Send message").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your message is with us")
    (row,) = demo.sql("SELECT id, state, email FROM contact_message WHERE subject = %s", subject)
    assert row[1:] == ("new", "alice@example.com")
    support = demo.sql("SELECT support_email FROM shop")[0][0]
    mail = demo.wait_for_mail(support, subject)
    assert "Is it warm?" in mail["text"]
    assert f"/admin/contact/details/?id={row[0]}" in mail["text"]
    assert not [m for m in demo.mails("alice@example.com") if subject in m["subject"]]
