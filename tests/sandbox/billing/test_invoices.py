"""Invoices by hand, their taxes and balances, and what can no longer be changed."""

from typing import Any

import pytest
import stripe

from tests.sandbox.billing.desk import HOUR, Desk, amounts
from tests.sandbox.stripe.desk import plain


def one_off(desk: Desk, customer: str, amount: int = 1500, **more: Any) -> stripe.Invoice:
    item: Any = {"customer": customer, "amount": amount, "currency": "eur", "description": "Work"}
    desk.api.invoice_items.create(item)
    params: Any = {
        "customer": customer,
        "currency": "eur",
        "pending_invoice_items_behavior": "include",
        **more,
    }
    return desk.api.invoices.create(params)


def test_an_invoice_by_hand_is_finalised_and_paid(desk: Desk) -> None:
    invoice = one_off(desk, desk.customer())
    assert invoice.id
    assert (invoice.status, invoice.billing_reason, invoice.total) == ("draft", "manual", 1500)
    assert invoice.hosted_invoice_url is None
    opened = desk.api.invoices.finalize_invoice(invoice.id)
    assert opened.status == "open"
    assert opened.hosted_invoice_url == f"{desk.machine.base_url}/c/invoice/{invoice.id}"
    assert opened.invoice_pdf == f"{opened.hosted_invoice_url}/pdf"
    assert desk.api.invoices.pay(invoice.id).status == "paid"
    with pytest.raises(stripe.InvalidRequestError, match="Finalized invoices"):
        desk.api.invoices.update(invoice.id, {"description": "Too late"})
    noted = desk.api.invoices.update(invoice.id, {"metadata": {"a": "b"}})
    assert plain(noted.metadata) == {"a": "b"}


def test_one_that_advances_by_itself_is_collected_after_an_hour(desk: Desk) -> None:
    invoice = one_off(desk, desk.customer(), auto_advance=True)
    assert invoice.id
    assert invoice.next_payment_attempt == desk.now + HOUR
    desk.pass_(hours=1)
    assert desk.api.invoices.retrieve(invoice.id).status == "paid"


def test_a_draft_takes_and_loses_items_and_can_be_deleted(desk: Desk) -> None:
    customer = desk.customer()
    invoice = one_off(desk, customer)
    assert invoice.id
    extra = desk.api.invoice_items.create(
        {"customer": customer, "invoice": invoice.id, "amount": 300, "currency": "eur"}
    )
    assert amounts(desk.api.invoices.retrieve(invoice.id)) == [1500, 300]
    desk.api.invoice_items.update(extra.id, {"amount": 200})
    assert desk.api.invoices.retrieve(invoice.id).total == 1700
    desk.api.invoice_items.delete(extra.id)
    assert amounts(desk.api.invoices.retrieve(invoice.id)) == [1500]
    lines = desk.api.invoices.line_items.list(invoice.id).data
    assert [line.description for line in lines] == ["Work"]
    assert desk.api.invoices.delete(invoice.id).deleted is True


def test_a_voided_invoice_is_never_paid(desk: Desk) -> None:
    invoice = one_off(desk, desk.customer())
    assert invoice.id
    desk.api.invoices.finalize_invoice(invoice.id)
    assert desk.api.invoices.void_invoice(invoice.id).status == "void"
    assert desk.told()[-2:] == ["payment_intent.canceled", "invoice.voided"]
    for again in (desk.api.invoices.pay, desk.api.invoices.void_invoice):
        with pytest.raises(stripe.InvalidRequestError, match="void"):
            again(invoice.id)


def test_taxes_are_added_or_found_inside(desk: Desk) -> None:
    def rate(percentage: float, inclusive: bool) -> str:
        params: Any = {"display_name": "VAT", "percentage": percentage, "inclusive": inclusive}
        return desk.api.tax_rates.create(params).id

    customer, price = desk.customer(), desk.price(1000)
    above = desk.latest(desk.subscribe(customer, price, default_tax_rates=[rate(19, False)]))
    assert (above.subtotal, above.total, above.total_excluding_tax) == (1000, 1190, 1000)
    inside = desk.latest(desk.subscribe(customer, price, default_tax_rates=[rate(25, True)]))
    assert (inside.subtotal, inside.total, inside.total_excluding_tax) == (1000, 1000, 800)
    assert above.total_taxes
    assert above.total_taxes[0].amount == 190


def test_a_balance_pays_first_and_a_debt_is_asked_for(desk: Desk) -> None:
    customer, price = desk.customer(), desk.price(1000)
    give = desk.api.customers.balance_transactions.create
    give(customer, {"amount": -400, "currency": "eur", "description": "Sorry"})
    assert desk.latest(desk.subscribe(customer, price)).amount_paid == 600
    give(customer, {"amount": 250, "currency": "eur"})
    owing = desk.latest(desk.subscribe(customer, price))
    assert (owing.starting_balance, owing.amount_paid, owing.ending_balance) == (250, 1250, 0)


@pytest.mark.parametrize("balance", [-400, 250])
def test_what_a_voided_invoice_took_of_the_balance_goes_back(desk: Desk, balance: int) -> None:
    customer = desk.customer()
    entries = desk.api.customers.balance_transactions
    entries.create(customer, {"amount": balance, "currency": "eur"})
    invoice = one_off(desk, customer)
    assert invoice.id
    assert desk.api.invoices.finalize_invoice(invoice.id).amount_due == 1500 + balance
    assert desk.api.customers.retrieve(customer).balance == 0
    desk.api.invoices.void_invoice(invoice.id)
    assert desk.api.customers.retrieve(customer).balance == balance
    assert [(entry.type, entry.amount) for entry in entries.list(customer).data] == [
        ("unapplied_from_invoice", balance),
        ("applied_to_invoice", -balance),
        ("adjustment", balance),
    ]
    assert desk.told()[-2:] == ["customer.updated", "invoice.voided"]


def test_what_is_too_little_for_a_card_waits_for_the_next_invoice(desk: Desk) -> None:
    customer = desk.customer()
    invoice = one_off(desk, customer, 20)
    assert invoice.id
    paid = desk.api.invoices.pay(invoice.id)
    assert (paid.status, paid.amount_due, paid.ending_balance) == ("paid", 0, 20)
    assert desk.latest(desk.subscribe(customer, desk.price(900))).amount_paid == 920


def test_numbers_run_by_customer(desk: Desk) -> None:
    customer, price = desk.customer(), desk.price()
    subscription = desk.subscribe(customer, price)
    desk.pass_(days=62)
    numbers = [str(invoice.number) for invoice in desk.invoices(subscription)]
    assert [number[-5:] for number in numbers] == ["-0001", "-0002", "-0003"]
    other = desk.latest(desk.subscribe(desk.customer(), price))
    assert str(other.number)[:8] != numbers[0][:8]


def test_invoices_are_listed_by_what_they_are(desk: Desk) -> None:
    customer = desk.customer()
    subscription = desk.subscribe(customer, desk.price())
    draft = one_off(desk, customer)

    def ids(**wanted: Any) -> list[str | None]:
        params: Any = wanted
        return [invoice.id for invoice in desk.api.invoices.list(params).data]

    billed = desk.latest(subscription).id
    assert ids() == ids(customer=customer) == [draft.id, billed]
    assert ids(subscription=subscription.id) == ids(status="paid") == [billed]
    assert ids(status="draft") == [draft.id]
    assert ids(created={"gt": desk.now}) == []
