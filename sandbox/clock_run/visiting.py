"""What a customer does at the shop's pages and at Stripe's, without JavaScript."""

from dataclasses import dataclass, field
from urllib.parse import urljoin

from sandbox.browser import Browser, Form, NotThereError, Page, read_form
from sandbox.clock_run.mailbox import Mailbox
from sandbox.clock_run.people import GOOD_CARD, PASSWORD, Persona
from sandbox.clock_run.stripe import Stripe

LASTING = "12/39"


class TurnedAwayError(Exception):
    """Somebody wanted something and did not get it."""

    def __init__(self, outcome: str, page: Page) -> None:
        notices = (node.text(strip=True) for node in page.html.css(".notices .notice"))
        words = " ".join(notices) or page.text[:200]
        super().__init__(f"{outcome}. {page.url} says: {words}")
        self.outcome = outcome


@dataclass(slots=True)
class Visitor:
    """One person's browser; it stays logged in from visit to visit."""

    persona: Persona
    shop: str
    stripe: Stripe
    mailbox: Mailbox
    browser: Browser = field(default_factory=Browser)

    def __post_init__(self) -> None:
        self.browser.session.headers["X-Forwarded-For"] = self.persona.address

    def sign_up(self) -> None:
        """Register, and confirm the address by the mail that comes."""
        page = self.browser.open(f"{self.shop}/register")
        wanted = {"email": self.persona.email, "password": PASSWORD}
        wanted["name"] = f"Customer {self.persona.number}"
        self.browser.submit(page, page.form("/register"), wanted)

    def confirm_address(self) -> None:
        link = self.mailbox.find_link(self.persona.email, "/verify/")
        page = self.browser.open(link)
        self.browser.submit(page, forms_to(page, "/verify/")[0])

    def go(self, path: str) -> Page:
        """Open a page of members, logging in where that is asked for."""
        page = self.browser.open(f"{self.shop}{path}")
        if "/login" not in page.url:
            return page
        wanted = {"email": self.persona.email, "password": PASSWORD}
        return self.browser.submit(page, page.form("/login"), wanted)

    def subscribe(self, price_id: int, card: str, expiry: str) -> str:
        """Choose a price and pay at Stripe's page; returns what became of it."""
        page = self.go(f"/pricing?every={self.persona.interval}")
        hosted = self.browser.submit(
            page, page.form("/billing/subscribe"), {"price": str(price_id)}
        )
        self._must_be_stripes(hosted)
        return self._complete(hosted, card, expiry)

    def change(self, price_id: int) -> str:
        page = self.go(f"/billing/change?price={price_id}")
        answer = self.browser.submit(page, page.form("/billing/change"))
        return _told(answer)

    def cancel(self, decision: str) -> str:
        """Leave; ``decision`` is what to answer to an offer: stay or leave."""
        page = self.go("/billing/cancel")
        answer = self.browser.submit(page, page.form("/billing/cancel"), {"reason": "unused"})
        for node in answer.html.css("form input[name=decision]"):
            if node.attributes.get("value") == decision:
                form = answer.form("/billing/cancel")
                wanted = {"reason": "unused", "decision": decision}
                return _told(self.browser.submit(answer, form, wanted))
        return _told(answer)

    def press(self, path: str) -> str:
        """Press a button of the billing home."""
        page = self.go("/billing")
        return _told(self.browser.submit(page, page.form(path)))

    # Another card

    def follow_card_link(self) -> str:
        """Leave a new card by the newest mail's link, in a browser that never was here."""
        link = self.mailbox.find_link(self.persona.email, "/card/")
        stranger = Browser()
        stranger.session.headers["X-Forwarded-For"] = self.persona.address
        page = stranger.open(link)
        return self._leave_card(stranger, page, forms_to(page, "/card/")[-1])

    def leave_card(self) -> str:
        """Leave a new card as somebody who is logged in."""
        page = self.go("/billing/card")
        return self._leave_card(self.browser, page, forms_to(page, "/billing/card")[-1])

    def consent(self) -> str:
        """Say yes at the bank, by the page of the invoice that waits for it."""
        page = self.go("/billing/card")
        hosted = self.browser.submit(page, forms_to(page, "/billing/card")[0])
        self._must_be_stripes(hosted)
        confirm = forms_to(hosted, "/c/invoice/")[0]
        bank = self.browser.submit(hosted, confirm, {"action": "confirm"})
        if "/c/authenticate/" not in bank.url:
            # It only wanted to see the customer.
            return "done"
        answer = forms_to(bank, "/c/authenticate/")[0]
        self.browser.submit(bank, answer, {"outcome": "complete"})
        return "done"

    def use_portal(self) -> str:
        """Leave a card in Stripe's portal, which makes it the one that is charged."""
        page = self.go("/billing")
        portal = self.browser.submit(page, page.form("/billing/portal"))
        links = [link for link in portal.links("/card") if link.startswith(self.stripe.url)]
        if not links:
            raise TurnedAwayError("not offered", portal)
        form_page = self.browser.open(links[0])
        card = {"card_number": GOOD_CARD, "expiry": LASTING, "cvc": "123"}
        self.browser.submit(form_page, forms_to(form_page, "/card")[0], card)
        return "done"

    def _leave_card(self, browser: Browser, page: Page, form: Form) -> str:
        hosted = browser.submit(page, form)
        self._must_be_stripes(hosted)
        return self._complete(hosted, GOOD_CARD, LASTING, browser)

    def _complete(
        self, hosted: Page, card: str, expiry: str, browser: Browser | None = None
    ) -> str:
        """Fill in Stripe's page; half of all people close the window before the shop's page."""
        session_id = hosted.url.partition("?")[0].rpartition("/")[2]
        told = self.stripe.control(
            f"sessions/{session_id}/pay",
            email=self.persona.email,
            card_number=card,
            expiry=expiry,
        )
        if told["status"] == "complete" and self.persona.comes_back:
            (browser or self.browser).open(told["success_url"])
        if told["outcome"] != "completed":
            raise TurnedAwayError(str(told["outcome"]), hosted)
        return "completed"

    def _must_be_stripes(self, page: Page) -> None:
        """TurnedAwayError where the shop did not hand them over to Stripe."""
        if not page.url.startswith(self.stripe.url):
            raise TurnedAwayError("not offered", page)


def forms_to(page: Page, part: str) -> list[Form]:
    """The page's forms whose address contains a part; NotThereError if there is none."""
    found = []
    for node in page.html.css("form"):
        address = urljoin(page.url, node.attributes.get("action") or "")
        if part in address:
            found.append(read_form(node, address))
    if not found:
        raise NotThereError(f"{page.url} has no form to {part}. It says: {page.text[:300]}")
    return found


def _told(page: Page) -> str:
    """TurnedAwayError where the shop says that it was not done."""
    for node in page.html.css(".notices .notice"):
        if "notice-bad" in (node.attributes.get("class") or ""):
            raise TurnedAwayError("refused", page)
    return "done"
