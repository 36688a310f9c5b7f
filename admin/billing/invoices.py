"""The room of invoices: what is owed and paid, each try to collect it, and what to do about it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, select, union
from sqlalchemy.orm import joinedload
from werkzeug import Response

from admin.base import Column, Filter, Money, action, page
from admin.billing import invoice_deeds as deeds
from admin.billing.asking import Asking
from admin.billing.customers import (
    ids_of_customers,
    member_url,
    stripe_url,
    subscription_link,
    whole,
)
from admin.billing.declined import words_for
from admin.billing.story import About, tell
from webapp.accounts.permissions import Permission
from webapp.billing.models import (
    DunningCase,
    Invoice,
    InvoiceStatus,
    PaymentAttempt,
    PlanPrice,
    Subscription,
)
from webapp.billing.queries.dunning import last_failures
from webapp.billing.services.sync import Ref, RefKind, sync_now
from webapp.core import clock
from webapp.core.db import db

ACT = Permission.BILLING_ACT
SHOWN = 100


def _number(row: Invoice) -> str:
    return row.number or row.stripe_id


def _owed(row: Invoice) -> Money | None:
    if row.status not in deeds.COLLECTABLE or not row.amount_remaining:
        return None
    return Money(row.amount_remaining, row.currency)


class Invoices(Asking):
    """What customers were asked for, as Stripe last told of it."""

    noun = "invoice"
    may_see = Permission.MEMBERS_VIEW
    empty = "No invoice yet. The first one comes with the first subscription."
    search_hint = "Number, email, in_… or cus_…"
    default_order = (Invoice.issued_at.desc(),)
    columns = (
        Column("number", "Invoice", "text", _number),
        Column("customer", "Customer", "text", lambda row: row.customer.email or "Erased"),
        Column("status", "Status", "pill"),
        Column("issued_at", "Issued", "moment", sort=Invoice.issued_at),
        Column("total", "Total", "money", lambda row: Money(row.total, row.currency)),
        Column("owed", "Owed", "money", _owed),
        Column("attempt_count", "Tries", "number"),
        Column("refused", "Last refusal", "short"),
    )
    filters = (
        Filter(
            "status",
            "Status",
            [(each.value, each.value.capitalize()) for each in InvoiceStatus],
            lambda value: Invoice.status == InvoiceStatus(value),
        ),
    )
    details_template = "admin/billing/invoice.html"

    def statement(self) -> Select[Any]:
        return select(Invoice).options(joinedload(Invoice.customer))

    def load(self, key: Any) -> Invoice | None:
        subscription = joinedload(Invoice.subscription).joinedload(Subscription.price)
        one = (
            select(Invoice)
            .where(Invoice.id == key)
            .options(joinedload(Invoice.customer), subscription.joinedload(PlanPrice.plan))
        )
        row: Invoice | None = db.session.scalar(one.execution_options(populate_existing=True))
        return row

    def search(self, text: str) -> ColumnElement[bool]:
        if text.startswith("in_"):
            return Invoice.stripe_id == text
        found = [
            select(Invoice.id).where(Invoice.number.in_([text, text.upper()])),
            select(Invoice.id).where(Invoice.customer_id.in_(ids_of_customers(text))),
        ]
        if (key := whole(text)) is not None:
            found.append(select(Invoice.id).where(Invoice.id == key))
        return Invoice.id.in_(union(*found))

    def gather(self, rows: Sequence[Invoice]) -> Mapping[Any, Mapping[str, Any]]:
        """Return the last refusal of what is still owed; what is paid needs no reproach."""
        owed = [row.id for row in rows if row.status is not InvoiceStatus.PAID]
        failures = last_failures(owed) if owed else {}
        said = {key: words_for(each.decline_code, None) for key, each in failures.items()}
        return {row.id: {"refused": said.get(row.id)} for row in rows}

    def title_of(self, row: Invoice) -> str:
        return f"Invoice {_number(row)}"

    def person_of(self, row: Invoice) -> Any:
        return row.customer.user_id

    def detail(self, row: Invoice) -> dict[str, Any]:
        attempts = db.session.scalars(
            select(PaymentAttempt)
            .where(PaymentAttempt.invoice_id == row.id)
            .order_by(PaymentAttempt.at.desc(), PaymentAttempt.id.desc())
            .limit(SHOWN)
        ).all()
        cases = db.session.scalars(
            select(DunningCase).where(DunningCase.invoice_id == row.id)
        ).all()
        given_back = deeds.given_back(row)
        return {
            "attempts": [
                (each, words_for(each.decline_code, each.decline_kind)) for each in attempts
            ],
            "lines": [(each, _span(each)) for each in row.lines],
            "cases": cases,
            "story": tell(About(f"invoice:{row.id}", [row], cases)),
            "member_url": member_url(row.customer.user_id),
            "invoices_url": self.get_url(
                ".index_view", search=row.customer.stripe_customer_id or row.customer.email
            ),
            "subscription": subscription_link(row.subscription),
            "owed": _owed(row),
            "given_back": given_back,
            "stripe_url": stripe_url("invoices", row.stripe_id, row.livemode),
            "deeds": self._deeds(row) if self.allows(ACT) else [],
        }

    def _deeds(self, row: Invoice) -> list[tuple[str, str, bool]]:
        pages = (
            ("Charge it now", ".retry", deeds.RETRY, False),
            ("Refund", ".refund", deeds.REFUND, True),
            ("Write it off", ".write_off", deeds.WRITE_OFF, True),
            ("Declare it void", ".void", deeds.VOID, True),
        )
        return [
            (title, self.get_url(endpoint, id=row.id), danger)
            for title, endpoint, deed, danger in pages
            if deed.refuse(row) is None
        ]

    @page("/retry/", read=ACT, write=ACT)
    def retry(self) -> Response | tuple[str, int]:
        return self.deliberate(deeds.RETRY)

    @page("/refund/", read=ACT, write=ACT)
    def refund(self) -> Response | tuple[str, int]:
        return self.deliberate(deeds.REFUND)

    @page("/write-off/", read=ACT, write=ACT)
    def write_off(self) -> Response | tuple[str, int]:
        return self.deliberate(deeds.WRITE_OFF)

    @page("/void/", read=ACT, write=ACT)
    def void(self) -> Response | tuple[str, int]:
        return self.deliberate(deeds.VOID)

    @action("Fetch from Stripe", permission=ACT, verb="fetched", tone="quiet")
    def fetch(self, row: Invoice) -> str:
        sync_now(Ref(RefKind.INVOICE, row.stripe_id))
        return f"It is as Stripe has it now, {clock.now():%H:%M:%S} UTC."


def _span(line: Mapping[str, Any]) -> tuple[datetime, datetime] | None:
    """Return the time a line is for."""
    start, end = line.get("start"), line.get("end")
    if not (isinstance(start, str) and isinstance(end, str)):
        return None
    return datetime.fromisoformat(start), datetime.fromisoformat(end)
