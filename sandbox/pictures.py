"""`./dev pictures`: the screenshots in the README, taken from a running demo of its own."""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from sandbox.ports import free_port
from sandbox.processes import ROOT, SandboxError

FOLDER = ROOT / "docs" / "pictures"
PHONE: ViewportSize = {"width": 390, "height": 844}
DESKTOP: ViewportSize = {"width": 1280, "height": 860}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
BUYER = {
    "email": "alice@example.com",
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


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("dev pictures: Chromium is needed and was not found on the PATH.")
    with tempfile.TemporaryDirectory() as folder:
        demo, ready = start_demo(Path(folder))
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
                take_all(browser, ready)
        finally:
            demo.terminate()
            demo.wait(60)


def start_demo(folder: Path) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
    file = folder / "ready.json"
    command = [sys.executable, "-m", "sandbox.demo", "--state", str(folder / "state")]
    demo = subprocess.Popen([*command, "--port", str(free_port()), "--ready", str(file)], cwd=ROOT)
    while not file.exists():
        if demo.poll() is not None:
            raise SandboxError("The demo didn't start.")
        time.sleep(0.2)
    ready: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return demo, ready


def take_all(browser: Browser, ready: dict[str, Any]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    shop = ready["web"]
    phone = browser.new_page(viewport=PHONE, device_scale_factor=2)
    take(phone, f"{shop}/products/classic-varsity-top", "product-phone")
    dark = browser.new_context(viewport=PHONE, device_scale_factor=2, color_scheme="dark")
    cart = dark.new_page()
    buy(cart, shop)
    desk = browser.new_page(viewport=DESKTOP)
    take(desk, f"{shop}/", "home")
    log_in(desk, ready["admin"])
    desk.goto(f"{shop}/admin/orders/")
    desk.get_by_role("link", name="1001").first.click()
    save(desk, "order")


def take(page: Page, url: str, name: str) -> None:
    page.goto(url)
    save(page, name)


def save(page: Page, name: str) -> None:
    page.wait_for_load_state("networkidle")
    page.screenshot(path=FOLDER / f"{name}.png")


def buy(page: Page, shop: str) -> None:
    """Fill a cart, show it, and pay."""
    for slug in ("classic-varsity-top", "yellow-wool-jumper"):
        page.goto(f"{shop}/products/{slug}")
        page.locator("form[action$='/cart/add'] button[type=submit]").last.click()
    take(page, f"{shop}/cart", "cart-phone-dark")
    page.locator("form[action$='/checkout'] button").click()
    for name, value in BUYER.items():
        page.locator(f"[name={name}]").fill(value)
    page.locator("button.pay, form button").last.click()
    page.wait_for_url("**/checkout/success**")


def log_in(page: Page, admin: dict[str, str]) -> None:
    page.goto(admin["url"])
    page.locator("[name=email]").fill(admin["email"])
    page.locator("[name=password]").fill(admin["password"])
    page.get_by_role("button", name="Sign in", exact=True).click()


if __name__ == "__main__":
    main()
