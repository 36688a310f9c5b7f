"""What staff may do to an invoice by a page of its own: charge, refund, write off, declare void."""

from sqlalchemy import cast, func, select
from sqlalchemy.types import BigInteger
from wtforms import Form, StringField
from wtforms.validators import Length

from admin.billing.asking import Deed, ask
from admin.billing.customers import JustAsk
from webapp.billing.models import (
    BillingOperation,
    Invoice,
    InvoiceStatus,
    OperationKind,
    OperationState,
)
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.money import format_money, parse_amount

COLLECTABLE = frozenset({InvoiceStatus.OPEN, InvoiceStatus.UNCOLLECTIBLE})


def given_back(row: Invoice) -> int:
    """Return what we asked Stripe to give back of an invoice, in minor units."""
    amount = cast(BillingOperation.params["amount"].astext, BigInteger)
    asked = select(func.coalesce(func.sum(amount), 0)).where(
        BillingOperation.target == row.stripe_id,
        BillingOperation.kind == OperationKind.REFUND,
        BillingOperation.state != OperationState.REFUSED,
    )
    return int(db.session.scalar(asked) or 0)


def _why_not_collectable(row: Invoice) -> str | None:
    if row.status not in COLLECTABLE or row.amount_remaining <= 0:
        return f"This invoice is {row.status.value}: nothing can be collected of it."
    return None


def _owed(row: Invoice) -> str:
    return format_money(row.amount_remaining, row.currency)


def _retry(row: Invoice, _form: Form) -> str:
    said = f"{_owed(row)} were taken."
    return ask(OperationKind.PAY_INVOICE, row.customer, row.stripe_id, {}, said)


RETRY = Deed(
    verb="charged",
    title="Charge it now",
    button="Charge the card",
    form=JustAsk,
    tell=lambda row: [
        f"The customer's card is charged {_owed(row)} at once, whatever day it is.",
        "If the bank refuses, it counts as one more try; banks frown on many.",
    ],
    refuse=_why_not_collectable,
    do=_retry,
)


def _write_off(row: Invoice, _form: Form) -> str:
    said = f"{_owed(row)} are written off."
    return ask(OperationKind.WRITE_OFF, row.customer, row.stripe_id, {}, said)


def _why_not_open(row: Invoice) -> str | None:
    if row.status is not InvoiceStatus.OPEN:
        return f"This invoice is {row.status.value}; only an open one can be written off."
    return None


WRITE_OFF = Deed(
    verb="written_off",
    title="Write it off",
    button="Write it off",
    form=JustAsk,
    tell=lambda row: [
        f"Nobody goes after the {_owed(row)} any more: the case ends and no more mails are sent.",
        "The invoice stays in the books as a loss, and the customer can still pay it. What they "
        "subscribe to goes on until it is cancelled.",
    ],
    refuse=_why_not_open,
    do=_write_off,
    tone="danger",
)


def _void(row: Invoice, _form: Form) -> str:
    said = "The invoice is void: it is as if it had never been sent."
    return ask(OperationKind.VOID_INVOICE, row.customer, row.stripe_id, {}, said)


def _why_not_voidable(row: Invoice) -> str | None:
    if row.status not in COLLECTABLE:
        return f"This invoice is {row.status.value}; it can't be declared void."
    return None


VOID = Deed(
    verb="voided",
    title="Declare it void",
    button="Declare it void",
    form=JustAsk,
    tell=lambda row: [
        f"The {_owed(row)} are not owed any more, and the invoice counts as a mistake.",
        "It keeps its number and can never be paid. This can't be undone.",
    ],
    refuse=_why_not_voidable,
    do=_void,
    tone="danger",
)


class RefundForm(Form):
    amount = StringField(
        "Amount",
        [Length(max=40)],
        description="Empty gives back all that is left.",
        render_kw={"inputmode": "decimal", "autocomplete": "off"},
    )


def _left(row: Invoice) -> int:
    return max(0, row.amount_paid - given_back(row))


def _why_no_refund(row: Invoice) -> str | None:
    if row.amount_paid <= 0 or not row.payment_intent:
        return "Nothing was paid by card for this invoice, so nothing can be given back."
    if _left(row) <= 0:
        return "All that was paid for this invoice is given back already."
    return None


def _refund(row: Invoice, form: RefundForm) -> str:
    typed, left = (form.amount.data or "").strip(), _left(row)
    amount = parse_amount(typed, row.currency) if typed else left
    if not 0 < amount <= left:
        most = format_money(left, row.currency)
        raise DomainError(f"Give back something between nothing and {most}, what is left of it.")
    params = {"amount": amount, "payment_intent": row.payment_intent}
    said = f"{format_money(amount, row.currency)} go back to the customer's card."
    return ask(OperationKind.REFUND, row.customer, row.stripe_id, params, said)


REFUND = Deed(
    verb="refund_requested",
    title="Refund",
    button="Give the money back",
    form=RefundForm,
    tell=lambda row: [
        f"Of {format_money(row.amount_paid, row.currency)} paid, "
        f"{format_money(_left(row), row.currency)} can be given back.",
        "It reaches the customer's card within days, and can't be taken back. The subscription "
        "stays as it is.",
    ],
    refuse=_why_no_refund,
    do=_refund,
    tone="danger",
)
