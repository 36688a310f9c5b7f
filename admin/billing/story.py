"""The story of a subscription, an invoice or a case: all that was written down of it, by time."""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from sqlalchemy import select

from admin.billing.declined import words_for
from admin.timeline import (
    MAX_OF_EACH,
    Entry,
    tell_audit,
    tell_events,
    tell_jobs,
    tell_mails,
)
from webapp.accounts.queries.naming import name_people
from webapp.billing.models import (
    BillingOperation,
    Cancellation,
    CardLink,
    CaseState,
    DunningCase,
    DunningStep,
    Invoice,
    OperationState,
    PaymentAttempt,
    StepState,
    Subscription,
    SubscriptionPoint,
)
from webapp.core.db import db
from webapp.core.money import format_money

_CASE_TONES = {
    CaseState.RECOVERED: "good",
    CaseState.LOST: "bad",
    CaseState.VOLUNTARY: "warn",
    CaseState.WRITTEN_OFF: "warn",
}
_STEP_TONES = {StepState.DONE: "info", StepState.MISSED: "warn", StepState.SUPPRESSED: "warn"}
_OPERATION_TONES = {OperationState.DONE: "good", OperationState.REFUSED: "bad"}


@dataclass(frozen=True, slots=True)
class About:
    """What a story is gathered from. ``subject`` is ours, ``objects`` are Stripe's ids."""

    subject: str
    invoices: Sequence[Invoice] = ()
    cases: Sequence[DunningCase] = ()
    objects: Sequence[str] = ()
    more: Sequence[str] = field(default_factory=list)


def tell(about: About) -> list[Entry]:
    """Return a story, oldest first, in as many statements as it has sources."""
    subjects = list(
        dict.fromkeys(
            [
                about.subject,
                *(f"invoice:{each.id}" for each in about.invoices),
                *(f"case:{each.id}" for each in about.cases),
                *about.more,
            ]
        )
    )
    objects = [*about.objects, *(each.stripe_id for each in about.invoices)]
    intents = [each.payment_intent for each in about.invoices if each.payment_intent]
    entries: list[Entry] = []
    entries += tell_events(subjects, objects)
    entries += tell_jobs(subjects)
    for invoice in about.invoices:
        entries += _invoice(invoice)
    entries += _attempts(about.invoices)
    for case in about.cases:
        entries += _case(case)
    entries += _steps(about.cases)
    entries += _links(about.cases)
    entries += _operations([*objects, *intents])
    entries += tell_mails(subjects)
    entries += tell_audit(about.subject)
    return sorted(entries, key=lambda entry: entry.at)


def tell_subscription(
    row: Subscription, invoices: Sequence[Invoice], cases: Sequence[DunningCase]
) -> list[Entry]:
    """Return the story of a subscription with those of its invoices and their cases in it."""
    stripe_customer = row.customer.stripe_customer_id
    objects = [row.stripe_id, *([stripe_customer] if stripe_customer else [])]
    entries = tell(
        About(
            f"subscription:{row.id}",
            invoices,
            cases,
            objects,
            [f"billing_customer:{row.customer_id}"],
        )
    )
    entries += _states(row.stripe_id)
    entries += _leavings(row.id)
    return sorted(entries, key=lambda entry: entry.at)


def _states(stripe_id: str) -> Iterator[Entry]:
    """What it turned into, by Stripe's own events; the first is what it began as."""
    points = db.session.scalars(
        select(SubscriptionPoint)
        .where(SubscriptionPoint.stripe_subscription_id == stripe_id)
        .order_by(SubscriptionPoint.at, SubscriptionPoint.id)
        .limit(MAX_OF_EACH)
    ).all()
    for point in points[:1]:
        yield Entry(point.at, f"Began as {_status(point)}", _price(point), "info", "status")
    for before, point in pairwise(points):
        if before.status is not point.status or before.paused != point.paused:
            yield Entry(point.at, f"Became {_status(point)}", None, "info", "status")
        if before.stripe_price_id != point.stripe_price_id or before.quantity != point.quantity:
            change = f"{_price(before)} → {_price(point)}"
            yield Entry(point.at, "Changed its price", change, "info", "status")


def _status(point: SubscriptionPoint) -> str:
    said = point.status.value.replace("_", " ")
    return f"{said}, collection paused" if point.paused else said


def _price(point: SubscriptionPoint) -> str:
    amount = format_money(point.unit_amount, point.currency)
    often = point.interval.value if point.interval_count == 1 else f"{point.interval_count} "
    every = often if point.interval_count == 1 else f"{often}{point.interval.value}s"
    return f"{point.quantity} × {amount} per {every}"


def _leavings(subscription_id: int) -> Iterator[Entry]:
    rows = db.session.scalars(
        select(Cancellation)
        .where(Cancellation.subscription_id == subscription_id)
        .order_by(Cancellation.id)
        .limit(MAX_OF_EACH)
    )
    for row in rows:
        reason = row.reason.value.replace("_", " ")
        said = " · ".join(part for part in (f"because: {reason}", row.comment) if part)
        yield Entry(row.at, f"Wanted to leave, {row.outcome.value}", said, "warn", "customer")


def _invoice(row: Invoice) -> Iterator[Entry]:
    total, name = format_money(row.total, row.currency), row.number or row.stripe_id
    yield Entry(row.issued_at, f"Invoice {name} over {total}", None, None, "invoice")
    if row.paid_at is not None:
        yield Entry(row.paid_at, f"Invoice {name} paid", total, "good", "invoice")
    if row.voided_at is not None:
        yield Entry(row.voided_at, f"Invoice {name} declared void", None, "warn", "invoice")
    if row.marked_uncollectible_at is not None:
        yield Entry(
            row.marked_uncollectible_at, f"Invoice {name} written off", None, "warn", "invoice"
        )


def _attempts(invoices: Sequence[Invoice]) -> Iterator[Entry]:
    by_id = {row.id: row for row in invoices}
    if not by_id:
        return
    rows = db.session.scalars(
        select(PaymentAttempt)
        .where(PaymentAttempt.invoice_id.in_(by_id))
        .order_by(PaymentAttempt.at.desc())
        .limit(MAX_OF_EACH)
    )
    for row in rows:
        amount = format_money(row.amount, by_id[row.invoice_id].currency)
        card = f"{(row.card_brand or 'card').capitalize()} ending {row.card_last4 or '?'}"
        if row.succeeded:
            yield Entry(row.at, f"Charged {amount}", card, "good", "payment")
        else:
            said = f"{words_for(row.decline_code, row.decline_kind)} {card}"
            yield Entry(row.at, f"Charge of {amount} refused", said, "bad", "payment")


def _case(row: DunningCase) -> Iterator[Entry]:
    amount = format_money(row.amount, row.currency)
    yield Entry(row.opened_at, f"Case {row.id} opened over {amount}", None, "warn", "dunning")
    if row.excluded_reason is not None:
        said = f"because: {row.excluded_reason}"
        yield Entry(row.created_at, f"Case {row.id} is not chased", said, None, "dunning")
    if row.closed_at is not None:
        how = row.state.value.replace("_", " ")
        parts = (row.cause, f"by {row.channel.value}" if row.channel else None, row.step_key)
        said = " · ".join(part for part in parts if part)
        tone = _CASE_TONES.get(row.state)
        yield Entry(row.closed_at, f"Case {row.id} {how}", said or None, tone, "dunning")


def _steps(cases: Sequence[DunningCase]) -> Iterator[Entry]:
    ids = [row.id for row in cases]
    if not ids:
        return
    rows = db.session.scalars(
        select(DunningStep)
        .where(DunningStep.case_id.in_(ids))
        .order_by(DunningStep.at.desc(), DunningStep.id.desc())
        .limit(MAX_OF_EACH)
    )
    for row in rows:
        action, _, day = row.key.partition(":")
        title = f"{action.capitalize()} of day {day} {row.state.value}"
        yield Entry(row.at, title, row.cause or None, _STEP_TONES.get(row.state), "dunning")


def _links(cases: Sequence[DunningCase]) -> Iterator[Entry]:
    ids = [row.id for row in cases]
    if not ids:
        return
    rows = db.session.scalars(
        select(CardLink).where(CardLink.case_id.in_(ids)).order_by(CardLink.id).limit(MAX_OF_EACH)
    )
    for row in rows:
        came = f"by {row.channel.value}{f', step {row.step_key}' if row.step_key else ''}"
        if row.opened_at is not None:
            yield Entry(row.opened_at, "Card link opened", came, "info", "customer")
        if row.used_at is not None:
            yield Entry(row.used_at, "Card link used", came, "good", "customer")


def _operations(targets: Sequence[str]) -> Iterator[Entry]:
    if not targets:
        return
    rows = db.session.scalars(
        select(BillingOperation)
        .where(BillingOperation.target.in_(targets))
        .order_by(BillingOperation.id.desc())
        .limit(MAX_OF_EACH)
    ).all()
    names = name_actors(row.actor for row in rows)
    for row in rows:
        what, by = row.kind.value.replace("_", " "), f"by {names.get(row.actor, row.actor)}"
        yield Entry(row.created_at, f"Asked Stripe: {what}", by, None, "request")
        if row.finished_at is not None:
            tone = _OPERATION_TONES.get(row.state)
            title = f"Stripe {'did' if row.state is OperationState.DONE else 'refused'}: {what}"
            yield Entry(row.finished_at, title, row.error, tone, "request")


def name_actors(actors: Iterable[str]) -> dict[str, str]:
    """Return who is meant by ``staff:<uuid>``, as people are known by their address."""
    ids = {actor: _uuid_of(actor) for actor in actors}
    people = name_people(ids.values())
    return {
        actor: people[key].email for actor, key in ids.items() if key is not None and key in people
    }


def _uuid_of(actor: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(actor.rpartition(":")[2])
    except ValueError:
        return None
