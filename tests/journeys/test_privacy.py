"""Taking one's data along, leaving, coming back, and leaving for good: on a phone, by mail."""

import io
import json
import re
import time
import uuid
import zipfile
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.journeys.conftest import Demo
from tests.waiting import eventually

pytestmark = pytest.mark.browser

PASSWORD = "Quiet-Harbour-42"


def register(page: Page, demo: Demo, email: str) -> None:
    page.goto(f"{demo.web}/register")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    agree = page.get_by_role("checkbox", name=re.compile("terms", re.IGNORECASE))
    if agree.count():
        agree.check()
    page.get_by_role("button", name=re.compile("^(Create|Open|Register)")).click()
    page.wait_for_url(f"{demo.web}/account")
    mail = demo.wait_for_mail(email, "Welcome")
    link = re.search(r"http://\S+/verify/\S+", mail["text"])
    assert link
    page.goto(link.group())
    page.get_by_role("button", name="Yes, confirm my address").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your address is confirmed")


def sign_in(page: Page, demo: Demo, email: str) -> None:
    page.goto(f"{demo.web}/login")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def close(page: Page, demo: Demo) -> None:
    page.goto(f"{demo.web}/account/data")
    page.get_by_role("link", name="Close my account").click()
    field = page.get_by_label("Type the word delete")
    field.fill("remove")
    page.get_by_role("button", name="Close my account").click()
    expect(page.get_by_text("to show that you mean it")).to_be_visible()
    field.fill("delete")
    page.get_by_role("button", name="Close my account").click()
    expect(page.get_by_text("Until then you can log in and keep it")).to_be_visible()
    page.goto(f"{demo.web}/account")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def download(page: Page, path: Path) -> dict[str, Any]:
    with page.expect_download() as waiting:
        page.get_by_role("link", name=re.compile("^Download")).click()
    waiting.value.save_as(path)
    assert re.fullmatch(r"my-data-\d{4}-\d\d-\d\d\.zip", waiting.value.suggested_filename)
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        assert "profile.json" in archive.read("README.txt").decode()
        found: dict[str, Any] = json.loads(archive.read("profile.json"))
    return found


def test_a_copy_and_goodbye(demo: Demo, page: Page, tmp_path: Path) -> None:
    email = f"charlie-{uuid.uuid4().hex[:8]}@example.com"
    register(page, demo, email)
    user = demo.sql('SELECT id FROM "user" WHERE email = %s', email)[0][0]

    page.goto(f"{demo.web}/account/data")
    page.get_by_role("button", name="Ask for a copy").click()
    expect(page.get_by_text("Your copy is being made")).to_be_visible()
    mail = demo.wait_for_mail(email, "copy of your data")
    link = re.search(r"http://\S+/export/\S+", mail["text"])
    assert link
    page.reload()
    assert download(page, tmp_path / "copy.zip")["account"]["email"] == email
    # Whoever has the mail but not the account gets nothing.
    stranger = requests.get(link.group(), timeout=60, allow_redirects=False)
    assert "/login" in stranger.headers["Location"]

    close(page, demo)
    closing = demo.wait_for_mail(email, "will be erased on")
    assert f"{demo.web}/login" in closing["text"]
    sign_in(page, demo, email)
    page.wait_for_url(f"{demo.web}/account")
    page.get_by_role("button", name="Keep my account").click()
    expect(page.get_by_text("Your account stays open")).to_be_visible()
    expect(page.get_by_role("button", name="Keep my account")).to_have_count(0)
    demo.wait_for_mail(email, "stays open")

    close(page, demo)
    demo.sql("UPDATE \"user\" SET erase_after = now() - interval '1 minute' WHERE id = %s", user)
    demo.call("jobs.privacy.erase_due")
    demo.wait_for_mail(email, "being erased")
    wait_until_erased(demo, user)
    sign_in(page, demo, email)
    refusal = page.locator(".notice.bad").inner_text()
    sign_in(page, demo, "nobody-at-all@example.com")
    assert page.locator(".notice.bad").inner_text() == refusal
    assert demo.sql('SELECT count(*) FROM "user" WHERE email = %s', email) == [(0,)]
    assert demo.sql("SELECT count(*) FROM mail WHERE recipient = %s", email) == [(0,)]


def wait_until_erased(demo: Demo, user: object) -> None:
    """The clock rings another round once the last mail is sent; here it is rung by hand."""

    def look() -> list[tuple[Any, ...]]:
        demo.call("jobs.privacy.erase_due")
        time.sleep(2)
        return demo.sql("SELECT 1 FROM erasure WHERE user_id = %s", user)

    eventually(look, "the erasure")
