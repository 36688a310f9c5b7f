"""How many trials became paying customers."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, case, exists, func, literal, select

from webapp.billing.models import Invoice, Subscription
from webapp.billing.queries.numbers.spans import Span
from webapp.core.db import db


class TrialState(StrEnum):
    """``running``: not over, or over and not yet paid for. ``lost``: ended without a payment."""

    CONVERTED = "converted"
    RUNNING = "running"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Trials:
    """Trials begun within a span, as they stood at its end."""

    converted: int = 0
    running: int = 0
    lost: int = 0

    @property
    def begun(self) -> int:
        return self.converted + self.running + self.lost

    @property
    def rate(self) -> float | None:
        """The part of the decided ones that paid; None while none is decided."""
        decided = self.converted + self.lost
        return self.converted / decided if decided else None


def trials_of(span: Span, currency: str) -> Trials:
    state = trial_state_at(span.end).label("state")
    rows = db.session.execute(
        select(state, func.count()).where(*trials_begun(span, currency)).group_by(state)
    )
    return Trials(**{str(name): count for name, count in rows})


def trials_begun(span: Span, currency: str) -> tuple[ColumnElement[bool], ...]:
    begun = Subscription.trial_start
    return (
        Subscription.currency == currency,
        begun > span.before,
        begun <= span.end,
        ~Subscription.duplicate,
    )


def trial_state_at(end: datetime) -> ColumnElement[str]:
    """Return how a subscription's trial stood: decided by the first money, or by its end."""
    paid = exists().where(
        Invoice.subscription_id == Subscription.id,
        Invoice.amount_paid > 0,
        Invoice.paid_at <= end,
    )
    return case(
        (paid, literal(TrialState.CONVERTED.value)),
        (Subscription.ended_at <= end, literal(TrialState.LOST.value)),
        else_=literal(TrialState.RUNNING.value),
    )
