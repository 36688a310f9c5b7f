"""Asks Stripe for objects, several at once, and for what else is needed to understand them."""

from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from flask.globals import app_ctx
from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute

from webapp.billing.models import (
    ENDED,
    BillingCustomer,
    Invoice,
    InvoiceStatus,
    PaymentAttempt,
    Subscription,
)
from webapp.billing.services.sync.references import Ref, RefKind
from webapp.core.db import db
from webapp.payments import gateway
from webapp.payments.errors import NoSuchStripeObject

HANDS = 8

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

Found = gateway.Customer | gateway.StripeSubscription | gateway.StripeInvoice | gateway.Session

FETCH: dict[RefKind, Callable[[str], Found]] = {
    RefKind.CUSTOMER: gateway.get_customer,
    RefKind.SUBSCRIPTION: gateway.get_subscription,
    RefKind.INVOICE: gateway.get_invoice,
    RefKind.SESSION: gateway.get_session,
}


@dataclass(slots=True)
class Findings:
    """What was fetched, and what could not be: a missing object is an error of its ref."""

    customers: dict[str, gateway.Customer] = field(default_factory=dict)
    subscriptions: dict[str, gateway.StripeSubscription] = field(default_factory=dict)
    invoices: dict[str, gateway.StripeInvoice] = field(default_factory=dict)
    sessions: dict[str, gateway.Session] = field(default_factory=dict)
    charges: dict[str, list[gateway.Charge]] = field(default_factory=dict)
    errors: dict[Ref, Exception] = field(default_factory=dict)
    # Whose each of them is, by the customer's id at Stripe.
    owners: dict[Ref, str] = field(default_factory=dict)
    # Of whom something is missing that others lean on: nothing half-known of them is written.
    broken: dict[str, Exception] = field(default_factory=dict)

    def has(self, ref: Ref) -> bool:
        return ref.id in self._shelf(ref.kind) or ref in self.errors

    def put(self, ref: Ref, found: Found | Exception) -> None:
        if isinstance(found, Exception):
            self.errors[ref] = found
        else:
            self._shelf(ref.kind)[ref.id] = found
            self.owners[ref] = _customer_of(found)

    def _shelf(self, kind: RefKind) -> dict[str, Any]:
        shelves: dict[RefKind, dict[str, Any]] = {
            RefKind.CUSTOMER: self.customers,
            RefKind.SUBSCRIPTION: self.subscriptions,
            RefKind.INVOICE: self.invoices,
            RefKind.SESSION: self.sessions,
        }
        return shelves[kind]


def fetch(refs: Iterable[Ref]) -> Findings:
    """Fetch ``refs`` and what they lean on, in rounds; no transaction may be open.

    Ends its own reading of what is known by a commit of nothing.
    """
    findings = Findings()
    wanted = set(refs)
    while wanted:
        _fetch_into(findings, sorted(wanted))
        leaning = _leaning(findings)
        wanted = {ref for ref in leaning if not findings.has(ref)}
        db.session.commit()
        for ref, owner in leaning.items():
            _break(findings, owner, findings.errors.get(ref))
    _fetch_charges(findings)
    return findings


def _break(findings: Findings, owner: str, error: Exception | None) -> None:
    # What is gone for good would hold its customer back for good.
    if error is not None and not isinstance(error, NoSuchStripeObject):
        findings.broken[owner] = error


def _fetch_into(findings: Findings, refs: list[Ref]) -> None:
    for ref, found in zip(refs, _at_once(lambda ref: FETCH[ref.kind](ref.id), refs), strict=True):
        findings.put(ref, found)


def _at_once(ask: Callable[[Asked], Answer], asked: list[Asked]) -> list[Answer | Exception]:
    app = app_ctx.app

    def one(each: Asked) -> Answer | Exception:
        with app.app_context():
            try:
                return ask(each)
            except Exception as error:
                return error

    if len(asked) == 1:
        return [one(asked[0])]
    return list(_hands().map(one, asked))


@cache
def _hands() -> ThreadPoolExecutor:
    """The process's own threads, for good: each keeps its connection to Stripe."""
    return ThreadPoolExecutor(HANDS, "stripe")


def _customer_of(found: Found) -> str:
    if isinstance(found, gateway.Customer):
        return found.id
    return found.customer or ""


def _leaning(findings: Findings) -> dict[Ref, str]:
    """Return what the rows to be written will refer to and we don't know yet, and whose it is."""
    leaning = {Ref(RefKind.CUSTOMER, id_): id_ for id_ in _unknown_customers(findings)}
    subscriptions = _unknown_subscriptions(findings) | _rivals(findings)
    for session in findings.sessions.values():
        if session.subscription:
            subscriptions[session.subscription] = session.customer or ""
    leaning |= {Ref(RefKind.SUBSCRIPTION, id_): owner for id_, owner in subscriptions.items()}
    # Seldom one more request: the newest invoice is mostly about in the same batch.
    invoices = _unknown_invoices(findings)
    return leaning | {Ref(RefKind.INVOICE, id_): owner for id_, owner in invoices.items()}


def _unknown_customers(findings: Findings) -> set[str]:
    named = {id_ for id_ in findings.owners.values() if id_} - set(findings.customers)
    known = select(BillingCustomer.stripe_customer_id).where(
        BillingCustomer.stripe_customer_id.in_(named)
    )
    return named - set(db.session.scalars(known)) if named else set()


def _unknown_subscriptions(findings: Findings) -> dict[str, str]:
    named = {i.subscription: i.customer for i in findings.invoices.values() if i.subscription}
    return _without(named, findings.subscriptions, Subscription.stripe_id)


def _without(
    named: dict[str, str], found: Collection[str], column: InstrumentedAttribute[str]
) -> dict[str, str]:
    """Leave out what was found or is a row of ours."""
    wanted = named.keys() - set(found)
    known = db.session.scalars(select(column).where(column.in_(wanted))) if wanted else ()
    return {id_: named[id_] for id_ in wanted - set(known)}


def _rivals(findings: Findings) -> dict[str, str]:
    """Return other live subscriptions of the same customers: are they still, or is one double?"""
    new = {s.customer for s in findings.subscriptions.values() if s.ended_at is None}
    rows = _live_subscriptions(new)
    return {id_: owner for id_, owner in rows if id_ not in findings.subscriptions}


def _live_subscriptions(customers: Collection[str]) -> list[tuple[str, str]]:
    """Return those we know, each with whose it is, by Stripe's ids."""
    if not customers:
        return []
    live = (
        select(Subscription.stripe_id, BillingCustomer.stripe_customer_id)
        .join(BillingCustomer, BillingCustomer.id == Subscription.customer_id)
        .where(
            BillingCustomer.stripe_customer_id.in_(customers),
            Subscription.status.not_in(ENDED),
        )
    )
    return [(id_, str(owner)) for id_, owner in db.session.execute(live)]


def paid_with(holders: Collection[str]) -> dict[str, frozenset[Ref]]:
    """Return the live subscriptions of customers, by Stripe's id of whose they are.

    Most have their card on the subscription, not on the customer: news of a card is news of them.
    """
    found: dict[str, set[Ref]] = {}
    for id_, owner in _live_subscriptions(holders):
        found.setdefault(owner, set()).add(Ref(RefKind.SUBSCRIPTION, id_))
    return {owner: frozenset(refs) for owner, refs in found.items()}


def _unknown_invoices(findings: Findings) -> dict[str, str]:
    subscriptions = findings.subscriptions.values()
    newest = {s.latest_invoice: s.customer for s in subscriptions if s.latest_invoice}
    return _without(newest, findings.invoices, Invoice.stripe_id)


def _fetch_charges(findings: Findings) -> None:
    """Fetch the tries of invoices that were tried and whose last one we may not know.

    ``attempt_count`` doesn't say it: Stripe counts only the tries of its own schedule.
    """
    tried = {i.id: i for i in findings.invoices.values() if i.payment_intent and i.attempt_count}
    for id_ in _settled(tried.values()):
        tried.pop(id_, None)
    db.session.commit()
    asked = [(id_, intent) for id_, found in tried.items() for intent in found.payment_intents]
    answers = _at_once(gateway.list_charges, [intent for _, intent in asked])
    for (id_, _), answer in zip(asked, answers, strict=True):
        if isinstance(answer, Exception):
            # Without its tries an invoice would look as if there were no card.
            findings.broken[tried[id_].customer] = answer
        else:
            findings.charges.setdefault(id_, []).extend(answer)


def _settled(tried: Iterable[gateway.StripeInvoice]) -> list[str]:
    """Return those whose paying charge we know; of one paid in parts, another may be to come."""
    whole = [i.id for i in tried if i.status == InvoiceStatus.PAID and len(i.payment_intents) == 1]
    if not whole:
        return []
    known = (
        select(Invoice.stripe_id)
        .join(PaymentAttempt, PaymentAttempt.invoice_id == Invoice.id)
        .where(Invoice.stripe_id.in_(whole), PaymentAttempt.succeeded)
    )
    return list(db.session.scalars(known))
