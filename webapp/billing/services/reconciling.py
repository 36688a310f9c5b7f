"""Compares what we hold with what Stripe holds, and fetches what differs."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CompoundSelect, Select, or_, select, union, update
from sqlalchemy.dialects.postgresql import insert

from webapp.billing.errors import NoSuchDifference
from webapp.billing.models import (
    ENDED,
    BillingCustomer,
    BillingDifference,
    Invoice,
    InvoiceStatus,
    StripeList,
    Subscription,
)
from webapp.billing.services import readings
from webapp.billing.services.sync import Ref, RefKind, sync_now
from webapp.core import clock
from webapp.core.db import db
from webapp.core.state import current_fork
from webapp.payments import gateway
from webapp.payments.errors import NoSuchStripeObject
from webapp.payments.models import EventState, StripeEvent

PAGE = 500
# Invoices of two months: a renewal lost longer ago has been missed by its subscriber too.
REACH = timedelta(days=62)
# How long before the last comparison the next begins: Stripe lists by when an invoice was made.
OVERLAP = timedelta(days=3)
# What may still change; what is paid or void was compared when it was new.
UNSETTLED = (InvoiceStatus.DRAFT, InvoiceStatus.UNCOLLECTIBLE)

SUBSCRIPTION_FIELDS = (
    *("status", "stripe_price_id", "quantity", "unit_amount", "currency", "current_period_end"),
    *("trial_end", "cancel_at_period_end", "cancel_at", "ended_at", "pause_behavior"),
    *("default_payment_method", "latest_invoice"),
)
INVOICE_FIELDS = (
    *("status", "currency", "total", "amount_due", "amount_paid", "amount_remaining"),
    *("attempt_count", "next_payment_attempt", "paid_at"),
)
MISSING = "missing"

Told = gateway.StripeSubscription | gateway.StripeInvoice
Difference = dict[str, Any]


def reconcile() -> int:
    """Compare what lives, is new or unsettled with Stripe's; returns how many fields differ.

    New is what was made since the last comparison that came to its end. Commits page by page. What
    agrees again is closed by itself.
    """
    began = clock.now()
    found = 0
    seen: set[str] = set()
    since = _new_since(began)
    for subscriptions in pages_of(gateway.list_subscriptions()):
        seen |= {each.id for each in subscriptions}
        found += _note(_differing_subscriptions(subscriptions), [each.id for each in subscriptions])
    for invoices in pages_of(_list_invoices(since, began)):
        seen |= {each.id for each in invoices}
        found += _note(_differing_invoices(invoices), [each.id for each in invoices])
    found += _note_unlisted(seen, since, began)
    readings.note(StripeList.INVOICES, began)
    db.session.commit()
    return found


def _new_since(began: datetime) -> datetime:
    last = readings.find(StripeList.INVOICES)
    earliest = began - REACH
    return max(earliest, min(last, began) - OVERLAP) if last else earliest


def _list_invoices(since: datetime, began: datetime) -> Iterator[gateway.StripeInvoice]:
    """Yield what is new, what is owed however old it is, and what else may still change."""
    yield from gateway.list_invoices(since=since)
    yield from gateway.list_invoices(status=InvoiceStatus.OPEN, before=since)
    for status in UNSETTLED:
        yield from gateway.list_invoices(status=status, since=began - REACH, before=since)


def repair(difference_id: int, repaired_by: str) -> None:
    """Fetch the object anew and close all its differences; the caller commits.

    Raises NoSuchDifference, or what Stripe answered.
    """
    difference = db.session.get(BillingDifference, difference_id)
    if difference is None:
        raise NoSuchDifference(difference_id)
    kind, stripe_id = difference.kind, difference.stripe_id
    sync_now(Ref(RefKind(kind), stripe_id))
    _close(stripe_id, repaired_by)


def _close(stripe_id: str, repaired_by: str) -> None:
    db.session.execute(
        update(BillingDifference)
        .where(BillingDifference.stripe_id == stripe_id, BillingDifference.repaired_at.is_(None))
        .values(repaired_at=clock.now(), repaired_by=repaired_by)
    )


def pages_of(found: Iterable[Any]) -> Iterator[list[Any]]:
    """Yield what Stripe lists in pages, with no transaction open while it is asked."""
    page: list[Any] = []
    db.session.commit()
    for each in found:
        page.append(each)
        if len(page) == PAGE:
            yield page
            page = []
    yield page


def _differing_subscriptions(page: list[gateway.StripeSubscription]) -> list[Difference]:
    ours = _ours(Subscription, page)
    known = _known_customers(page)
    differing: list[Difference] = []
    for told in page:
        row = ours.get(told.id)
        if row is None:
            is_ours = told.customer in known or _is_marked(told)
            if is_ours and told.ended_at is None:
                differing.append(_missing("subscription", told.id, told.status))
            continue
        differing += _compare("subscription", row, told, SUBSCRIPTION_FIELDS)
    return differing


def _is_marked(told: gateway.StripeSubscription) -> bool:
    return told.metadata.get("fork") == current_fork().name


def _differing_invoices(page: list[gateway.StripeInvoice]) -> list[Difference]:
    ours = _ours(Invoice, page)
    known = _known_customers(page)
    differing: list[Difference] = []
    for told in page:
        row = ours.get(told.id)
        if row is not None:
            differing += _compare("invoice", row, told, INVOICE_FIELDS)
        elif told.customer in known:
            differing.append(_missing("invoice", told.id, told.status))
    return differing


def _ours(model: type[Any], page: Iterable[Told]) -> dict[str, Any]:
    ids = [each.id for each in page]
    rows = db.session.scalars(select(model).where(model.stripe_id.in_(ids)))
    return {row.stripe_id: row for row in rows}


def _known_customers(page: Iterable[Told]) -> set[str]:
    owners = {each.customer for each in page}
    known = select(BillingCustomer.stripe_customer_id).where(
        BillingCustomer.stripe_customer_id.in_(owners)
    )
    return {str(id_) for id_ in db.session.scalars(known)}


def _compare(kind: str, row: Any, told: Any, fields: Iterable[str]) -> list[Difference]:
    theirs_by_name = {"stripe_price_id": "price_id"}
    pairs = ((f, getattr(row, f), getattr(told, theirs_by_name.get(f, f))) for f in fields)
    return [
        {"kind": kind, "stripe_id": told.id, "field": f, "ours": _word(a), "theirs": _word(b)}
        for f, a, b in pairs
        if _word(a) != _word(b)
    ]


def _missing(kind: str, stripe_id: str, status: str) -> Difference:
    return {
        "kind": kind,
        "stripe_id": stripe_id,
        "field": "status",
        "ours": MISSING,
        "theirs": status,
    }


def _word(value: object) -> str | None:
    if isinstance(value, datetime):
        return value.isoformat()
    return None if value is None else str(value)


def _note(differing: list[Difference], compared: list[str]) -> int:
    """Write a page's differences down and close those that are none any more; commits."""
    now = clock.now()
    awaited = _awaited(compared)
    differing = [each for each in differing if each["stripe_id"] not in awaited]
    for each in differing:
        statement = insert(BillingDifference).values(found_at=now, **each)
        db.session.execute(
            statement.on_conflict_do_update(
                index_elements=["kind", "stripe_id", "field"],
                index_where=BillingDifference.repaired_at.is_(None),
                set_={"ours": each["ours"], "theirs": each["theirs"]},
            )
        )
    still = {(each["stripe_id"], each["field"]) for each in differing}
    open_ones = db.session.scalars(
        select(BillingDifference).where(
            BillingDifference.stripe_id.in_(compared), BillingDifference.repaired_at.is_(None)
        )
    )
    for row in open_ones:
        if (row.stripe_id, row.field) not in still:
            row.repaired_at, row.repaired_by = now, "comparison"
    db.session.commit()
    return len(differing)


def _awaited(compared: list[str]) -> set[str | None]:
    """Return those with an event still to be handled: they differ for good reason."""
    waiting = select(StripeEvent.object_id).where(
        StripeEvent.object_id.in_(compared), StripeEvent.state == EventState.PENDING
    )
    return set(db.session.scalars(waiting))


def _note_unlisted(seen: set[str], since: datetime, began: datetime) -> int:
    """Ask one by one for what lives or differs with us and Stripe's lists did not name."""
    living = select(Subscription.stripe_id).where(
        Subscription.status.not_in(ENDED), Subscription.created_at < began
    )
    may_change = or_(
        Invoice.status == InvoiceStatus.OPEN,
        Invoice.status.in_(UNSETTLED) & (Invoice.issued_at > began - REACH),
    )
    unsettled = select(Invoice.stripe_id).where(may_change, Invoice.issued_at < since)
    subscriptions = _unseen(union(living, _differed(RefKind.SUBSCRIPTION)), seen)
    invoices = _unseen(union(unsettled, _differed(RefKind.INVOICE)), seen)
    found = 0
    for stripe_id in subscriptions:
        found += _note(_ask_for_subscription(stripe_id), [stripe_id])
    for stripe_id in invoices:
        found += _note(_ask_for_invoice(stripe_id), [stripe_id])
    return found


def _differed(kind: RefKind) -> Select[str]:
    return select(BillingDifference.stripe_id).where(
        BillingDifference.kind == kind, BillingDifference.repaired_at.is_(None)
    )


def _unseen(ids: CompoundSelect[str], seen: set[str]) -> list[str]:
    return [id_ for id_ in db.session.scalars(ids) if id_ not in seen]


def _ask_for_subscription(stripe_id: str) -> list[Difference]:
    db.session.commit()
    try:
        return _differing_subscriptions([gateway.get_subscription(stripe_id)])
    except NoSuchStripeObject:
        return [_gone("subscription", stripe_id)]


def _ask_for_invoice(stripe_id: str) -> list[Difference]:
    db.session.commit()
    try:
        return _differing_invoices([gateway.get_invoice(stripe_id)])
    except NoSuchStripeObject:
        return [_gone("invoice", stripe_id)]


def _gone(kind: str, stripe_id: str) -> Difference:
    return {
        "kind": kind,
        "stripe_id": stripe_id,
        "field": "status",
        "ours": "living",
        "theirs": MISSING,
    }
