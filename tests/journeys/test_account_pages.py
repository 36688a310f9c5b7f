"""Somebody buys as a guest, opens an account, and finds everything of theirs in it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from sandbox.seed import STAFF_EMAIL
from tests.journeys.conftest import Demo, fill_in, window
from tests.waiting import eventually

pytestmark = [
    pytest.mark.browser,
    pytest.mark.usefixtures("patient"),
]

PASSWORD = "Quiet-Harbour-42"
SHIRT, TOP = "Ocean Blue Shirt", "Classic Varsity Top"


@pytest.fixture
def desk(browser: Browser) -> Iterator[Page]:
    """The same person at a desk: another browser, which knows nothing of the phone."""
    with window(browser, viewport={"width": 1280, "height": 900}) as page:
        yield page


def put_in_cart(page: Page, demo: Demo, title: str) -> None:
    page.goto(f"{demo.web}/products")
    page.get_by_role("link", name=title).first.click()
    option = page.locator("form[action$='/cart/add'] label.chip").first
    if option.count():
        option.click()
    page.locator("form[action$='/cart/add'] button[type=submit]").last.click()
    expect(page).to_have_url(f"{demo.web}/cart")


def buy_as_guest(page: Page, demo: Demo, email: str) -> str:
    """Return the number of the order."""
    put_in_cart(page, demo, TOP)
    page.get_by_role("button", name=re.compile(r"^Pay \$")).click()
    fill_in(page, email=email)
    page.get_by_role("button", name=re.compile(r"^Pay \$")).last.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Thank you")
    found = re.search(r"Order (\d+)", page.locator("main").inner_text())
    assert found
    return found.group(1)


def register(page: Page, demo: Demo, email: str) -> None:
    page.goto(f"{demo.web}/register")
    page.get_by_label("Email").fill(email)
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("input[name=name]").fill("Alice Doe")
    page.locator("input[name=agree]").check()
    page.get_by_role("button", name="Create account").click()
    expect(page).to_have_url(f"{demo.web}/account")
    expect(page.get_by_role("heading", level=1)).to_have_text("Hello, Alice Doe.")


def verify(page: Page, demo: Demo, email: str) -> None:
    mail = demo.wait_for_mail(email, "welcome")
    link = re.search(r"http://\S+/verify/\S+", mail["text"])
    assert link
    page.goto(link.group())
    page.get_by_role("button", name=re.compile("confirm", re.IGNORECASE)).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("confirmed")


def log_in(page: Page, demo: Demo, email: str) -> None:
    page.goto(f"{demo.web}/login")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name=re.compile("^(Sign|Log) in$")).click()


def test_a_guests_order_is_in_the_account_once_the_address_is_verified(
    demo: Demo, page: Page
) -> None:
    email = "alice.guest@example.com"
    number = buy_as_guest(page, demo, email)
    register(page, demo, email)
    expect(page.get_by_text("Is this address yours?")).to_be_visible()
    expect(page.get_by_text(f"Order {number}")).to_have_count(0)

    verify(page, demo, email)
    order = page.get_by_role("link", name=f"Order {number}")

    def is_there() -> bool:
        page.goto(f"{demo.web}/account/orders")
        return order.count() > 0

    eventually(is_there, "the order in the account")
    order.click()
    expect(page).to_have_url(f"{demo.web}/account/orders/{number}")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Order {number}")
    expect(page.get_by_text(TOP).first).to_be_visible()
    page.goto(f"{demo.web}/account")
    expect(page.get_by_text("Is this address yours?")).to_have_count(0)

    page.get_by_role("link", name="Activity").click()
    expect(page.get_by_text("Orders bought as a guest joined the account")).to_be_visible()


def test_a_cart_follows_its_member_from_the_phone_to_the_desk(
    demo: Demo, page: Page, desk: Page
) -> None:
    email = "bob.carts@example.com"
    put_in_cart(page, demo, TOP)
    register(page, demo, email)
    page.goto(f"{demo.web}/cart")
    expect(page.get_by_role("link", name=TOP)).to_be_visible()

    put_in_cart(desk, demo, SHIRT)
    log_in(desk, demo, email)
    desk.goto(f"{demo.web}/cart")
    for title in (TOP, SHIRT):
        expect(desk.get_by_role("link", name=title)).to_be_visible()
    page.reload()
    expect(page.get_by_role("link", name=SHIRT)).to_be_visible()

    desk.goto(f"{demo.web}/account")
    desk.get_by_role("button", name="Log out").click()
    desk.goto(f"{demo.web}/cart")
    expect(desk.get_by_role("heading", level=1)).to_have_text("Your cart is empty")


def test_addresses_and_mails_are_kept_as_chosen(demo: Demo, page: Page) -> None:
    email = "charlie.home@example.com"
    put_in_cart(page, demo, TOP)
    register(page, demo, email)
    verify(page, demo, email)

    page.goto(f"{demo.web}/account/addresses")
    page.get_by_role("link", name="Add an address").click()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Who is the parcel for?")).to_be_visible()
    page.get_by_label("Full name").fill("Charlie Doe")
    page.get_by_label("Street and number").fill("1 Seestrasse")
    page.get_by_label("Postal code").fill("8001")
    page.get_by_label("City").fill("Zürich")
    page.get_by_label("Country").select_option("CH")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("8001 Zürich")).to_be_visible()
    expect(page.get_by_text("Parcels go here")).to_be_visible()
    page.goto(f"{demo.web}/cart")
    expect(page.get_by_label("Deliver to")).to_have_value("CH")

    page.goto(f"{demo.web}/account/mail")
    offers = page.get_by_role("checkbox", name=re.compile("^Offers"))
    offers.check()
    page.get_by_role("button", name="Save").first.click()
    expect(offers).to_be_checked()
    expect(page.get_by_text("On since")).to_have_count(1)
    offers.uncheck()
    page.get_by_role("button", name="Save").first.click()
    expect(page.get_by_text("Off since")).to_have_count(1)

    page.goto(f"{demo.web}/account/addresses")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name=re.compile("^Remove")).click()
    expect(page.get_by_text("No addresses yet")).to_be_visible()


def test_new_terms_are_asked_for_before_the_account_and_never_in_the_shop(
    demo: Demo, page: Page, tmp_path: Path
) -> None:
    register(page, demo, "alice.terms@example.com")
    text = tmp_path / "terms.html"
    text.write_text("<h2>New rules</h2><p>Be kinder than before.</p>", encoding="utf-8")
    command = ["terms", "publish", "2026-02", str(text), "--by", STAFF_EMAIL]
    published = demo.flask(*command, "--summary", "Kinder than before.")
    assert published.returncode == 0, published.stderr

    page.goto(f"{demo.web}/products")
    expect(page).to_have_url(f"{demo.web}/products")
    page.goto(f"{demo.web}/account/orders")
    expect(page.get_by_text("Be kinder than before.")).to_be_visible()
    page.get_by_role("button", name="I agree").click()
    expect(page).to_have_url(f"{demo.web}/account/orders")

    page.goto(f"{demo.web}/terms")
    expect(page.get_by_text("Version 2026-02")).to_be_visible()
    page.get_by_role("link", name="Version 2026-01").click()
    expect(page.get_by_text("no longer in force")).to_be_visible()


def test_no_account_page_is_wider_than_the_screen(demo: Demo, page: Page) -> None:
    register(page, demo, "bob.wide@example.com")
    for path in ("", "/orders", "/addresses", "/addresses/new", "/profile", "/mail", "/activity"):
        page.goto(f"{demo.web}/account{path}")
        for width in (320, 390, 768, 1280):
            page.set_viewport_size({"width": width, "height": 844})
            wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert wide <= 0, (path, width)
            expect(page.get_by_role("navigation", name="Your account")).to_be_visible()
