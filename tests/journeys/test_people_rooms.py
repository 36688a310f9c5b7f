"""The owner's people: one is hired and promoted, one is answered, all are asked to agree."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import Demo, menu

pytestmark = pytest.mark.browser

PASSWORD = "Quiet-Harbour-42"
CHARLIE = "charlie.staff@example.com"
BOB = "bob.asks@example.com"


def hire(owner: Page, email: str, role: str) -> None:
    menu(owner, "Staff and roles")
    owner.get_by_role("link", name="Add a member of staff").click()
    owner.get_by_label("Email").fill(email)
    owner.get_by_label("Role").select_option(role)
    owner.get_by_role("button", name="Save").click()
    expect(owner.get_by_role("status")).to_contain_text(f"{email} is added.")


def test_somebody_is_hired_and_promoted(demo: Demo, owner: Page, page: Page) -> None:
    hire(owner, CHARLIE, "staff")
    assert "as staff" in demo.wait_for_mail(CHARLIE, "You work at")["text"]
    reset = re.search(r"http://\S+/password/reset/\S+", demo.wait_for_mail(CHARLIE, "pass")["text"])
    assert reset

    page.goto(reset.group())
    page.locator("input[name=password]").fill(PASSWORD)
    page.get_by_role("button", name="Set the password and sign in").click()
    page.wait_for_url(re.compile(r"^(?!.*/password/)"))
    page.goto(f"{demo.web}/admin/")
    page.get_by_role("button", name="I agree").click()
    page.wait_for_url(f"{demo.web}/admin/")
    page.locator(".side-toggle input").check()
    rooms = page.get_by_role("navigation", name="Back office")
    expect(rooms.get_by_role("link", name="Members")).to_be_visible()
    expect(rooms.get_by_role("link", name="Audit")).to_have_count(0)
    page.goto(f"{demo.web}/admin/audit/")
    expect(page.get_by_text("You may not do this")).to_be_visible()

    menu(owner, "Staff and roles")
    owner.get_by_role("link", name=CHARLIE).click()
    owner.get_by_label("Works here as").select_option("admin")
    owner.get_by_role("button", name="Change the role").click()
    expect(owner.get_by_role("status")).to_contain_text(f"{CHARLIE} is admin now")
    owner.get_by_role("link", name="Everything in the audit").click()
    row = owner.get_by_role("row", name=re.compile("Staff role changed"))
    expect(row.get_by_role("link", name=demo.ready["admin"]["email"])).to_be_visible()
    row.get_by_role("link").first.click()
    expect(owner.get_by_text('"before": "staff"')).to_be_visible()

    page.goto(f"{demo.web}/admin/")
    expect(page).to_have_url(re.compile("/login"))


def test_a_visitor_is_answered(demo: Demo, owner: Page, page: Page) -> None:
    page.goto(f"{demo.web}/contact")
    page.get_by_label("Name").fill("Bob")
    page.get_by_label("Email").fill(BOB)
    page.get_by_label("Subject").fill("Do you sell hats?")
    page.locator("textarea").fill("I am looking for a blue one.")
    page.wait_for_timeout(3_500)
    page.get_by_role("button", name="Send message").click()
    page.wait_for_url(f"{demo.web}/contact/sent")

    menu(owner, "Messages")
    owner.get_by_role("link", name="Do you sell hats?").click()
    expect(owner.get_by_text("I am looking for a blue one.")).to_be_visible()
    owner.get_by_label("Your answer").fill("We do, in blue and in green.")
    owner.get_by_role("button", name="Send the answer").click()
    expect(owner.get_by_role("status")).to_contain_text(f"Your answer goes to {BOB}")
    expect(owner.locator("h1 + .pill")).to_have_text("Answered")
    mail = demo.wait_for_mail(BOB, "Re: Do you sell hats?")
    assert "We do, in blue and in green." in mail["text"]

    owner.get_by_role("link", name="All that is known of them").click()
    owner.get_by_label("New note").fill("Likes blue.")
    owner.get_by_role("button", name="Add the note").click()
    expect(owner.locator(".remark", has_text="Likes blue.")).to_be_visible()


def test_new_terms_come_in_force(demo: Demo, owner: Page, page: Page) -> None:
    menu(owner, "Terms of use")
    owner.get_by_role("link", name="Add a version").click()
    owner.get_by_label("Version").fill("2027-01")
    owner.get_by_label("What is new").fill("Hats are covered too.")
    owner.get_by_label("Text").fill("<h2>Hats</h2><p>Wear them well.</p>")
    owner.get_by_role("button", name="Save").click()
    expect(owner.get_by_text("Nobody sees it yet")).to_be_visible()
    expect(owner.get_by_role("heading", name="Hats")).to_be_visible()
    page.goto(f"{demo.web}/terms")
    expect(page.get_by_text("Wear them well.")).to_have_count(0)

    owner.get_by_role("button", name="Publish").click()
    expect(owner.get_by_role("status")).to_contain_text("2027-01 is in force")
    expect(owner.get_by_role("link", name="Edit")).to_have_count(0)
    page.goto(f"{demo.web}/terms")
    expect(page.get_by_text("Wear them well.")).to_be_visible()
