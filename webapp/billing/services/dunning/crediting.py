"""What a recovered payment is owed to: the last thing the customer came by, or nobody's doing."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select

from webapp.billing.models import (
    BillingOperation,
    CardLink,
    Channel,
    DunningCase,
    DunningStep,
    Invoice,
    OperationKind,
    PaymentAttempt,
    StepState,
)
from webapp.billing.services.dunning.closing import Credit
from webapp.core.db import db
from webapp.core.models import ActorKind

# Who came by and left without a card may still have paid at their bank, within this time.
LINGERS = timedelta(days=1)
# The webhook of a payment may be written by Stripe's clock, a link by ours.
SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody came by a mail, the banner, the wall or the portal, or staff pressed a button."""

    at: datetime
    channel: Channel
    step_key: str | None


def credit(case: DunningCase, invoice: Invoice, paid_at: datetime) -> Credit:
    """Return what brought the money of an invoice paid at ``paid_at``.

    The last visit counts: one that left a card, or that was within a day before. Without any it
    was Stripe's own retry; or, where no charge succeeded, something we don't know of. The step is
    the visit's own, else the last that was done by then.
    """
    visits = [*_visits(case, paid_at), *_staff(invoice, paid_at)]
    last_step = _last_step(case, paid_at)
    if visits:
        last = max(visits, key=lambda visit: visit.at)
        return Credit(last.channel, last.step_key or last_step)
    return Credit(Channel.RETRY if _was_charged(invoice) else Channel.OTHER, last_step)


def _visits(case: DunningCase, paid_at: datetime) -> list[Visit]:
    rows = db.session.scalars(
        select(CardLink).where(
            CardLink.customer_id == case.customer_id,
            CardLink.opened_at.between(case.opened_at, paid_at + SKEW),
            or_(CardLink.used_at.is_not(None), CardLink.opened_at >= paid_at - LINGERS),
        )
    )
    return [
        # A step of another case's mail says nothing of this one's.
        Visit(link.opened_at, link.channel, link.step_key if link.case_id == case.id else None)
        for link in rows
        if link.opened_at is not None
    ]


def _staff(invoice: Invoice, paid_at: datetime) -> list[Visit]:
    asked = db.session.scalars(
        select(BillingOperation.created_at).where(
            BillingOperation.target == invoice.stripe_id,
            BillingOperation.kind == OperationKind.PAY_INVOICE,
            BillingOperation.actor.startswith(ActorKind.STAFF.value),
            BillingOperation.created_at.between(paid_at - LINGERS, paid_at + SKEW),
        )
    )
    return [Visit(at, Channel.STAFF, None) for at in asked]


def _last_step(case: DunningCase, by: datetime) -> str | None:
    return db.session.scalar(
        select(DunningStep.key)
        .where(
            DunningStep.case_id == case.id,
            DunningStep.state == StepState.DONE,
            DunningStep.at <= by,
        )
        .order_by(DunningStep.at.desc(), DunningStep.id.desc())
        .limit(1)
    )


def _was_charged(invoice: Invoice) -> bool:
    paid = select(PaymentAttempt.id).where(
        PaymentAttempt.invoice_id == invoice.id, PaymentAttempt.succeeded
    )
    return db.session.scalar(paid.limit(1)) is not None
