"""The cases and trials that a figure of recovery or of conversion is made of."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, select

from webapp.billing.models import (
    BillingCustomer,
    CaseState,
    Channel,
    DeclineKind,
    DunningCase,
    Invoice,
    Plan,
    PlanPrice,
    Subscription,
)
from webapp.billing.queries.numbers.recovery import (
    NONE,
    counted,
    month_opened,
    open_at,
    state_at,
)
from webapp.billing.queries.numbers.rows import Part, Rows
from webapp.billing.queries.numbers.spans import Span
from webapp.billing.queries.numbers.trials import TrialState, trial_state_at, trials_begun
from webapp.core.db import db

Cells = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class CaseRow:
    """A chased invoice as it stood at the span's end."""

    id: int
    at: datetime
    email: str
    invoice: str
    amount: int
    currency: str
    code: str
    kind: DeclineKind
    state: CaseState
    closed_at: datetime | None
    channel: Channel | None
    step: str


@dataclass(frozen=True, slots=True)
class TrialRow:
    """A trial as it stood at the span's end."""

    at: datetime
    ends_at: datetime | None
    subscription: str
    subscription_id: int
    email: str
    plan: str
    state: TrialState


@dataclass(frozen=True, slots=True)
class CasesAsked:
    """What narrows the cases of a span; an empty word narrows nothing, "none" means null."""

    state: str = ""
    kind: str = ""
    code: str = ""
    step: str = ""
    channel: str = ""
    month: date | None = None


def list_at_risk(span: Span, currency: str, part: Part) -> Rows:
    """Return the cases still open at the span's end, that with the most money first."""
    found = _cases(span).where(*counted(currency, span.end), open_at(span.end))
    return _page(found.order_by(DunningCase.amount.desc(), DunningCase.id.desc()), part, _case)


def list_cases(span: Span, currency: str, asked: CasesAsked, part: Part) -> Rows:
    """Return the cases opened within the span, or in the month asked for, the newest first."""
    begun = (
        DunningCase.opened_at > span.before
        if asked.month is None
        else month_opened() == asked.month
    )
    found = _cases(span).where(*counted(currency, span.end), begun, *_narrowing(span, asked))
    return _page(found.order_by(DunningCase.opened_at.desc(), DunningCase.id.desc()), part, _case)


def list_trials(span: Span, currency: str, state: str, part: Part) -> Rows:
    """Return the trials begun within the span, the newest first."""
    stood = trial_state_at(span.end)
    found: Select[*Cells] = (
        select(
            Subscription.id,
            Subscription.stripe_id,
            Subscription.trial_start,
            Subscription.trial_end,
            BillingCustomer.email,
            Plan.name,
            stood.label("state"),
            func.count().over().label("total"),
        )
        .join(BillingCustomer, BillingCustomer.id == Subscription.customer_id)
        .outerjoin(PlanPrice, PlanPrice.id == Subscription.plan_price_id)
        .outerjoin(Plan, Plan.id == PlanPrice.plan_id)
        .where(*trials_begun(span, currency), *([stood == state] if state else []))
        .order_by(Subscription.trial_start.desc(), Subscription.id.desc())
    )
    return _page(found, part, _trial)


def _cases(span: Span) -> Select[*Cells]:
    found: Select[*Cells] = (
        select(
            DunningCase,
            state_at(span.end).label("stood"),
            BillingCustomer.email,
            Invoice.number,
            Invoice.stripe_id,
            func.count().over().label("total"),
        )
        .join(BillingCustomer, BillingCustomer.id == DunningCase.customer_id)
        .join(Invoice, Invoice.id == DunningCase.invoice_id)
    )
    return found


def _narrowing(span: Span, asked: CasesAsked) -> list[ColumnElement[bool]]:
    given = [
        (state_at(span.end), asked.state),
        (DunningCase.decline_kind, asked.kind),
        (DunningCase.decline_code, asked.code),
        (DunningCase.step_key, asked.step),
        (DunningCase.channel, asked.channel),
    ]
    return [
        column.is_(None) if value == NONE else column == value for column, value in given if value
    ]


def _page(statement: Select[*Cells], part: Part, make: Any) -> Rows:
    rows = db.session.execute(statement.limit(part.limit).offset(part.offset)).all()
    return Rows(rows[0].total if rows else 0, (make(row) for row in rows))


def _case(row: Row[Any]) -> CaseRow:
    case: DunningCase = row[0]
    is_open = row.stood is CaseState.OPEN
    return CaseRow(
        id=case.id,
        at=case.opened_at,
        email=row.email,
        invoice=row.number or row.stripe_id,
        amount=case.amount,
        currency=case.currency,
        code=case.decline_code or "",
        kind=case.decline_kind,
        state=row.stood,
        closed_at=None if is_open else case.closed_at,
        channel=None if is_open else case.channel,
        step="" if is_open else case.step_key or "",
    )


def _trial(row: Row[Any]) -> TrialRow:
    return TrialRow(
        at=row.trial_start,
        ends_at=row.trial_end,
        subscription=row.stripe_id,
        subscription_id=row.id,
        email=row.email,
        plan=row.name or "",
        state=TrialState(row.state),
    )
