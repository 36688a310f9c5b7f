"""Buyers without JavaScript, who walk through a business's pages to Stripe's and back."""

from typing import Any

from sandbox.browser import Browser, Page
from tests.business import Business

BUYER = {
    "name": "Alice Example",
    "line1": "1 Market Street",
    "city": "San Francisco",
    "state": "CA",
    "postal_code": "94105",
    "country": "US",
    "phone": "+14155550100",
    "card_number": "4242424242424242",
    "expiry": "12/34",
    "cvc": "123",
}


class Buyer:
    """A visitor without JavaScript, with cookies and an address of their own."""

    def __init__(self, business: Business, number: int, email: str | None = None) -> None:
        self.business = business
        self.email = email or f"buyer-{number}@{business.domain}"
        self.browser = Browser()
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        self.browser.session.headers["X-Forwarded-For"] = address
        self.cart: Page | None = None

    def fill_cart(self, product_url: str) -> None:
        """Look at a product and put one in; the cart page is what comes back."""
        page = self.browser.open(product_url)
        self.cart = self.browser.submit(page, page.form("/cart/add"))

    def press_pay(self) -> Page:
        """Send the cart page's form: Stripe's page comes back, or the cart with a sentence."""
        assert self.cart
        return self.browser.submit(self.cart, self.cart.form("/checkout"))

    def is_at_stripe(self, page: Page) -> bool:
        return page.url.startswith(self.business.neighbours.stripe_url)

    def pay(self, hosted: Page) -> Page:
        """Fill in Stripe's page and come back to the shop's."""
        return self.browser.submit(hosted, self._form(hosted), {**BUYER, "email": self.email})

    def pay_and_leave(self, hosted: Page) -> None:
        """Fill in Stripe's page and close the window instead of coming back."""
        form = self._form(hosted)
        data = {**form.fields, **BUYER, "email": self.email}
        session = self.browser.session
        answer = session.post(form.action, data=data, timeout=60, allow_redirects=False)
        assert answer.status_code == 303, answer.text

    def _form(self, hosted: Page) -> Any:
        return hosted.form(hosted.url.partition("?")[0].rpartition("/")[2])


def sentences(page: Page) -> list[str]:
    """What the shop told the visitor above the page."""
    return [" ".join(node.text().split()) for node in page.html.css(".notices .notice")]
