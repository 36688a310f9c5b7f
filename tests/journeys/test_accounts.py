"""An account's life on a phone: every mail is read in the mailbox it was sent to."""

import re
import uuid

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import Demo

pytestmark = pytest.mark.browser

FIRST = "Quiet-Harbour-42"
SECOND = "Louder-Harbour-43"
THIRD = "Distant-Harbour-44"


def link_in(demo: Demo, to: str, subject: str, start: str) -> str:
    mail = demo.wait_for_mail(to, subject)
    found = re.search(rf"{re.escape(demo.web)}{start}\S+", mail["text"])
    assert found, mail["text"]
    return found.group()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


def sign_out(page: Page) -> None:
    press(page, "Log out")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def sign_in(page: Page, demo: Demo, email: str, password: str) -> None:
    page.goto(f"{demo.web}/login")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_label("Keep me signed in").check()
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(f"{demo.web}/account")


def test_the_life_of_an_account(demo: Demo, page: Page) -> None:
    name = uuid.uuid4().hex[:8]
    old, new = f"bob-{name}@example.com", f"bob-{name}@new.example.com"
    register(page, demo, old)

    page.goto(link_in(demo, old, "Welcome", "/verify/"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Is this your address?")
    press(page, "Yes, confirm my address")
    expect(page.get_by_role("heading", level=1)).to_have_text("Your address is confirmed")
    page.get_by_role("link", name="Go to your account").click()
    sign_out(page)
    sign_in(page, demo, old, FIRST)
    session = [each for each in page.context.cookies() if each["name"].endswith("_session")]
    assert session[0]["expires"] > 0
    sign_out(page)

    page.get_by_role("link", name="Forgot your password?").click()
    page.get_by_label("Email").fill(old)
    press(page, "Send me a link")
    expect(page.get_by_text("is on its way")).to_be_visible()
    page.goto(link_in(demo, old, "Choose a new password", "/password/reset/"))
    page.get_by_label("New password").fill(SECOND)
    expect(page.locator("[data-rule=common]")).to_have_attribute("data-met", "yes")
    press(page, "Set the password and sign in")
    page.wait_for_url(f"{demo.web}/account")
    expect(page.get_by_text("Your password is changed.")).to_be_visible()

    page.goto(f"{demo.web}/account/password")
    page.get_by_label("Current password").fill(SECOND)
    page.get_by_label("New password").fill(THIRD)
    press(page, "Save the password")
    page.wait_for_url(f"{demo.web}/account/security")
    changed = [each for each in demo.mails(old) if "was changed" in each["subject"]]
    assert changed or demo.wait_for_mail(old, "Your password was changed")

    change_email(page, demo, old, new)
    sign_in(page, demo, new, THIRD)


def register(page: Page, demo: Demo, email: str) -> None:
    page.goto(f"{demo.web}/login")
    page.get_by_role("link", name="Create an account").click()
    page.get_by_label("Email").fill(email)
    password = page.get_by_label("Password", exact=True)
    password.press_sequentially("Password-123")
    expect(page.locator("[data-rule=length]")).to_have_attribute("data-met", "yes")
    expect(page.locator("[data-rule=common]")).to_have_attribute("data-met", "no")
    password.fill(FIRST)
    expect(page.locator("[data-rule=common]")).to_have_attribute("data-met", "yes")
    page.get_by_label("Name").fill("Bob Doe")
    agree = page.get_by_label("I agree to the terms")
    if agree.count():
        agree.check()
    expect(page.get_by_label("Send me the newsletter")).not_to_be_checked()
    press(page, "Create account")
    page.wait_for_url(f"{demo.web}/account")
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390


def change_email(page: Page, demo: Demo, old: str, new: str) -> None:
    page.goto(f"{demo.web}/account/email")
    page.get_by_label("New email").fill(new)
    press(page, "Change the address")
    expect(page.get_by_role("heading", name=f"On its way to {new}")).to_be_visible()
    page.goto(link_in(demo, new, "Confirm your new address", "/email-change/"))
    press(page, "Yes, use my address")
    expect(page.get_by_role("heading", level=1)).to_have_text("Thank you")
    page.goto(link_in(demo, old, "please confirm", "/email-change/"))
    press(page, "Yes, change the address")
    expect(page.get_by_role("heading", level=1)).to_have_text("The address is changed")
    assert "another address" in demo.wait_for_mail(old, "Your address was changed")["text"]
    page.get_by_role("link", name="Go to your account").click()
    sign_out(page)
