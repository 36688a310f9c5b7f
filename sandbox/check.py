"""`./dev demo --check`: makes one sale as a visitor would, and tells what it saw on the way."""

import contextlib
import csv
import io
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import requests

from sandbox.addresses import Addresses
from sandbox.browser import Browser, NotThereError, Page
from sandbox.processes import ROOT
from sandbox.seed import FORKS
from sandbox.stack import Stack

BUYER = {
    "email": "visitor@example.org",
    "name": "Vera Visitor",
    "line1": "1 Market Street",
    "city": "San Francisco",
    "state": "CA",
    "postal_code": "94105",
    "country": "US",
    "phone": "+14155550100",
    "expiry": "12/34",
    "cvc": "123",
}
GOOD_CARD = "4242424242424242"
DECLINED_CARD = "4000000000000002"
PATIENCE_SECONDS = 120
Seen = TypeVar("Seen")


class MissedError(Exception):
    """What should have been seen and wasn't."""


def check_sale(stack: Stack, addresses: Addresses) -> bool:
    """Run every look in order; the first that fails ends it. True if all of it held."""
    sale = Sale(stack, addresses)
    looks: list[Callable[[], str]] = [
        sale.see_catalogues,
        sale.browse,
        sale.fill_cart,
        sale.go_to_stripe,
        sale.be_declined,
        sale.pay,
        sale.see_webhook,
        sale.see_fulfilment,
        sale.read_mail,
        sale.follow_link,
        sale.ask_doctor,
    ]
    for look in looks:
        name = look.__name__.replace("_", " ").capitalize()
        began = time.monotonic()
        try:
            saw = look()
        except (MissedError, NotThereError, requests.RequestException) as error:
            stack.steps.say(f"  x {name:18} {error}")
            return False
        stack.steps.say(f"  + {name:18} {time.monotonic() - began:5.1f} s  {saw}")
    stack.steps.say("\n  All of it holds.")
    return True


class Sale:
    """One visitor's way from the home page to the mail."""

    def __init__(self, stack: Stack, addresses: Addresses) -> None:
        self.stack = stack
        self.addresses = addresses
        self.browser = Browser()
        self.page: Page | None = None
        self.title = ""
        self.number = ""
        self.session_id = ""
        self.status_url = ""

    def see_catalogues(self) -> str:
        """Both forks hold every product and variant that their file has."""
        seen: list[str] = []
        for fork in FORKS:
            with fork.catalogue.open(newline="", encoding="utf-8") as file:
                wanted = count_catalogue(file.read())
            exported = self._flask("catalog", "export", DATABASE_NAME=fork.name)
            if exported.returncode != 0:
                raise MissedError(f"flask catalog export: {exported.stderr}")
            found = count_catalogue(exported.stdout)
            if found != wanted:
                raise MissedError(
                    f"{fork.name} has {found} products and variants, its file {wanted}"
                )
            seen.append(f"{fork.title}: {found[0]} products, {found[1]} variants")
        return "; ".join(seen)

    def browse(self) -> str:
        home = self.browser.open(f"{self.addresses.web}/")
        if FORKS[0].title not in home.text:
            raise MissedError(f"the home page doesn't name {FORKS[0].title}")
        listed = self._listed_products()
        with FORKS[0].catalogue.open(newline="", encoding="utf-8") as file:
            wanted = count_catalogue(file.read())[0]
        if len(listed) != wanted:
            raise MissedError(f"{len(listed)} products are listed, {wanted} were imported")
        return f"home page of {FORKS[0].title}, {len(listed)} products listed"

    def _listed_products(self) -> list[str]:
        found: list[str] = []
        for number in range(1, 100):
            page = self.browser.open(f"{self.addresses.web}/products?page={number}")
            fresh = [link for link in page.links("/products/") if link not in found]
            found += fresh
            if not fresh or not page.links(f"page={number + 1}"):
                break
        return found

    def fill_cart(self) -> str:
        for link in self._listed_products():
            page = self.browser.open(link)
            with contextlib.suppress(NotThereError):
                form = page.form("/cart/add")
                if form.fields.get("sku_id") and "quantity" in form.fields:
                    self.title = page.heading
                    self.page = self._deliverable(
                        self.browser.submit(page, form, {"quantity": "1"})
                    )
                    break
        if self.page is None:
            raise MissedError("no product can be bought")
        if self.title not in self.page.text:
            raise MissedError(f"the cart doesn't show {self.title}")
        return f"{self.title} in the cart, {self._total()}"

    def _deliverable(self, cart: Page) -> Page:
        """Choose a country and a way of shipping where the cart asks for them."""
        if "/cart" not in cart.url:
            cart = self.browser.open(f"{self.addresses.web}/cart")
        for _ in range(2):  # the ways of shipping appear once the country is known
            with contextlib.suppress(NotThereError):
                form = cart.form("/cart/shipping")
                wishes: dict[str, str] = {}
                if "country" in form.fields and not form.fields["country"]:
                    wishes["country"] = BUYER["country"]
                if form.offered.get("method") and not form.fields.get("method"):
                    wishes["method"] = form.offered["method"][0]
                if wishes:
                    cart = self.browser.submit(cart, form, wishes)
        return cart

    def _total(self) -> str:
        assert self.page
        total = self.page.html.css_first(".totals .total dd")
        return f"total {total.text().strip()}" if total else "total not shown"

    def go_to_stripe(self) -> str:
        assert self.page
        self.page = self.browser.submit(self.page, self.page.form("/checkout"))
        if not self.page.url.startswith(self.addresses.stripe):
            raise MissedError(f"checkout led to {self.page.url}: {self.page.text[:300]}")
        matched = re.search(r"cs_test_\w+", self.page.url)
        self.session_id = matched[0] if matched else ""
        return f"hosted page of {self.session_id[:20]}..."

    def be_declined(self) -> str:
        assert self.page
        form = self.page.form(f"/c/pay/{self.session_id}")
        self.page = self.browser.submit(
            self.page, form, {**BUYER, "card_number": DECLINED_CARD}, expect=402
        )
        return "the declined card is refused on Stripe's page"

    def pay(self) -> str:
        assert self.page
        form = self.page.form(f"/c/pay/{self.session_id}")
        self.page = self.browser.submit(self.page, form, {**BUYER, "card_number": GOOD_CARD})
        page = self._until(self._see_success, "the success page with an order number")
        self.status_url = page.links("/orders/status/")[0]
        return f"thank-you page, order {self.number}"

    def _see_success(self) -> Page | None:
        assert self.page
        matched = re.search(r"\bOrder\s+#?(\S*\d\S*)", self.page.text)
        if matched and self.page.links("/orders/status/"):
            self.number = matched[1].rstrip(".,:")
            return self.page
        self.page = self.browser.open(self.page.url)
        return None

    def see_webhook(self) -> str:
        kind = "checkout.session.completed"
        self._until(lambda: self._webhooks(kind) or None, f"the webhook {kind}")
        return f"{kind} received and processed once"

    def _webhooks(self, kind: str) -> int:
        assert self.stack.postgres
        with self.stack.postgres.connect(self.stack.fork.name) as connection:
            row = connection.execute(
                "SELECT count(*) FROM stripe_event WHERE type = %s AND state = 'done'", (kind,)
            ).fetchone()
        return int(row[0]) if row else 0

    def see_fulfilment(self) -> str:
        page = self._until(self._in_fulfilment, "the order in fulfilment")
        if self.title not in page.text:
            raise MissedError(f"the order doesn't show {self.title}")
        return f"the worker took order {self.number} into fulfilment"

    def _in_fulfilment(self) -> Page | None:
        page = self.browser.open(self.status_url)
        return page if "In fulfilment" in page.text else None

    def read_mail(self) -> str:
        mail = self._until(self._find_mail, f"a mail to {BUYER['email']} about {self.number}")
        for part in ("text", "html"):
            if self.title not in mail[part]:
                raise MissedError(f"the mail's {part} doesn't name {self.title}")
        links = re.findall(r"https?://[^\s<>\"]*/orders/status/[^\s<>\"]+", mail["text"])
        if not links:
            raise MissedError("the mail has no link to the order")
        self.status_url = links[0]
        return f"{mail['subject']!r} to {mail['to'][0]}"

    def _find_mail(self) -> dict[str, Any] | None:
        answer = requests.get(
            f"{self.addresses.mailbox}/api/messages", params={"to": BUYER["email"]}, timeout=60
        )
        found = [mail for mail in answer.json() if self.number in mail["subject"] + mail["text"]]
        if len(found) > 1:
            raise MissedError(f"{len(found)} mails about one order")
        return found[0] if found else None

    def follow_link(self) -> str:
        stranger = Browser()  # the link alone has to do, without the buyer's cookies
        page = stranger.open(self.status_url)
        if self.number not in page.text:
            raise MissedError(f"the mail's link doesn't show order {self.number}")
        stranger.open(self.status_url[:-3] + "xxx", expect=404)
        return "the mail's link shows the order; a changed link shows nothing"

    def ask_doctor(self) -> str:
        answer = self._flask("doctor")
        if answer.returncode != 0:
            raise MissedError(f"flask doctor: {answer.stdout}{answer.stderr}")
        report = json.loads(answer.stdout)
        checks = report.get("checks", report)
        return f"flask doctor finds nothing wrong in {len(checks)} checks"

    def _flask(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "flask", *arguments],
            check=False,
            cwd=ROOT,
            env={**self.stack.environment(), **env},
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_SECONDS,
        )

    def _until(self, look: Callable[[], Seen | None], what: str) -> Seen:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            seen = look()
            if seen is not None:
                return seen
            time.sleep(0.2)
        raise MissedError(f"{what} didn't come within {PATIENCE_SECONDS} s")


def count_catalogue(text: str) -> tuple[int, int]:
    """Products and variants in Shopify's columns: a row without options or price is a picture."""
    rows = list(csv.DictReader(io.StringIO(text)))
    variants = [row for row in rows if row.get("Variant Price") or row.get("Option1 Value")]
    return len({row["Handle"] for row in rows}), len(variants)
