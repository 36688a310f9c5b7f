"""The running demo and a real browser, for tests that walk through the business like a person."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright
from redis import Redis

from sandbox.ports import free_port
from tests.waiting import PATIENCE_SECONDS, eventually
from webapp.core.clock import write_offset

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_SECONDS = 600
# Each look costs a connection, and the demo needs the processor.
PAUSE = 0.1
CALL = """
INSERT INTO job (path, args, queue, state, attempts, max_attempts, run_at, deadline_at, created_at)
VALUES (%s, '[]', 'critical', 'queued', 0, 8, now(), now(), now())
"""
expect.set_options(timeout=PATIENCE_SECONDS * 1000)
# What a payment at Stripe asks for.
PAYING = {
    "phone": "+12025550123",
    "name": "Alice Doe",
    "line1": "1 Main Street",
    "city": "Springfield",
    "state": "IL",
    "postal_code": "62701",
    "card_number": "4242424242424242",
    "expiry": "12/34",
    "cvc": "123",
}


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo: its ready file and what a test reads from its neighbours."""

    ready: dict[str, Any]
    state: Path

    @property
    def web(self) -> str:
        return str(self.ready["web"])

    @property
    def clock_file(self) -> Path:
        return clock_file(self.state)

    def go_to(self, moment: datetime) -> None:
        """Move the shop's clock, then Stripe's; return once Stripe has told all that happened."""
        write_offset(self.clock_file, moment - datetime.now(UTC))
        self.control("clock", now=moment.timestamp())
        assert self.control("deliveries/wait", timeout=PATIENCE_SECONDS)["idle"]

    def come_back(self) -> None:
        """Set both clocks right again."""
        write_offset(self.clock_file, timedelta())
        self.control("clock", reset=True)

    def control(self, path: str, **body: object) -> dict[str, Any]:
        """Ask Stripe's stand-in for what no Stripe offers."""
        url = f"{self.ready['stripe']}/_sandbox/{path}"
        answer = requests.post(url, json=body, timeout=PATIENCE_SECONDS * 2)
        assert answer.ok, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def mails(self, to: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = requests.get(
            f"{self.ready['mailbox']}/api/messages", params={"to": to}, timeout=60
        ).json()
        return found

    def wait_for_mail(self, to: str, subject: str) -> dict[str, Any]:
        """Return the first mail whose subject contains ``subject``, waiting for the worker."""

        def look() -> dict[str, Any] | None:
            about = [mail for mail in self.mails(to) if subject.lower() in mail["subject"].lower()]
            return about[0] if about else None

        return eventually(look, f"a mail about {subject!r}", pause=PAUSE)

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement on the shop's own database."""
        url = str(self.ready["database_url"]).replace("+psycopg", "")
        with psycopg.connect(url) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def wait_until(self, question: str, *values: object) -> None:
        """Return as soon as the database says yes."""
        eventually(lambda: self.sql(question, *values)[0][0], question, pause=PAUSE)

    def call(self, path: str) -> None:
        """Have the worker do now what the clock would call for later."""
        self.sql(CALL, path)

    def flask(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the app on the demo's own settings."""
        settings = dict(
            line.split("=", 1) for line in (self.state / "demo.env").read_text().splitlines()
        )
        plain = {name: value.strip("'") for name, value in settings.items()}
        return subprocess.run(
            [sys.executable, "-m", "flask", "--app", "wsgi", *command],
            cwd=ROOT,
            env=os.environ | plain | {"CLOCK_OFFSET_FILE": str(self.clock_file)},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS * 2,
            check=False,
        )


@contextmanager
def demo_on(state: Path, settings: Mapping[str, str]) -> Iterator[Demo]:
    """The whole business on a fresh state, as ``./dev demo`` starts it."""
    ready, log = state / "ready.json", state / "output.txt"
    command = [sys.executable, "-m", "sandbox.demo", "--state", str(state / "state")]
    command += ["--port", str(free_port(None)), "--ready", str(ready)]

    def is_ready() -> bool:
        assert process.poll() is None, log.read_text()
        return ready.exists()

    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | settings, stdout=output, stderr=output
        )
    try:
        eventually(is_ready, "the demo's ready file", START_SECONDS, PAUSE)
        yield Demo(json.loads(ready.read_text()), state / "state")
    finally:
        process.terminate()
        process.wait(300)


def clock_file(state: Path) -> Path:
    """Return the file that says how far ahead of the real time the shop's processes are."""
    return state / "clock-offset"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    state = tmp_path_factory.mktemp("demo")
    with demo_on(state, {"CLOCK_OFFSET_FILE": str(clock_file(state / "state"))}) as demo:
        yield demo


def fill_in(page: Page, **typed: str) -> None:
    """Fill in Stripe's page: what is ``typed``, and for the rest a good card and an address."""
    for name, value in (PAYING | typed).items():
        page.locator(f"[name={name}]").fill(value)


@pytest.fixture
def patient(demo: Demo) -> None:
    """All journeys come from one address: forget how often it has tried."""
    with Redis.from_url(demo.ready["redis_url"]) as redis:
        for key in redis.scan_iter("*limit*"):
            redis.delete(key)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def window(browser: Browser, **options: Any) -> Iterator[Page]:
    """Somebody's own browser: its cookies are nobody else's."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE_SECONDS * 1000)
    try:
        yield context.new_page()
    finally:
        context.close()


def watch(page: Page) -> list[str]:
    """Return a list that script errors and broken rules of the CSP will be in."""
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console",
        lambda message: (
            wrong.append(message.text)
            if message.type == "error" and "Content Security Policy" in message.text
            else None
        ),
    )
    return wrong


def wait_for_held(page: Page, held: list[Route], count: int) -> None:
    """Wait until ``count`` of the page's questions are held back."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(held) < count:
        assert time.monotonic() < deadline, f"{len(held)} questions, not {count}"
        page.wait_for_timeout(50)


@pytest.fixture
def desk(browser: Browser) -> Iterator[Page]:
    """A computer in the office, which says yes whenever it is asked whether it is sure."""
    with window(browser, viewport={"width": 1280, "height": 800}) as page:
        page.on("dialog", lambda dialog: dialog.accept())
        wrong = watch(page)
        yield page
    assert wrong == []


@pytest.fixture
def owner(desk: Page, demo: Demo) -> Page:
    sign_in(desk, demo, demo.ready["admin"]["email"], demo.ready["admin"]["password"])
    return desk


def sign_in(page: Page, demo: Demo, email: str, password: str) -> None:
    page.goto(f"{demo.web}/login?next=/admin/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(f"{demo.web}/admin/")


def menu(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Back office").get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A phone in a shopper's hand; any script error or broken rule of the CSP fails the test."""
    with window(browser, viewport={"width": 390, "height": 844}) as page:
        wrong = watch(page)
        yield page
    assert wrong == []
