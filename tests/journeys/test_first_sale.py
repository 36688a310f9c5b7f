"""The first evening: somebody buys on a phone, staff ships, every mail arrives."""

import json
import re

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import ROOT, Demo, fill_in

pytestmark = pytest.mark.browser

EMAIL = "alice@example.com"


def add(page: Page, demo: Demo, variant: str) -> None:
    page.goto(f"{demo.web}/products")
    page.get_by_role("link", name="Classic Varsity Top").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Classic Varsity Top")
    page.locator("form[action$='/cart/add'] label", has_text=variant).first.click()
    page.locator("form[action$='/cart/add'] button[type=submit]").last.click()
    expect(page).to_have_url(f"{demo.web}/cart")


def pay(page: Page, card: str) -> None:
    fill_in(page, email=EMAIL, card_number=card)
    page.get_by_role("button", name=re.compile(r"^Pay \$")).last.click()


def test_import_browse_buy_ship(demo: Demo, page: Page) -> None:
    again = demo.flask("catalog", "import", str(ROOT / "sandbox/data/shopify-apparel.csv"))
    assert again.returncode == 0, again.stderr

    page.goto(demo.web)
    expect(page).to_have_title(re.compile("Harbor & Thread"))
    add(page, demo, "Small")
    add(page, demo, "Large")
    quantity = page.locator("input[name^=quantity-]").first
    quantity.fill("2")
    quantity.press("Enter")
    expect(page.get_by_text("$180.00").first).to_be_visible()
    page.get_by_role("button", name=re.compile(r"^Pay \$185\.90")).click()

    expect(page.get_by_text("Classic Varsity Top (Small)")).to_be_visible()
    pay(page, "4000000000000002")
    expect(page.get_by_text("declined").first).to_be_visible()
    pay(page, "4242424242424242")
    page.wait_for_url("**/checkout/success**")
    expect(page.get_by_text("$185.90").first).to_be_visible()

    mail = demo.wait_for_mail(EMAIL, "order")
    number = re.search(r"\d{4,}", mail["subject"])
    assert number
    assert "$185.90" in mail["text"]
    assert "$185.90" in mail["html"]
    link = re.search(r"http://\S+/orders/status/\S+", mail["text"])
    assert link
    page.goto(link.group())
    expect(page.get_by_role("heading", level=1)).to_contain_text(number.group())

    ship(page, demo, number.group())
    shipped = demo.wait_for_mail(EMAIL, "way")
    assert "1Z999" in shipped["text"]
    page.goto(link.group())
    expect(page.get_by_text("1Z999").first).to_be_visible()
    assert len(demo.mails(EMAIL)) == 2

    doctor = demo.flask("doctor")
    assert json.loads(doctor.stdout)["healthy"], doctor.stdout


def ship(page: Page, demo: Demo, number: str) -> None:
    """Staff logs in, finds the order and sends it."""
    page.goto(demo.ready["admin"]["url"])
    page.get_by_label("Email").fill(demo.ready["admin"]["email"])
    page.get_by_label("Password", exact=True).fill(demo.ready["admin"]["password"])
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.goto(f"{demo.web}/admin/orders/?search={number}")
    page.get_by_role("link", name=re.compile(number)).first.click()
    page.locator("[name=carrier]").fill("UPS")
    page.locator("[name=tracking_number]").fill("1Z999")
    page.get_by_role("button", name=re.compile("^Ship")).click()
    expect(page.get_by_text("1Z999").first).to_be_visible()
