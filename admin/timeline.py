"""One order's story in one list: everything any part of the shop wrote down about it, by time."""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import selectinload

from webapp.accounts.queries.naming import Person, name_people
from webapp.core.audit_reading import list_about, words
from webapp.core.db import db
from webapp.core.models import AuditEntry, Job, JobAttempt, JobState
from webapp.core.money import format_money
from webapp.messaging.models import BounceKind, MailState
from webapp.messaging.queries import BounceLine, MailLine, list_bounces_about, list_mails
from webapp.orders.models import (
    Checkout,
    Order,
    OrderPayment,
    OrderRefund,
    OrderState,
    OrderStatus,
    RefundState,
    Shipment,
)
from webapp.payments.models import EventState, StripeEvent

MAX_OF_EACH = 200

_STATUS_TONES = {
    OrderState.NEEDS_ACTION: "warn",
    OrderState.CANCELLED: "bad",
    OrderState.SHIPPED: "good",
    OrderState.DELIVERED: "good",
}
_MAIL_TONES = {MailState.FAILED: "bad", MailState.UNKNOWN: "warn", MailState.SUPPRESSED: "warn"}
_MAIL_TROUBLE = {
    MailState.FAILED: "not sent",
    MailState.UNKNOWN: "in doubt",
    MailState.SUPPRESSED: "withheld",
    MailState.WITHDRAWN: "withdrawn, as it was no longer true",
}
_EVENT_TONES = {EventState.PARKED: "bad", EventState.PENDING: "info"}
_REFUND_TONES = {RefundState.FAILED: "bad", RefundState.SUCCEEDED: "good"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One moment. ``kind`` says which part of the shop speaks, ``tone`` how it went."""

    at: datetime
    title: str
    detail: str | None = None
    tone: str | None = None
    kind: str | None = None


def tell(order: Order) -> list[Entry]:
    """Return the order's story, oldest first; what happened at one instant keeps this order.

    The order's history, shipments, refunds and payment are read from it; the rest takes eight
    statements, however long the story is.
    """
    subjects = [f"order:{order.id}"]
    if order.checkout_id is not None:
        subjects.append(f"checkout:{order.checkout_id}")
    entries: list[Entry] = []
    entries += _checkout(order)
    entries += tell_events(subjects)
    entries += _payment(order)
    entries += [_status(step) for step in order.history]
    entries += tell_jobs(subjects)
    entries += tell_mails(subjects[:1])
    entries += [_shipment(shipment) for shipment in order.shipments]
    entries += [_refund(refund, order.currency) for refund in order.refunds]
    entries += tell_audit(subjects[0])
    return sorted(entries, key=lambda entry: entry.at)


def payment_of(order: Order) -> OrderPayment | None:
    """Return the payment. An order always has one; a broken one must still be shown to mend it."""
    return order.payment


def _checkout(order: Order) -> Iterator[Entry]:
    checkout = db.session.get(Checkout, order.checkout_id) if order.checkout_id else None
    if checkout is None:
        return
    total = format_money(checkout.total_amount, checkout.currency)
    asked = f"{total} · request {checkout.request_id or 'unknown'}"
    yield Entry(checkout.created_at, "Checkout opened, stock promised", asked, "info", "request")
    if checkout.ended_at is not None:
        yield Entry(checkout.ended_at, f"Checkout {checkout.state.value}", None, None, "request")


def _payment(order: Order) -> Iterator[Entry]:
    paid = payment_of(order)
    if paid is None:
        return
    amount = format_money(paid.amount, paid.currency)
    yield Entry(paid.paid_at, f"Paid {amount}", paid.stripe_session_id, "good", "payment")


def _status(step: OrderStatus) -> Entry:
    title = step.status.value.replace("_", " ").capitalize()
    said = " · ".join(part for part in (step.note, f"by {step.actor}") if part)
    return Entry(step.at, title, said, _STATUS_TONES.get(step.status, "info"), "status")


def tell_events(subjects: Sequence[str], objects: Sequence[str] = ()) -> Iterator[Entry]:
    """Tell what Stripe said about our subjects, or about its own objects by their ids."""
    rows = db.session.execute(
        select(
            StripeEvent.type,
            StripeEvent.id,
            StripeEvent.state,
            StripeEvent.attempts,
            StripeEvent.received_at,
            StripeEvent.done_at,
            StripeEvent.error,
            StripeEvent.request_id,
        )
        .where(or_(StripeEvent.subject.in_(subjects), StripeEvent.object_id.in_(objects)))
        .order_by(StripeEvent.received_at.desc())
        .limit(MAX_OF_EACH)
    )
    for row in rows:
        tone = _EVENT_TONES.get(row.state)
        about = f"{row.id} · request {row.request_id or 'unknown'}"
        yield Entry(row.received_at, f"Stripe said {row.type}", about, tone, "webhook")
        if row.done_at is not None:
            tries = "at the first try" if row.attempts == 1 else f"after {row.attempts} tries"
            title = f"{row.type} worked through, {tries}"
            yield Entry(row.done_at, title, row.error, None, "webhook")


def tell_jobs(subjects: Sequence[str]) -> Iterator[Entry]:
    jobs = db.session.scalars(
        select(Job)
        .where(Job.subject.in_(subjects))
        .order_by(Job.id)
        .limit(MAX_OF_EACH)
        .options(selectinload(Job.tries).raiseload("*"))
    )
    for job in jobs:
        name = job.path.removeprefix("jobs.")
        yield Entry(job.created_at, f"Promised {name}", f"job {job.id}", None, "job")
        for attempt in job.tries:
            yield _try(name, job, attempt)
        yield from _state(name, job)


def _try(name: str, job: Job, attempt: JobAttempt) -> Entry:
    which = "" if attempt.number == 1 and not attempt.error else f" at try {attempt.number}"
    if attempt.error is None:
        took = (attempt.finished_at - attempt.started_at).total_seconds()
        done = f"job {job.id} · {took:.1f} s on {attempt.worker}"
        return Entry(attempt.finished_at, f"Ran {name}{which}", done, "good", "job")
    return Entry(attempt.finished_at, f"{name} failed{which}", attempt.error, "bad", "job")


def _state(name: str, job: Job) -> Iterable[Entry]:
    """A job that was lost or given up has an end of its own beside its tries."""
    tried = len(job.tries)
    if job.state is JobState.FAILED and job.finished_at is not None:
        told = job.error or "no reason was noted"
        return [Entry(job.finished_at, f"{name} given up", told, "bad", "job")]
    if job.state is JobState.QUEUED and tried:
        return [Entry(job.run_at, f"{name} is tried again", None, "warn", "job")]
    return []


def tell_mails(subjects: Sequence[str]) -> Iterator[Entry]:
    for mail in list_mails(*subjects):
        yield from _mail(mail)
    for bounce in list_bounces_about(*subjects):
        yield _bounce(bounce)


def _mail(mail: MailLine) -> Iterator[Entry]:
    name = mail.kind.replace("_", " ")
    yield Entry(mail.created_at, f"Mail written: {name}", f"to {mail.recipient}", None, "mail")
    if mail.state is MailState.SENT and mail.sent_at is not None:
        yield Entry(mail.sent_at, f"Mail sent: {name}", mail.smtp_reply, "good", "mail")
    elif mail.state in _MAIL_TROUBLE:
        title = f"Mail {_MAIL_TROUBLE[mail.state]}: {name}"
        tone = _MAIL_TONES.get(mail.state)
        yield Entry(mail.created_at, title, mail.smtp_reply, tone, "mail")


def _bounce(bounce: BounceLine) -> Entry:
    if bounce.kind is BounceKind.COMPLAINT:
        return Entry(bounce.at, "Mail called spam by its recipient", None, "warn", "mail")
    said = " ".join(part for part in (bounce.status, bounce.diagnostic) if part)
    return Entry(bounce.at, "Mail came back", said or None, "bad", "mail")


def _shipment(shipment: Shipment) -> Entry:
    pieces = sum(line.quantity for line in shipment.lines)
    said = f"{pieces} {'piece' if pieces == 1 else 'pieces'} by {shipment.carrier}"
    if shipment.tracking_number:
        said += f", tracking {shipment.tracking_number}"
    return Entry(
        shipment.shipped_at,
        "Parcel handed over",
        f"{said} · by {shipment.actor}",
        "good",
        "shipment",
    )


def _refund(refund: OrderRefund, currency: str) -> Entry:
    amount = format_money(refund.amount, currency)
    said = " · ".join(part for part in (refund.reason, refund.error, f"by {refund.actor}") if part)
    title = f"Refund of {amount} {refund.state.value}"
    return Entry(refund.created_at, title, said, _REFUND_TONES.get(refund.state, "warn"), "refund")


def tell_audit(subject: str) -> Iterator[Entry]:
    deeds = list_about(subject, MAX_OF_EACH)
    people = name_people(deed.actor_id for deed in deeds)
    for deed in reversed(deeds):
        yield Entry(deed.at, words(deed.action), f"by {_who(deed, people)}", None, "audit")


def _who(deed: AuditEntry, people: Mapping[uuid.UUID, Person]) -> str:
    person = people.get(deed.actor_id) if deed.actor_id else None
    return person.email if person else deed.actor_kind.value
