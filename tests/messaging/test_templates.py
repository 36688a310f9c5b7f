"""The mails about an order: complete in both versions, whatever the order has or lacks."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from flask import Flask
from selectolax.lexbor import LexborHTMLParser

from webapp.core.db import db
from webapp.core.models import Shop
from webapp.messaging.services.composing import Words, write
from webapp.orders.queries import (
    AmountView,
    DownloadView,
    OrderLineView,
    OrderView,
    RefundView,
    ShipmentView,
)

AT = datetime(2030, 5, 4, 12, 0, tzinfo=UTC)
STATUS_URL = "https://shop.example/orders/status/tok-en_1.abc"

FULL = OrderView(
    id=1,
    number=1001,
    status="accepted",
    placed_at=AT,
    email="alice@example.org",
    currency="usd",
    lines=[
        OrderLineView(1, "Lambswool scarf <wide>", "Moss / Large", "SC-1", 2, 0, 4250, 8500),
        OrderLineView(2, "Care guide & patterns", "", "PDF", 1, 0, 900, 900),
    ],
    items_amount=9400,
    discounts=[AmountView("WELCOME10", 940), AmountView("FRIENDS", 60)],
    discount_amount=1000,
    shipping_name="Standard post",
    shipping_amount=595,
    tax_name="VAT",
    tax_amount=1799,
    tax_included=False,
    total_amount=10794,
    shipping_address=["Alice Ångström", "1 Mill Lane", "LS1 4AP Leeds", "GB"],
    history=[],
    shipments=[ShipmentView("UPS", "1Z999", "https://ups.example/track/1Z999", AT)],
    downloads=[DownloadView("Care guide.pdf", "https://shop.example/d/tok", AT)],
    refunds=[RefundView(500, AT), RefundView(1000, AT)],
    needs_action=None,
    status_url=STATUS_URL,
)
BARE = replace(
    FULL,
    discounts=[],
    discount_amount=0,
    shipping_name=None,
    shipping_amount=0,
    tax_name="",
    tax_amount=0,
    total_amount=9400,
    shipping_address=[],
    shipments=[],
    downloads=[],
    refunds=[],
)
BARE_SHIPMENT = SimpleNamespace(carrier="", tracking_number="", tracking_url="", shipped_at=None)
PARCEL = SimpleNamespace(
    carrier="UPS",
    tracking_number="1Z999",
    tracking_url="https://ups.example/track/1Z999",
    shipped_at=AT,
    lines=[
        SimpleNamespace(
            quantity=1, order_sku=SimpleNamespace(title="Lambswool scarf", options_text="Moss")
        )
    ],
)
KINDS: dict[str, dict[str, object]] = {
    "order_confirmation": {},
    "order_shipped": {"shipment": FULL.shipments[0]},
    "order_downloads": {},
    "order_refunded": {"amount": 1000},
}


def render(kind: str, order: OrderView = FULL, **context: object) -> Words:
    return write(kind, {"order": order, "status_url": STATUS_URL, **KINDS[kind], **context})


def visible(html: str) -> str:
    """What a reader of the HTML sees, its spaces collapsed."""
    tree = LexborHTMLParser(html)
    tree.strip_tags(["style", "title", "head"])
    return " ".join((tree.body.text(separator=" ") if tree.body else "").split())


def amounts(text: str) -> list[str]:
    return sorted(set(re.findall(r"\$[\d,.]+\d", text)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", [FULL, BARE], ids=["full", "bare"])
def test_every_mail_renders_and_both_versions_agree(
    app: Flask, kind: str, order: OrderView
) -> None:
    words = render(kind, order)
    seen = visible(words.html)
    assert "1001" in words.subject
    assert "\n" not in words.subject
    for version in (words.text, seen):
        assert "1001" in version
        assert "Birch & Wool" in version
        assert "help@birch.example" in version
        assert "None" not in version
        assert "{{" not in version
        assert "Undefined" not in version
    body = re.sub(r"^.*?(?=Order 1001)", "", seen)
    preheader_free = amounts(body)
    assert set(preheader_free) <= set(amounts(words.text))
    assert set(amounts(words.text)) <= set(amounts(seen))
    assert STATUS_URL in words.text
    assert STATUS_URL in words.html
    assert "\n\n\n" not in words.text


@pytest.mark.parametrize("kind", KINDS)
def test_no_mail_loads_anything_or_runs_anything(app: Flask, kind: str) -> None:
    html = render(kind).html.lower()
    assert not re.search(r"<(script|img|link|iframe|form)\b|\son\w+=|url\(|@import", html)


def test_the_confirmation_tells_everything_that_was_bought(app: Flask) -> None:
    words = render("order_confirmation")
    for version in (words.text, visible(words.html)):
        for part in (
            "Lambswool scarf <wide>",
            "Moss / Large",
            "$42.50",
            "$85.00",
            "Care guide & patterns",
            "WELCOME10",
            "$9.40",
            "FRIENDS",
            "$0.60",
            "Standard post",
            "$5.95",
            "VAT",
            "$17.99",
            "$107.94",
            "Alice Ångström",
            "LS1 4AP Leeds",
            "Care guide.pdf",
            "May 4, 2030",
        ):
            assert part in version, part
    assert "&lt;wide&gt;" in words.html


def test_the_parts_add_up_to_the_total_in_both_versions(app: Flask) -> None:
    words = render("order_confirmation")
    minus = "[-\N{MINUS SIGN}]"
    for version in (words.text, visible(words.html)):
        found = re.findall(
            rf"(?:Items|Discount \w+|Standard post|VAT):? ?({minus}?)\$([\d.]+)", version
        )
        total = re.findall(r"Total:? \$([\d.]+)", version)
        cents = [(-1 if sign else 1) * round(float(value) * 100) for sign, value in found]
        assert len(cents) == 5
        assert sum(cents) == round(float(total[0]) * 100) == FULL.total_amount


def test_included_tax_is_told_below_the_total(app: Flask) -> None:
    order = replace(FULL, tax_included=True, total_amount=8995)
    words = render("order_confirmation", order)
    for version in (words.text, visible(words.html)):
        assert re.search(r"Total:? \$89\.95\s+Includes \$17\.99 VAT", version)


def test_free_shipping_and_an_unnamed_tax(app: Flask) -> None:
    words = render("order_confirmation", replace(FULL, shipping_amount=0, tax_name=""))
    for version in (words.text, visible(words.html)):
        assert re.search(r"Standard post:? Free", version)
        assert re.search(r"Tax:? \$17\.99", version)


def test_an_order_that_needs_action_does_not_promise_a_parcel(app: Flask) -> None:
    words = render("order_confirmation", replace(FULL, needs_action="We are looking into it."))
    for version in (words.text, visible(words.html)):
        assert "We are looking into it." in version
        assert "getting everything ready" not in version


def test_the_shipped_mail_follows_the_parcel(app: Flask) -> None:
    words = render("order_shipped", replace(FULL, status="partially_shipped"), shipment=PARCEL)
    assert words.subject == "Part of your order 1001 is on its way"
    assert "https://ups.example/track/1Z999" in words.text
    assert "https://ups.example/track/1Z999" in words.html
    for version in (words.text, visible(words.html)):
        assert "1Z999" in version
        assert "UPS" in version
        assert "In this parcel" in version
        assert "Lambswool scarf" in version
        assert "Care guide & patterns" not in version
        assert "The rest follows" in version


def test_the_shipped_mail_of_a_parcel_without_tracking(app: Flask) -> None:
    words = render("order_shipped", replace(BARE, status="shipped"), shipment=BARE_SHIPMENT)
    assert words.subject == "Your order 1001 is on its way"
    for version in (words.text, visible(words.html)):
        assert "Track" not in version
        assert "The rest follows" not in version


def test_the_refund_tells_now_and_before(app: Flask) -> None:
    words = render("order_refunded")
    for version in (words.text, visible(words.html)):
        assert re.search(r"Refunded now:? \$10\.00", version)
        assert re.search(r"Refunded before:? \$5\.00", version)
        assert "a part of your payment" in version
    whole = render("order_refunded", replace(BARE, status="cancelled"), amount=9400)
    for version in (whole.text, visible(whole.html)):
        assert "Your order is cancelled." in version
        assert "all of your payment" in version
        assert "Refunded before" not in version


def test_other_currencies_and_a_brand_of_its_own(app: Flask) -> None:
    shop = db.session.get_one(Shop, 1)
    shop.accent = "#ffd24d"
    shop.name = "Ünïcode & Söhne"
    order = replace(BARE, currency="jpy", items_amount=940, total_amount=940)
    words = render("order_confirmation", order)
    assert "¥940" in words.text
    assert "background: #ffd24d" in words.html
    assert "color: #111111" in words.html
    assert "Ünïcode &amp; Söhne" in words.html


def test_a_phone_and_the_dark_are_thought_of(app: Flask) -> None:
    html = render("order_confirmation").html
    assert "prefers-color-scheme: dark" in html
    assert html.count("<style") == 1
