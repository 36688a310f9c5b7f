"""Credit notes: less to pay on an open invoice, money or credit back on a paid one."""

from typing import Any

import pytest
import stripe

from tests.sandbox.stripe.desk import Shop
from tests.sandbox.stripe.member import join
from tests.sandbox.stripe.test_invoice_page import owing, paper


def refused(shop: Shop, **params: Any) -> str:
    asked: Any = params
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.api.credit_notes.create(asked)
    return str(caught.value.user_message)


def test_a_paid_invoice_is_refunded_and_credited(shop: Shop) -> None:
    member = join(shop)
    invoice = shop.api.invoices.retrieve(str(member.plan().latest_invoice))
    line = invoice.lines.data[0].id
    preview = shop.api.credit_notes.preview(
        {
            "invoice": str(invoice.id),
            "lines": [{"type": "invoice_line_item", "invoice_line_item": line, "amount": 400}],
            "refund_amount": 400,
        }
    )
    assert (preview.amount, preview.type) == (400, "post_payment")
    assert shop.api.credit_notes.list({"invoice": str(invoice.id)}).data == []
    note = shop.api.credit_notes.create(
        {
            "invoice": str(invoice.id),
            "lines": [{"type": "invoice_line_item", "invoice_line_item": line, "amount": 400}],
            "refund_amount": 300,
            "credit_amount": 100,
            "reason": "product_unsatisfactory",
            "memo": "Sorry for the outage.",
            "expand": ["refunds.refund", "customer_balance_transaction"],
        }
    )
    assert note.number == f"{invoice.number}-CN-01"
    refund = note.refunds[0].refund
    assert isinstance(refund, stripe.Refund)
    assert (refund.amount, refund.status) == (300, "succeeded")
    entry = note.customer_balance_transaction
    assert isinstance(entry, stripe.CustomerBalanceTransaction)
    assert (entry.amount, entry.credit_note, entry.type) == (-100, note.id, "credit_note")
    assert shop.api.customers.retrieve(member.customer).balance == -100
    again = shop.api.invoices.retrieve(str(invoice.id))
    assert (again.status, again.post_payment_credit_notes_amount) == ("paid", 400)
    assert "credit_note.created" in shop.event_types()
    told = paper(note.pdf)
    for text in ("Credit note", note.number, str(invoice.number), "€4.00", "Sorry for the outage."):
        assert text in told
    whole = {"invoice": str(invoice.id), "amount": 501, "out_of_band_amount": 501}
    assert "is greater than what can be credited" in refused(shop, **whole)
    assert "must equal the credit note amount (€5.00)" in refused(
        shop, invoice=str(invoice.id), amount=500, refund_amount=499
    )
    with pytest.raises(stripe.InvalidRequestError, match="still open"):
        shop.api.credit_notes.void_credit_note(note.id)


def test_an_open_invoice_gets_smaller_and_whole_again_and_is_closed(own: Shop) -> None:
    member, invoice = owing(own)
    id = str(invoice.id)
    note = own.api.credit_notes.create({"invoice": id, "amount": 300})
    assert (note.type, note.pre_payment_amount) == ("pre_payment", 300)
    smaller = own.api.invoices.retrieve(id)
    assert (smaller.amount_remaining, smaller.total) == (600, 900)
    own.api.credit_notes.update(note.id, {"memo": "A mistake", "metadata": {"a": "b"}})
    assert own.api.credit_notes.void_credit_note(note.id).status == "void"
    assert own.api.invoices.retrieve(id).amount_remaining == 900
    custom: Any = {"type": "custom_line_item", "description": "Goodwill", "unit_amount": 450}
    custom["quantity"] = 2
    own.api.credit_notes.create({"invoice": id, "lines": [custom]})
    closed = own.api.invoices.retrieve(id)
    assert (closed.status, closed.amount_paid) == ("paid", 0)
    assert member.plan().status == "active"
    assert own.event_types().count("credit_note.created") == 2
    assert own.event_types().count("credit_note.voided") == 1


def test_taxes_and_discounts_are_taken_back_in_proportion(shop: Shop) -> None:
    api = shop.api
    member = join(shop)
    vat = api.tax_rates.create({"display_name": "VAT", "percentage": 20, "inclusive": False})
    coupon = api.coupons.create({"percent_off": 50, "duration": "forever"})
    subscription = api.subscriptions.create(
        {
            "customer": member.customer,
            "items": [{"price": member.prices["large"], "tax_rates": [vat.id]}],
            "discounts": [{"coupon": coupon.id}],
        }
    )
    invoice = api.invoices.retrieve(str(subscription.latest_invoice))
    assert invoice.total == 1740
    line: Any = {
        "type": "invoice_line_item",
        "invoice_line_item": invoice.lines.data[0].id,
        "amount": 1450,
    }
    note = api.credit_notes.create(
        {
            "invoice": str(invoice.id),
            "lines": [line],
            "out_of_band_amount": 870,
        }
    )
    assert (note.subtotal, note.discount_amount, note.total) == (1450, 725, 870)
    assert note.total_taxes
    assert note.total_taxes[0].amount == 145
    assert api.credit_notes.line_items.list(note.id).data[0].amount == 1450


def test_what_makes_no_sense_is_refused(shop: Shop) -> None:
    member = join(shop)
    paid = str(member.plan().latest_invoice)
    assert "exactly one of `amount` and `lines`" in refused(shop, invoice=paid)
    draft = shop.api.invoices.create({"customer": member.customer})
    assert "This one is draft." in refused(shop, invoice=str(draft.id), amount=100)
    unknown = [{"type": "invoice_line_item", "invoice_line_item": "il_x", "amount": 1}]
    assert "No such" in refused(shop, invoice=paid, lines=unknown)
