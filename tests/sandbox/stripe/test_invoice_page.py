"""The hosted invoice and its papers: read, paid by another card, confirmed with the bank."""

import re
import zlib

import pytest
import requests
import stripe
from selectolax.lexbor import LexborHTMLParser as HTMLParser

from tests.sandbox.stripe.desk import Shop, words
from tests.sandbox.stripe.member import NEW_CARD, Member, join, post


def paper(url: str) -> str:
    """What stands on a PDF, a space between its pieces."""
    # The first one waits for the PDF library, which a busy machine loads slowly.
    content = requests.get(url, timeout=60).content
    assert content.startswith(b"%PDF-")
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.S)
    drawn = b" ".join(zlib.decompress(one) for one in streams)
    pieces = re.findall(rb"\(((?:\\.|[^\\()])*)\) Tj", drawn)
    return re.sub(rb"\\(.)", rb"\1", b" ".join(pieces)).decode("windows-1252")


def owing(own: Shop, number: str = "4000000000000341") -> tuple[Member, stripe.Invoice]:
    """A member whose renewal failed, with its invoice."""
    member = join(own, address={"line1": "2 High Street", "city": "Łódź", "country": "PL"})
    own.control("cards", customer=member.customer, number=number)
    own.control("clock", advance=32 * 86_400)
    return member, own.api.invoices.retrieve(str(member.plan().latest_invoice))


def test_an_invoice_is_paid_with_a_new_card_that_is_kept(own: Shop) -> None:
    member, invoice = owing(own)
    url = str(invoice.hosted_invoice_url)
    told = words(requests.get(url, timeout=60))
    for text in ("To pay", "€9.00", str(invoice.number), "1 × Pro", "Bob"):
        assert text in told
    refused = post(url, **{**NEW_CARD, "card_number": "4000000000009995"})
    assert refused.status_code == 402
    assert "Your card has insufficient funds." in words(refused)
    assert post(url, **{**NEW_CARD, "cvc": "1"}).status_code == 402
    assert post(url, **NEW_CARD, keep="1").headers["Location"] == url
    again = requests.get(url, timeout=60)
    assert "Paid" in words(again)
    assert HTMLParser(again.text).css_first("input[name=card_number]") is None
    assert member.plan().status == "active"
    customer = own.api.customers.retrieve(member.customer)
    assert customer.invoice_settings
    default = str(customer.invoice_settings.default_payment_method)
    card = own.api.payment_methods.retrieve(default).card
    assert card
    assert card.last4 == "4242"
    # A second click finds it paid.
    assert post(url, **NEW_CARD).status_code == 200
    charges = own.api.charges.list({"customer": member.customer}).data
    assert len([charge for charge in charges if charge.status == "succeeded"]) == 2


def test_a_bank_that_asks_at_renewal_is_answered_on_the_page(own: Shop) -> None:
    member, invoice = owing(own, "4000002760003184")
    assert "invoice.payment_action_required" in own.event_types()
    url = str(invoice.hosted_invoice_url)
    assert "Your bank wants to know that it's you" in words(requests.get(url, timeout=60))
    bank = post(url, action="confirm").headers["Location"]
    back = post(bank, outcome="fail").headers["Location"]
    failed = requests.get(back, timeout=60)
    assert failed.status_code == 402
    assert "unable to authenticate" in words(failed)
    bank = post(url, **{**NEW_CARD, "card_number": "4000002760003184"}).headers["Location"]
    back = post(bank, outcome="complete").headers["Location"]
    assert "Paid" in words(requests.get(back, timeout=60))
    assert member.plan().status == "active"


def test_the_paper_has_number_lines_taxes_and_sums(own: Shop) -> None:
    member = join(own, address={"line1": "2 High Street", "city": "Łódź", "country": "PL"})
    vat = own.api.tax_rates.create({"display_name": "VAT", "percentage": 19, "inclusive": True})
    own.api.subscriptions.update(member.subscription, {"default_tax_rates": [vat.id]})
    own.control("clock", advance=32 * 86_400)
    invoice = own.api.invoices.retrieve(str(member.plan().latest_invoice))
    told = paper(str(invoice.invoice_pdf))
    for text in ("Invoice", str(invoice.number), "Date paid", "Poland", "€9.00 paid"):
        assert text in told
    assert "VAT (19\N{NO-BREAK SPACE}% on €7.56, included) €1.44" in told
    name = requests.head(str(invoice.invoice_pdf), timeout=60).headers["Content-Disposition"]
    assert name == f'attachment; filename="Invoice-{invoice.number}.pdf"'


def test_a_draft_and_a_void_invoice_take_no_money(own: Shop) -> None:
    member, invoice = owing(own)
    own.api.invoices.void_invoice(str(invoice.id))
    url = str(invoice.hosted_invoice_url)
    assert "Cancelled" in words(requests.get(url, timeout=60))
    post(url, **NEW_CARD)
    assert own.api.invoices.retrieve(str(invoice.id)).amount_paid == 0
    draft = own.api.invoices.create({"customer": member.customer})
    for path in ("", "/pdf"):
        page = requests.get(f"{own.sandbox.url}/c/invoice/{draft.id}{path}", timeout=60)
        assert page.status_code == 404


def test_links_move_along_with_the_sandbox(own: Shop) -> None:
    member, invoice = owing(own)
    portal = member.open()
    machine = own.sandbox.machine
    old = machine.base_url
    machine.listen_at("http://127.0.0.1:1")
    moved = own.api.invoices.retrieve(str(invoice.id))
    assert str(moved.hosted_invoice_url).startswith("http://127.0.0.1:1/c/invoice/")
    assert str(moved.invoice_pdf).startswith("http://127.0.0.1:1/c/invoice/")
    machine.listen_at(old)
    assert requests.get(portal, timeout=60).status_code == 200


@pytest.mark.parametrize("path", ["/c/invoice/in_x", "/c/invoice/in_x/pdf", "/c/portal/bps_x"])
def test_what_nobody_has_is_not_found(shop: Shop, path: str) -> None:
    assert requests.get(shop.sandbox.url + path, timeout=60).status_code == 404
