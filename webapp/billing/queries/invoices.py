"""A member's invoices: a page of them, and each as its receipt shows it."""

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import joinedload

from webapp.billing.models import (
    BillingCustomer,
    Invoice,
    InvoiceStatus,
    PaymentAttempt,
    PlanPrice,
    Subscription,
)
from webapp.core.db import db

PAGE_SIZE = 20
LATEST = 3
YEAR = re.compile(r"(?:19|20)\d\d")


@dataclass(frozen=True, slots=True)
class InvoicePage:
    """A page (from 1) of a member's invoices, ``total`` on all of them."""

    items: list[Invoice]
    number: int
    pages: int
    total: int


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an invoice, for the time from ``start`` to ``end``."""

    description: str
    quantity: int
    amount: int
    start: datetime | None
    end: datetime | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """An invoice with its lines and, once paid, with what."""

    invoice: Invoice
    plan_name: str
    lines: tuple[Line, ...]
    paid_with: PaymentAttempt | None


def list_invoices(
    user_id: uuid.UUID, number: int = 1, words: str = "", size: int = PAGE_SIZE
) -> InvoicePage:
    """Return a member's invoices, newest first; drafts are nobody's to see yet.

    ``words`` is a part of the invoice's number, or a year. A page past the last is the last.
    """
    where = [*_mine(user_id), *_matching(words)]
    total = int(db.session.scalar(_joined(func.count(Invoice.id)).where(*where)) or 0)
    pages = max(1, -(-total // size))
    number = min(max(number, 1), pages)
    found = (
        _joined(Invoice)
        .where(*where)
        .order_by(Invoice.issued_at.desc(), Invoice.id.desc())
        .offset((number - 1) * size)
        .limit(size)
    )
    return InvoicePage(list(db.session.scalars(found)), number, pages, total)


def find_invoice(user_id: uuid.UUID, invoice_id: int) -> Invoice | None:
    """Return one of the member's own invoices; None for anybody else's."""
    found: Invoice | None = db.session.scalar(
        _joined(Invoice)
        .where(*_mine(user_id), Invoice.id == invoice_id)
        .options(
            joinedload(Invoice.subscription)
            .joinedload(Subscription.price)
            .joinedload(PlanPrice.plan)
        )
    )
    return found


def read_receipt(invoice: Invoice) -> Receipt:
    """Return an invoice as its page and its mail show it."""
    paid_with = db.session.scalars(
        select(PaymentAttempt)
        .where(PaymentAttempt.invoice_id == invoice.id, PaymentAttempt.succeeded)
        .order_by(PaymentAttempt.at.desc())
        .limit(1)
    ).first()
    subscription = invoice.subscription
    plan = subscription.price.plan.name if subscription and subscription.price else ""
    return Receipt(invoice, plan, tuple(_line(each) for each in invoice.lines), paid_with)


def _joined(what: Any) -> Any:
    return (
        select(what)
        .select_from(Invoice)
        .join(BillingCustomer, BillingCustomer.id == Invoice.customer_id)
    )


def _mine(user_id: uuid.UUID) -> list[ColumnElement[bool]]:
    return [BillingCustomer.user_id == user_id, Invoice.status != InvoiceStatus.DRAFT]


def _matching(words: str) -> list[ColumnElement[bool]]:
    words = words.strip()
    if not words:
        return []
    if YEAR.fullmatch(words):
        first = datetime(int(words), 1, 1, tzinfo=UTC)
        return [Invoice.issued_at >= first, Invoice.issued_at < first.replace(year=int(words) + 1)]
    return [Invoice.number.icontains(words, autoescape=True)]


def _line(line: dict[str, Any]) -> Line:
    return Line(
        description=line.get("description") or "Subscription",
        quantity=line.get("quantity") or 1,
        amount=line.get("amount") or 0,
        start=_moment(line.get("start")),
        end=_moment(line.get("end")),
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
