"""Passkeys, codes and recovery codes as a person uses them: on a phone, with its screen lock."""

import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pyotp
import pytest
from playwright.sync_api import CDPSession, Page, Route, expect

from tests.journeys.conftest import Demo, wait_for_held
from tests.waiting import eventually

pytestmark = [
    pytest.mark.browser,
    pytest.mark.usefixtures("patient"),
]

PASSWORD = "Quiet-Harbour-42"
PHONE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
}


@dataclass
class Devices:
    """The authenticator at hand; one can be laid away and another taken."""

    cdp: CDPSession
    name: str = ""

    def take(self, known: list[dict[str, Any]] | None = None, **changes: object) -> None:
        options = {"options": PHONE | changes}
        self.name = self.cdp.send("WebAuthn.addVirtualAuthenticator", options)["authenticatorId"]
        for credential in known or []:
            given = {"authenticatorId": self.name, "credential": credential}
            self.cdp.send("WebAuthn.addCredential", given)

    def lay_away(self) -> list[dict[str, Any]]:
        named = {"authenticatorId": self.name}
        kept: list[dict[str, Any]] = self.cdp.send("WebAuthn.getCredentials", named)["credentials"]
        self.cdp.send("WebAuthn.removeVirtualAuthenticator", named)
        return kept

    def touch(self, is_there: bool) -> None:
        """Say whether a finger is on the sensor when somebody asks."""
        told = {"authenticatorId": self.name, "enabled": is_there}
        self.cdp.send("WebAuthn.setAutomaticPresenceSimulation", told)

    def recognise(self, verified: bool) -> None:
        """Say whether the finger on the sensor is the owner's."""
        told = {"authenticatorId": self.name, "isUserVerified": verified}
        self.cdp.send("WebAuthn.setUserVerified", told)


@pytest.fixture
def devices(page: Page) -> Devices:
    page.on("dialog", lambda dialog: dialog.accept())
    cdp = page.context.new_cdp_session(page)
    cdp.send("WebAuthn.enable")
    return Devices(cdp)


def link_in_mail(demo: Demo, to: str, part: str) -> str:
    def look() -> str | None:
        texts = "\n".join(mail["text"] for mail in demo.mails(to))
        found = re.search(rf"http://\S+{part}\S+", texts)
        return found.group() if found else None

    return eventually(look, f"a mail with {part}", pause=0.1)


def register(page: Page, demo: Demo) -> str:
    """Open an account whose address is confirmed; returns the address."""
    email = f"alice-{uuid.uuid4().hex[:8]}@example.com"
    page.goto(f"{demo.web}/register")
    page.get_by_label("Email", exact=True).fill(email)
    page.locator("input[name=password]").fill(PASSWORD)
    agree = page.locator("input[name=agree]")
    if agree.count():
        agree.check()
    page.get_by_role("button", name="Create account").click()
    page.wait_for_url(re.compile(r"/account"))
    page.goto(link_in_mail(demo, email, "/verify/"))
    page.locator("main form button").first.click()
    return email


def log_out(page: Page, demo: Demo) -> None:
    page.goto(f"{demo.web}/account/security")
    if "/login" not in page.url:
        page.get_by_role("button", name="Log out", exact=True).first.click()
    expect(page).to_have_url(re.compile("/login"))


def log_in_by_passkey(page: Page, demo: Demo, devices: Devices) -> None:
    """Press the button; before, the field of the address only offers the passkey."""
    devices.touch(False)
    page.goto(f"{demo.web}/login?next=/account/security")
    page.wait_for_load_state("networkidle")
    expect(page).to_have_url(re.compile("/login"))
    devices.touch(True)
    page.get_by_role("button", name="Sign in with a passkey").click()


def log_in(page: Page, demo: Demo, email: str) -> None:
    page.goto(f"{demo.web}/login?next=/account/security")
    page.get_by_label("Email", exact=True).fill(email)
    page.locator("input[name=password]").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def add_passkey(page: Page, name: str) -> None:
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Make the passkey").click()


def row(page: Page, name: str) -> Any:
    return page.locator("ul.entries > li", has=page.get_by_text(name, exact=True))


def register_with_passkey(page: Page, demo: Demo, devices: Devices) -> None:
    """Open an account that has one passkey, made on the phone at hand."""
    devices.take()
    register(page, demo)
    page.goto(f"{demo.web}/account/security")
    add_passkey(page, "My phone")
    expect(row(page, "My phone")).to_be_visible()


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_two_passkeys_one_removed_and_in_with_the_other(
    demo: Demo, page: Page, devices: Devices
) -> None:
    devices.take()
    email = register(page, demo)
    page.goto(f"{demo.web}/account/security")
    assert fits(page)
    add_passkey(page, "My phone")
    expect(row(page, "My phone")).to_be_visible()
    told = demo.wait_for_mail(email, "passkey was added")
    assert f"{demo.web}/account/security" in told["text"]

    add_passkey(page, "Again")
    expect(page.get_by_role("alert")).to_contain_text("keeps a passkey for your account already")
    phone = devices.lay_away()
    devices.take()
    page.get_by_role("button", name="Make the passkey").click()
    expect(row(page, "Again")).to_be_visible()
    row(page, "Again").get_by_text("Rename").click()
    page.get_by_label("New name of Again").fill("Work laptop")
    row(page, "Again").get_by_role("button", name="Save").click()
    expect(row(page, "Work laptop")).to_be_visible()
    row(page, "My phone").get_by_role("button", name="Remove").click()
    expect(page.get_by_text("The passkey is removed.")).to_be_visible()
    assert fits(page)

    devices.touch(False)
    log_out(page, demo)
    log_in_by_passkey(page, demo, devices)
    expect(page).to_have_url(f"{demo.web}/account/security")
    expect(page.get_by_text("by passkey")).to_be_visible()

    devices.lay_away()
    devices.take(phone)
    devices.touch(False)
    log_out(page, demo)
    log_in_by_passkey(page, demo, devices)
    expect(page.get_by_role("alert")).to_contain_text("That passkey could not be used here.")
    expect(page).to_have_url(re.compile("/login"))


def test_a_button_pressed_before_the_fields_offer_is_ready_goes_first(
    demo: Demo, page: Page, devices: Devices
) -> None:
    devices.take()
    register(page, demo)
    page.goto(f"{demo.web}/account/security")
    add_passkey(page, "My phone")
    expect(row(page, "My phone")).to_be_visible()
    devices.touch(False)
    log_out(page, demo)

    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.goto("about:blank")  # The page one logs out to asks as well.
    page.route("**/login/passkey/options", hold)
    page.goto(f"{demo.web}/login?next=/account/security")
    wait_for_held(page, held, 1)
    page.get_by_role("button", name="Sign in with a passkey").click()
    wait_for_held(page, held, 2)
    field, button = held
    field.continue_()
    page.wait_for_timeout(500)
    devices.touch(True)
    button.continue_()
    expect(page).to_have_url(f"{demo.web}/account/security")


def test_a_finger_that_is_not_the_owners_opens_nothing(
    demo: Demo, page: Page, devices: Devices
) -> None:
    register_with_passkey(page, demo, devices)
    devices.recognise(False)
    devices.touch(False)
    log_out(page, demo)
    log_in_by_passkey(page, demo, devices)
    expect(page.get_by_role("alert")).to_contain_text("cancelled or took too long")
    expect(page).to_have_url(re.compile("/login"))


def test_the_field_of_the_address_offers_the_passkey(
    demo: Demo, page: Page, devices: Devices
) -> None:
    register_with_passkey(page, demo, devices)
    page.context.clear_cookies()
    # The virtual phone takes the offer at once.
    page.goto(f"{demo.web}/login?next=/account/security")
    expect(page).to_have_url(f"{demo.web}/account/security")
    expect(page.get_by_text("by passkey")).to_be_visible()


def test_an_authenticator_app_and_a_recovery_code(demo: Demo, page: Page, devices: Devices) -> None:
    email = register(page, demo)
    page.goto(f"{demo.web}/account/security")
    page.get_by_role("button", name="Set up an authenticator app").click()
    assert page.locator("img.qr").evaluate("image => image.naturalWidth") > 100
    key = page.locator("code.key").inner_text().replace(" ", "")
    app = pyotp.TOTP(key)
    assert fits(page)
    page.get_by_label("Code").fill("000000")
    page.get_by_role("button", name="Switch it on").click()
    expect(page.get_by_text("That code is not right")).to_be_visible()
    shown = app.now()
    page.get_by_label("Code").fill(shown)
    page.get_by_role("button", name="Switch it on").click()
    expect(page.locator(".codes li")).to_have_count(10)
    codes = page.locator(".codes code").all_inner_texts()
    assert fits(page)
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("10 of 10 left")).to_be_visible()
    demo.wait_for_mail(email, "locks of your account")

    for inside in (False, True):
        log_out(page, demo)
        log_in(page, demo, email)
        expect(page.get_by_role("heading", name="One more step")).to_be_visible()
        assert fits(page)
        page.get_by_label("Code").fill(app.at(time.time() + 30) if inside else shown)
        page.get_by_role("button", name="Go on").click()
        if inside:
            expect(page).to_have_url(f"{demo.web}/account/security")
        else:
            expect(page.get_by_text("or was used before")).to_be_visible()

    for inside in (True, False):
        log_out(page, demo)
        log_in(page, demo, email)
        page.get_by_label("Code").fill(codes[0].lower())
        page.get_by_role("button", name="Go on").click()
        if inside:
            expect(page.get_by_text("You used a recovery code")).to_be_visible()
            told = demo.wait_for_mail(email, "recovery code was used")
            assert "You have 9 left." in told["text"]
        else:
            expect(page.get_by_text("or was used before")).to_be_visible()


@contextmanager
def careful_shop(demo: Demo) -> Iterator[None]:
    """Let the shop ask its staff for a second factor meanwhile."""
    url = str(demo.ready["database_url"]).replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE shop SET staff_second_factor = true")
        try:
            yield
        finally:
            connection.execute("UPDATE shop SET staff_second_factor = false")


def test_staff_of_a_careful_shop_need_a_second_factor(
    demo: Demo, page: Page, devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices.take()
    email = f"bob-{uuid.uuid4().hex[:8]}@example.com"
    monkeypatch.setitem(os.environ, "BOBS_PASSWORD", PASSWORD)
    made = demo.flask(
        "staff", "create", email, "--role", "viewer", "--password-env", "BOBS_PASSWORD"
    )
    assert made.returncode == 0, made.stderr
    with careful_shop(demo):
        log_in(page, demo, email)
        page.goto(f"{demo.web}/admin/")
        expect(page).to_have_url(f"{demo.web}/account/security")
        expect(page.get_by_text("A second factor, please.")).to_be_visible()
        add_passkey(page, "Desk")
        page.get_by_role("button", name="Show me my codes").click()
        expect(page.locator(".codes li")).to_have_count(10)
        page.goto(f"{demo.web}/admin/")
        if "/account/terms" in page.url:
            page.get_by_role("button", name=re.compile("agree")).click()
        expect(page).to_have_url(f"{demo.web}/admin/")

        devices.touch(False)
        log_out(page, demo)
        log_in(page, demo, email)
        expect(page.get_by_role("heading", name="One more step")).to_be_visible()
        page.goto(f"{demo.web}/admin/")
        expect(page).to_have_url(re.compile("/login"))
        page.goto(f"{demo.web}/login/second-step")
        devices.touch(True)
        page.get_by_role("button", name="Use a passkey").click()
        expect(page).to_have_url(f"{demo.web}/account/security")
        page.goto(f"{demo.web}/admin/")
        expect(page).to_have_url(f"{demo.web}/admin/")
