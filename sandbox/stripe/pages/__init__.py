"""Everything a browser can open; importing this package fills the table of pages."""

from sandbox.stripe import front
from sandbox.stripe.checkout import bank
from sandbox.stripe.checkout import page as checkout
from sandbox.stripe.invoice_pages import page as invoice
from sandbox.stripe.portal import cancelling, cards, changing, details, home

__all__ = [
    "bank",
    "cancelling",
    "cards",
    "changing",
    "checkout",
    "details",
    "front",
    "home",
    "invoice",
]
