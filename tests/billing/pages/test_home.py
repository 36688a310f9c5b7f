"""The billing home says where one stands, and invoices are one's own alone."""

from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.billing.pages.test_pricing import words
from tests.factories.billing import (
    make_attempt,
    make_customer,
    make_entitlement,
    make_invoice,
    make_plan,
    make_subscription,
    make_unpaid_invoice,
)
from tests.factories.people import browser_of, make_user
from tests.factories.subscribing import Subscriber
from webapp.billing.models import Interval, InvoiceStatus, SubscriptionStatus
from webapp.core.db import db

SOON = datetime(2031, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, ["Active", "$19.00 on Apr 5, 2031", "Visa ending in 4242", "Change plan"]),
        ({"status": SubscriptionStatus.TRIALING}, ["On trial", "nothing is charged"]),
        ({"cancel_at_period_end": True}, ["Ends on Apr 5, 2031", "Next charge None", "Keep my"]),
        ({"cancel_at": SOON}, ["Ends on Apr 5, 2031", "Next charge None", "Keep my"]),
        ({"pause_behavior": "void", "pause_resumes_at": SOON}, ["Paused", "Go on now"]),
        ({"status": SubscriptionStatus.PAST_DUE}, ["Payment failed", "while you mend it"]),
        ({"status": SubscriptionStatus.INCOMPLETE}, ["Waiting for payment"]),
        (
            {"status": SubscriptionStatus.UNPAID, "cancel_at_period_end": True},
            ["Your plan is closed until it is paid, and ends on Apr 5, 2031"],
        ),
        ({"status": SubscriptionStatus.CANCELED}, ["Ended on", "welcome back"]),
        (
            {"discounts": [{"id": "di_1", "percent_off": 30.0, "amount_off": None, "end": None}]},
            ["30 % off", "Next charge $13.30"],
        ),
    ],
)
def test_home_says_where_a_member_stands(
    app: Flask, client: FlaskClient, values: dict[str, Any], told: list[str]
) -> None:
    user = make_user()
    make_subscription(make_customer(user), make_plan(), **({"current_period_end": SOON} | values))
    page = words(browser_of(app, user).get("/billing").text)
    for each in told:
        assert each in page, each


def test_what_is_shut_is_not_called_open(app: Flask, client: FlaskClient) -> None:
    user = make_user()
    row = make_subscription(make_customer(user), make_plan(), status=SubscriptionStatus.PAST_DUE)
    make_unpaid_invoice(row.customer, row)
    make_entitlement(user, row, owing=True, walled_at=SOON)
    browser = browser_of(app, user)
    page = words(browser.get("/billing").text)
    assert "closed until it is made" in page
    assert "and it is paid at once" in page
    assert "stays open" not in words(browser.get("/billing/cancel").text)
    row.cancel_at_period_end = True
    db.session.commit()
    page = words(browser.get("/billing").text)
    assert "The payment that is open stays to be paid" in page
    assert "Your plan is closed until it is paid" in page


def test_without_a_subscription_home_leads_to_the_plans(app: Flask, client: FlaskClient) -> None:
    page = browser_of(app, make_user()).get("/billing")
    assert "No subscription" in page.text
    assert client.get("/billing").status_code == 303


def test_the_account_names_the_plan(app: Flask, client: FlaskClient) -> None:
    user, plan = make_user(), make_plan()
    page = browser_of(app, user).get("/account").text
    assert "/billing" not in page
    make_entitlement(user, make_subscription(make_customer(user), plan))
    page = browser_of(app, user).get("/account").text
    assert "Subscription" in page
    assert "Pro" in page


def test_invoices_are_found_by_number_and_year_a_page_at_a_time(
    app: Flask, client: FlaskClient
) -> None:
    user = make_user()
    customer = make_customer(user)
    for month in range(1, 13):
        make_invoice(
            customer, number=f"A-{month:03}", issued_at=datetime(2029, month, 1, tzinfo=UTC)
        )
    for month in range(1, 11):
        make_invoice(
            customer, number=f"B-{month:03}", issued_at=datetime(2030, month, 1, tzinfo=UTC)
        )
    make_invoice(customer, number="DRAFT-1", status=InvoiceStatus.DRAFT)
    browser = browser_of(app, user)
    first = browser.get("/billing/invoices")
    assert "22 invoices" in first.text
    assert first.text.count('class="number"') == 20
    assert "DRAFT" not in first.text
    assert browser.get("/billing/invoices?page=2").text.count('class="number"') == 2
    assert browser.get("/billing/invoices?page=9").location == "/billing/invoices?page=2"
    assert "12 invoices found" in browser.get("/billing/invoices?q=2029").text
    assert "1 invoice found" in browser.get("/billing/invoices?q=b-007").text
    assert "Nothing found" in browser.get("/billing/invoices?q=%25").text


def test_a_receipt_says_what_was_paid_with_what(app: Flask, client: FlaskClient) -> None:
    user = make_user()
    customer = make_customer(user)
    invoice = make_invoice(customer, make_subscription(customer, make_plan()))
    make_attempt(invoice)
    browser = browser_of(app, user)
    page = words(browser.get(f"/billing/invoices/{invoice.id}").text)
    for each in (
        "Receipt",
        invoice.number or "",
        "$19.00",
        "Visa ending in 4242",
        "alice@example.com",
    ):
        assert each in page
    bob = browser_of(app, make_user("bob@example.com"))
    for path in (f"/billing/invoices/{invoice.id}", f"/billing/invoices/{invoice.id}/pdf"):
        assert bob.get(path).status_code == 404
        assert client.get(path).status_code == 303


def test_the_pdf_is_stripes_own(browser: FlaskClient, subscribed: Subscriber) -> None:
    [invoice] = subscribed.invoices
    answer = browser.get(f"/billing/invoices/{invoice.id}/pdf")
    assert answer.status_code == 303
    assert answer.location == invoice.invoice_pdf


def test_the_portal_is_stripes_and_leads_back(
    app: Flask, browser: FlaskClient, alice: Subscriber
) -> None:
    answer = browser.post("/billing/portal")
    assert answer.status_code == 303
    assert answer.location.startswith(alice.desk.url)
    bob = browser_of(app, make_user("bob@example.com"))
    assert bob.post("/billing/portal").location == "/billing"


def test_a_yearly_price_renews_in_a_year(app: Flask, client: FlaskClient) -> None:
    user = make_user()
    make_subscription(make_customer(user), make_plan(), interval=Interval.YEAR)
    page = words(browser_of(app, user).get("/billing").text)
    assert "$190.00 a year" in page
