"""Cases as people read them: what is owed, what was done about it, and what comes next."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import joinedload

from webapp.accounts.models import Prospect, User
from webapp.billing.models import (
    BillingCustomer,
    CaseState,
    DeclineKind,
    DunningCase,
    DunningStep,
    Invoice,
    PaymentAttempt,
    PlanPrice,
    StepAction,
    Subscription,
)
from webapp.billing.policy import Due, EndAction, Facts, Policy, timeline
from webapp.billing.queries.payable import list_payable
from webapp.billing.queries.settings import get_settings
from webapp.core.db import db

NO_PLAN = "your subscription"


@dataclass(frozen=True, slots=True)
class Owed:
    """One unpaid invoice as its customer reads of it; days are those of their time zone.

    It failed first on ``opened_on``, last on ``failed_on``. ``retry_on``: when Stripe tries again
    by itself. ``ends_on`` and ``end``: when and how the chasing ends, None where it doesn't, or
    while it rests and nobody has said until when.
    ``card`` is the one that was refused ("Visa 4242"). ``case_id`` is None where nobody chases it.
    """

    case_id: int | None
    number: str
    plan: str
    amount: int
    currency: str
    kind: DeclineKind
    has_card: bool
    card: str
    opened_on: date
    failed_on: date
    retry_on: date | None
    walled: bool
    wall_on: date | None
    end: EndAction | None
    ends_on: date | None
    invoice_url: str | None


@dataclass(frozen=True, slots=True)
class Reader:
    """Whom a mail goes to, and whose clock its hours are by; the address may be empty."""

    email: str
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class CardFace:
    """The card that the next invoice is charged to, as its owner knows it."""

    name: str
    expires: str


def cases_with_all() -> Select[DunningCase]:
    """Return the statement of cases with what is told of them, in one round trip."""
    plan = joinedload(Subscription.price).joinedload(PlanPrice.plan)
    return select(DunningCase).options(
        joinedload(DunningCase.customer),
        joinedload(DunningCase.invoice),
        joinedload(DunningCase.subscription).options(plan),
        joinedload(DunningCase.policy),
    )


def list_owed(customer_id: int) -> list[Owed]:
    """Return what a customer is being asked for, the oldest first: what a new card is charged."""
    invoices = list_payable(customer_id)
    if not invoices:
        return []
    ids = [invoice.id for invoice in invoices]
    chased = db.session.scalars(cases_with_all().where(DunningCase.invoice_id.in_(ids)))
    cases = {case.invoice_id: case for case in chased}
    zone = zones_of([db.session.get_one(BillingCustomer, customer_id)])[customer_id]
    failures = last_failures(ids)
    return [
        owed_of(cases[each.id], zone, failures.get(each.id))
        if each.id in cases
        else _unchased(each, zone, failures.get(each.id))
        for each in invoices
    ]


def owed_of(case: DunningCase, zone: ZoneInfo, failure: PaymentAttempt | None) -> Owed:
    """Return a case as its customer reads of it; see ``last_failures``."""
    policy = Policy.of(case.policy.rules)
    facts = _facts_ahead(case, zone)
    moments = {due.step.action: due.at for due in timeline(policy, facts)} if facts else {}
    wall, end = moments.get(StepAction.WALL), moments.get(StepAction.END)
    failed_at = failure.at if failure else case.opened_at
    card = card_name(failure.card_brand, failure.card_last4) if failure else ""
    return Owed(
        case_id=case.id,
        number=case.invoice.number or "",
        plan=plan_name(case.subscription),
        amount=case.invoice.amount_remaining or case.amount,
        currency=case.currency,
        kind=case.decline_kind,
        has_card=case.decline_code != "missing",
        card=card,
        opened_on=case.opened_at.astimezone(zone).date(),
        failed_on=failed_at.astimezone(zone).date(),
        retry_on=_day(case.invoice.next_payment_attempt, zone),
        walled=case.walled_at is not None,
        wall_on=_day(wall, zone),
        end=policy.end if end and policy.end is not EndAction.KEEP else None,
        ends_on=_day(end, zone) if policy.end is not EndAction.KEEP else None,
        invoice_url=case.invoice.hosted_invoice_url,
    )


def _unchased(invoice: Invoice, zone: ZoneInfo, failure: PaymentAttempt | None) -> Owed:
    """Return an invoice that is no case as its customer reads of it: the policy leaves it be."""
    failed_on = (failure.at if failure else invoice.issued_at).astimezone(zone).date()
    return Owed(
        case_id=None,
        number=invoice.number or "",
        plan=plan_name(invoice.subscription),
        amount=invoice.amount_remaining,
        currency=invoice.currency,
        kind=(failure.decline_kind if failure else None) or DeclineKind.TRY_AGAIN,
        has_card=failure is None or failure.decline_code != "missing",
        card=card_name(failure.card_brand, failure.card_last4) if failure else "",
        opened_on=failed_on,
        failed_on=failed_on,
        retry_on=_day(invoice.next_payment_attempt, zone),
        walled=False,
        wall_on=None,
        end=None,
        ends_on=None,
        invoice_url=invoice.hosted_invoice_url,
    )


def _day(at: datetime | None, zone: ZoneInfo) -> date | None:
    return at.astimezone(zone).date() if at else None


def plan_name(subscription: Subscription | None) -> str:
    """Return what a subscription is called in a sentence."""
    price = subscription.price if subscription else None
    return price.plan.name if price else NO_PLAN


def card_name(brand: str | None, last4: str | None) -> str:
    """Return a card like its owner would say it: ``Visa 4242``; empty for none."""
    spelled = {"amex": "American Express", "jcb": "JCB", "unionpay": "UnionPay"}
    brand = (brand or "").lower()
    named = spelled.get(brand, brand.replace("_", " ").title())
    return " ".join(part for part in (named, last4) if part)


def find_card(customer: BillingCustomer) -> CardFace | None:
    """Return the card in use; None for a customer without one."""
    name = card_name(customer.card_brand, customer.card_last4)
    if not name:
        return None
    month, year = customer.card_exp_month, customer.card_exp_year
    return CardFace(name, f"{month:02}/{year}" if month and year else "")


def last_failures(invoice_ids: Sequence[int]) -> dict[int, PaymentAttempt]:
    """Return the newest refused attempt of each invoice, in one statement."""
    rows = db.session.scalars(
        select(PaymentAttempt)
        .where(PaymentAttempt.invoice_id.in_(invoice_ids), ~PaymentAttempt.succeeded)
        .ext(distinct_on(PaymentAttempt.invoice_id))
        .order_by(PaymentAttempt.invoice_id, PaymentAttempt.at.desc(), PaymentAttempt.id.desc())
    )
    return {row.invoice_id: row for row in rows}


def facts_of(case: DunningCase, zone: ZoneInfo) -> Facts:
    """Return what a case's schedule hangs on; the time it was held doesn't count."""
    begun = case.opened_at + timedelta(seconds=case.held_seconds)
    return Facts(begun, case.decline_kind, zone)


def look_ahead(case: DunningCase, steps: Iterable[DunningStep]) -> list[Due]:
    """Return what will happen in an open case if nobody pays, in its order."""
    if case.state is not CaseState.OPEN or case.excluded_reason is not None:
        return []
    facts = _facts_ahead(case, zones_of([case.customer])[case.customer_id])
    if facts is None:
        return []
    taken = {step.key for step in steps}
    coming = timeline(Policy.of(case.policy.rules), facts)
    return [due for due in coming if due.step.key not in taken]


def _facts_ahead(case: DunningCase, zone: ZoneInfo) -> Facts | None:
    """Return what the steps to come hang on, a pause under way left out; None if it has no end."""
    facts = facts_of(case, zone)
    if case.paused_at is None:
        return facts
    if case.paused_until is None:
        return None
    return replace(facts, opened_at=facts.opened_at + (case.paused_until - case.paused_at))


def steps_of(case_ids: Sequence[int]) -> dict[int, list[DunningStep]]:
    """Return the steps of each case as they were taken, in one statement."""
    found: dict[int, list[DunningStep]] = {case_id: [] for case_id in case_ids}
    rows = db.session.scalars(
        select(DunningStep).where(DunningStep.case_id.in_(case_ids)).order_by(DunningStep.id)
    )
    for step in rows:
        found[step.case_id].append(step)
    return found


def zones_of(customers: Iterable[BillingCustomer]) -> dict[int, ZoneInfo]:
    """Return each customer's time zone: their own where it is known, else the fork's."""
    return {id_: reader.zone for id_, reader in readers_of(customers).items()}


def readers_of(customers: Iterable[BillingCustomer]) -> dict[int, Reader]:
    """Return where each customer is written to: a member by the address they log in with."""
    found = list(customers)
    wrote = select(User.id, User.email).where(
        User.id.in_({each.user_id for each in found if each.user_id}), User.erased_at.is_(None)
    )
    logins: dict[uuid.UUID | None, str] = dict(db.session.execute(wrote).all())
    emails = {each.id: logins.get(each.user_id, each.email).lower() for each in found}
    lives = select(Prospect.email, Prospect.time_zone).where(
        Prospect.email.in_(set(emails.values()) - {""}), Prospect.time_zone != ""
    )
    known = dict(db.session.execute(lives).all())
    usual = _zone(get_settings().time_zone) or ZoneInfo("UTC")
    return {
        id_: Reader(email, _zone(known.get(email, "")) or usual) for id_, email in emails.items()
    }


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def find_case(invoice_id: int) -> DunningCase | None:
    """Return the case of an invoice as it is in the database now."""
    return db.session.scalar(
        select(DunningCase)
        .where(DunningCase.invoice_id == invoice_id)
        .execution_options(populate_existing=True)
    )
