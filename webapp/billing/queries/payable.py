"""What a card is charged for as soon as one is left: pages that ask for it show the same."""

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import joinedload

from webapp.billing.models import (
    ENDED,
    CaseState,
    DunningCase,
    DunningPolicy,
    Invoice,
    InvoiceStatus,
    PlanPrice,
    Subscription,
)
from webapp.billing.policy import EndAction
from webapp.core.db import db


def is_given_up() -> ColumnElement[bool]:
    """Whether an invoice, though open at Stripe, is not asked for any more: its case is closed."""
    kept = and_(
        DunningCase.state == CaseState.LOST,
        DunningPolicy.rules["end"].as_string() == EndAction.KEEP.value,
        Subscription.status.not_in(ENDED),
    )
    closed = (
        select(DunningCase.id)
        .join(DunningPolicy, DunningPolicy.id == DunningCase.policy_id)
        .outerjoin(Subscription, Subscription.id == DunningCase.subscription_id)
        .where(
            DunningCase.invoice_id == Invoice.id,
            DunningCase.state != CaseState.OPEN,
            kept.is_not(True),
        )
    )
    return closed.exists()


def is_payable() -> ColumnElement[bool]:
    """Whether an invoice is charged to a card as soon as one is left: it was tried in vain.

    Not those given up: somebody back after years must not pay for what they never had. Not those
    left alone, who pay in another way, nor what a bank is just being asked for. And no single bills
    that nobody chases.
    """
    case = select(DunningCase.id).where(DunningCase.invoice_id == Invoice.id)
    return and_(
        Invoice.status == InvoiceStatus.OPEN,
        Invoice.attempt_count > 0,
        Invoice.amount_remaining > 0,
        ~Invoice.processing,
        ~is_given_up(),
        ~case.where(DunningCase.excluded_reason.is_not(None)).exists(),
        or_(Invoice.subscription_id.is_not(None), case.exists()),
    )


def list_payable(customer_id: int) -> list[Invoice]:
    """Return what a customer's next card is charged at once, the oldest first."""
    plan = joinedload(Invoice.subscription).joinedload(Subscription.price)
    return list(
        db.session.scalars(
            select(Invoice)
            .where(Invoice.customer_id == customer_id, is_payable())
            .options(plan.joinedload(PlanPrice.plan))
            .order_by(Invoice.issued_at, Invoice.id)
        )
    )


def is_being_paid(customer_id: int) -> bool:
    """Whether a bank was asked for the money of an open invoice and has not answered yet."""
    waiting = select(Invoice.id).where(
        Invoice.customer_id == customer_id,
        Invoice.status == InvoiceStatus.OPEN,
        Invoice.processing,
    )
    return db.session.scalar(waiting.limit(1)) is not None
