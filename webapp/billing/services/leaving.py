"""Why somebody wants to leave, kept beside what came of it.

What is asked of Stripe for it names its row, so that a refusal is not counted as leaving.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from webapp.billing.models import (
    BillingOperation,
    Cancellation,
    CancelOffer,
    CancelOutcome,
    CancelReason,
    OperationKind,
    Subscription,
)
from webapp.core.db import db

ROW = "cancellation"


@dataclass(frozen=True, slots=True)
class Leaving:
    """Why somebody wants to go, in Stripe's categories and their own words."""

    reason: CancelReason
    comment: str = ""


def remember(
    subscription: Subscription, leaving: Leaving, offer: CancelOffer, outcome: CancelOutcome
) -> dict[str, Any]:
    """Keep it; returns what the params of the operation have to name. Flushes."""
    row = Cancellation(
        subscription_id=subscription.id,
        reason=leaving.reason,
        comment=leaving.comment,
        offer=offer,
        outcome=outcome,
    )
    db.session.add(row)
    db.session.flush()
    return {ROW: row.id}


def take_back(subscription: Subscription) -> dict[str, Any]:
    """Note that whoever left stays after all; returns what the params have to name. Flushes."""
    last = select(Cancellation).where(
        Cancellation.subscription_id == subscription.id,
        Cancellation.outcome == CancelOutcome.CANCELLED,
    )
    row = db.session.scalars(last.order_by(Cancellation.id.desc()).limit(1)).first()
    if row is None:
        return {}
    row.outcome = CancelOutcome.RESUMED
    db.session.flush()
    return {ROW: row.id}


def note_refusal(operation: BillingOperation) -> None:
    """Put right what was kept of an operation that Stripe refused; flushes."""
    row = db.session.get(Cancellation, operation.params.get(ROW, 0))
    if row is None:
        return
    resumed = operation.kind is OperationKind.RESUME
    row.outcome = CancelOutcome.CANCELLED if resumed else CancelOutcome.REFUSED
    db.session.flush()
