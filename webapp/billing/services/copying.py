"""What billing knows of a person, as their copy of it: all that is theirs, nobody else's."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import select

from webapp.billing.models import (
    BillingCustomer,
    BillingOperation,
    Cancellation,
    CardLink,
    DunningCase,
    DunningStep,
    Invoice,
    PaymentAttempt,
    Plan,
    PlanPrice,
    Subscription,
)
from webapp.billing.queries.home import find_customer
from webapp.core.db import db
from webapp.core.privacy import Chapter, Person, rows_of

OURS = ("id", "customer_id", "subscription_id", "synced_ticket", "synced_at", "livemode")
OPEN_DOORS = (*OURS, "hosted_invoice_url", "invoice_pdf", "payment_intent")
OF_A_CASE = ("id", "invoice_id", "subscription_id", "customer_id", "policy_id", "next_due_at")
AMOUNTS = "Amounts are in the smallest unit of their currency: cents of a dollar, whole yen."


def chapters(person: Person) -> Iterator[Chapter]:
    customer = find_customer(person.user_id)
    mine = customer.id if customer else 0
    yield Chapter(
        "billing",
        "You as somebody who pays: the address and card we know of, never the card's number; "
        "what was asked of our payment provider for you; the links to your card and when you "
        "followed them.",
        _customers(mine, person),
    )
    yield Chapter(
        "subscriptions",
        f"What you subscribed to, with what you told us when you left. {AMOUNTS}",
        _subscriptions(mine),
    )
    yield Chapter(
        "invoices",
        "What you were charged, each try to charge it, and what we did where one failed. "
        + AMOUNTS,
        _invoices(mine),
    )


def _customers(customer: int, person: Person) -> Iterator[dict[str, Any]]:
    hidden = (*OURS, "user_id", "deleted_at")
    for row in rows_of(BillingCustomer, BillingCustomer.id == customer, leave_out=hidden):
        links = rows_of(
            CardLink,
            CardLink.customer_id == customer,
            leave_out=("id", "customer_id", "case_id", "token_hash"),
        )
        yield row | {"requests": list(_requests(customer, person)), "card_links": list(links)}


def _requests(customer: int, person: Person) -> Iterator[dict[str, Any]]:
    """Yield what was asked of Stripe, also by staff: who of them it was is theirs alone."""
    hidden = ("id", "customer_id", "idempotency_key", "due_at", "attempts")
    asked = BillingOperation.customer_id == customer
    for row in rows_of(BillingOperation, asked, leave_out=hidden):
        by_them = row["actor"].endswith(f":{person.user_id}")
        yield row | {"actor": "you" if by_them else "us"}


def _subscriptions(customer: int) -> Iterator[dict[str, Any]]:
    hidden = ("customer_id", "synced_ticket", "synced_at", "livemode", "item_id", "duplicate")
    for row in rows_of(Subscription, Subscription.customer_id == customer, leave_out=hidden):
        price = row.pop("plan_price_id")
        named = select(Plan.name).join(PlanPrice).where(PlanPrice.id == price)
        left = rows_of(Cancellation, Cancellation.subscription_id == row.pop("id"), leave_out=OURS)
        yield {"plan": db.session.scalar(named), **row, "leaving": list(left)}


def _invoices(customer: int) -> Iterator[dict[str, Any]]:
    hidden = tuple(name for name in OPEN_DOORS if name != "id")
    for row in rows_of(Invoice, Invoice.customer_id == customer, leave_out=hidden):
        invoice = row.pop("id")
        tried = rows_of(
            PaymentAttempt,
            PaymentAttempt.invoice_id == invoice,
            leave_out=("id", "invoice_id", "payment_method_id"),
        )
        yield row | {"attempts": list(tried), "chasing": list(_cases(invoice))}


def _cases(invoice: int) -> Iterator[dict[str, Any]]:
    hidden = tuple(name for name in OF_A_CASE if name != "id")
    for row in rows_of(DunningCase, DunningCase.invoice_id == invoice, leave_out=hidden):
        mine = DunningStep.case_id == row.pop("id")
        steps = rows_of(DunningStep, mine, leave_out=("id", "case_id"))
        yield row | {"steps": list(steps)}
