"""Finding an invoice, reading each try to collect it, and charging, refunding, giving it up."""

import re
from datetime import timedelta

from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.admin.billing.conftest import deeds_on
from tests.admin.conftest import DOOR, act, counting, said
from tests.factories.billing import (
    make_customer,
    make_failed_attempt,
    make_invoice,
    make_plan,
    make_subscription,
    make_unpaid_invoice,
    open_case,
)
from tests.factories.people import make_user
from tests.factories.subscribing import EMPTY_CARD, Subscriber
from webapp.billing.models import BillingOperation, CaseState, DunningCase, Invoice, InvoiceStatus
from webapp.billing.services.sync import Ref, RefKind, sync_now
from webapp.core import clock
from webapp.core.db import db
from webapp.core.models import AuditEntry


def deed_on(row: Invoice, name: str) -> str:
    return f"/admin/invoices/{name}/?id={row.id}"


def newest_of(alice: Subscriber) -> Invoice:
    """Return her newest invoice as it is in the database at this moment."""
    return alice.invoices[-1]


def failed_renewal(alice: Subscriber) -> Invoice:
    """Let alice's card die and a month pass; returns the invoice that stays open."""
    alice.give_card(EMPTY_CARD)
    alice.desk.control("clock", advance=32 * 86_400)
    newest = alice.desk.client.v1.invoices.list({"limit": 1}).data[0]
    sync_now(Ref(RefKind.INVOICE, newest.id), Ref(RefKind.SUBSCRIPTION, alice.row.stripe_id))
    db.session.commit()
    return alice.invoices[-1]


def test_an_invoice_is_found_and_shows_every_try_in_words(
    owner: FlaskClient, session: Session
) -> None:
    customer = make_customer(make_user())
    row = make_subscription(customer, make_plan())
    paid = make_invoice(customer, row)
    unpaid = make_unpaid_invoice(customer, row, at=clock.now() - timedelta(days=3))
    make_failed_attempt(unpaid, "expired_card")
    unpaid.invoice_pdf = "https://pay.stripe.com/invoice/x/pdf"
    session.commit()
    for query in (
        f"search={str(unpaid.number).lower()}",
        f"search={unpaid.stripe_id}",
        "search=alice@example.com&status=open",
    ):
        page = owner.get(f"/admin/invoices/?{query}").text
        assert re.findall(r'<th scope="row"><a[^>]*>([^<]+)<', page) == [unpaid.number], query
        assert "The card has expired" in page
    page = owner.get(f"/admin/invoices/details/?id={unpaid.id}").text
    for words in (
        "The card has expired: needs another card.",
        "Not enough money on the account: may pass at another try.",
        'href="https://pay.stripe.com/invoice/x/pdf"',
        f'href="https://dashboard.stripe.com/test/invoices/{unpaid.stripe_id}"',
        "1 × Pro",
    ):
        assert words in page
    assert deeds_on(page) == ["Charge it now", "Write it off", "Declare it void"]
    page = owner.get(f"/admin/invoices/details/?id={paid.id}").text
    assert deeds_on(page) == ["Refund"]
    told = said(owner.get(deed_on(paid, "void"), follow_redirects=True).text)
    assert told == "This invoice is paid; it can&#39;t be declared void."


def test_many_invoices_take_as_many_statements_as_few(owner: FlaskClient, session: Session) -> None:
    customer = make_customer(make_user())
    row = make_subscription(customer, make_plan())
    unpaid = make_unpaid_invoice(customer, row)
    counts, url = [], f"/admin/invoices/details/?id={unpaid.id}"
    for _ in range(2):
        with counting() as listed:
            owner.get("/admin/invoices/")
        with counting() as told:
            owner.get(url)
        counts.append((len(listed), len(told)))
        for _ in range(5):
            make_unpaid_invoice(customer, row)
            make_failed_attempt(unpaid)
    few, many = counts
    # What the session of the test still remembers makes one more or one less.
    assert many[0] <= few[0] + 1 <= DOOR + 7
    assert many[1] <= few[1] + 1 <= DOOR + 20


def test_a_charge_that_the_bank_refuses_and_one_that_passes(
    owner: FlaskClient, alice: Subscriber, session: Session
) -> None:
    unpaid = failed_renewal(alice)
    assert unpaid.status is InvoiceStatus.OPEN
    assert "is charged $19.00 at once" in owner.get(deed_on(unpaid, "retry")).text
    assert "Stripe refused:" in act(owner, deed_on(unpaid, "retry"), wish="0" * 32)
    alice.give_card()
    assert act(owner, deed_on(unpaid, "retry"), wish="1" * 32) == "$19.00 were taken."
    assert newest_of(alice).status is InvoiceStatus.PAID
    assert session.scalars(select(DunningCase.state)).one() is CaseState.RECOVERED


def test_an_invoice_is_written_off_or_declared_void(
    owner: FlaskClient, alice: Subscriber, session: Session
) -> None:
    unpaid = failed_renewal(alice)
    assert act(owner, deed_on(unpaid, "write-off")) == "$19.00 are written off."
    assert newest_of(alice).status is InvoiceStatus.UNCOLLECTIBLE
    assert session.scalars(select(DunningCase.state)).one() is CaseState.WRITTEN_OFF
    assert "is void" in act(owner, deed_on(unpaid, "void"))
    assert newest_of(alice).status is InvoiceStatus.VOID
    about = select(AuditEntry.action).where(AuditEntry.subject == f"invoice:{unpaid.id}")
    assert set(session.scalars(about)) == {"invoice.written_off", "invoice.voided"}


def test_money_goes_back_in_parts_and_never_more_than_was_paid(
    owner: FlaskClient, alice: Subscriber, session: Session
) -> None:
    paid = alice.invoices[0]
    url = deed_on(paid, "refund")
    for wrong in ("0", "20", "-1", "x", "1.234"):
        assert owner.post(url, data={"amount": wrong}).status_code == 422
    assert "$5.00 go back" in act(owner, url, amount="5", wish="0" * 32)
    assert "$5.00 go back" in act(owner, url, amount="5", wish="0" * 32)
    assert "$14.00 can be given back" in owner.get(url).text
    assert "$14.00 go back" in act(owner, url, wish="1" * 32)
    assert "given back already" in said(owner.get(url, follow_redirects=True).text)
    assert len(session.scalars(select(BillingOperation)).all()) == 2
    refunds = alice.desk.client.v1.refunds.list({"payment_intent": str(paid.payment_intent)})
    assert sorted(refund.amount for refund in refunds.data) == [500, 1400]


def test_a_fetch_brings_what_stripe_has(owner: FlaskClient, alice: Subscriber) -> None:
    paid = alice.invoices[0]
    paid.number = "WRONG"
    db.session.commit()
    assert "as Stripe has it now" in act(owner, "/admin/invoices/fetch/", id=paid.id)
    assert alice.invoices[0].number != "WRONG"


def test_a_case_is_led_to(owner: FlaskClient, session: Session) -> None:
    unpaid = make_unpaid_invoice(make_customer(make_user()))
    case = open_case(unpaid)
    page = owner.get(f"/admin/invoices/details/?id={unpaid.id}").text
    assert f'href="/admin/cases/details/?id={case.id}"' in page
