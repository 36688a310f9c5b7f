"""Money that came although what it was for had ended: it waits for a person.

A press of "pay" and our request for the end can reach Stripe in the same breath, and a hosted
invoice can be paid long after it. Whether the money goes back or the customer does is a human's
decision.
"""

from datetime import timedelta

from sqlalchemy import ColumnElement, bindparam, literal_column, select
from sqlalchemy.orm import aliased

from webapp.billing.models import (
    ENDED,
    BillingOperation,
    DunningCase,
    DunningStep,
    Invoice,
    InvoiceStatus,
    OperationKind,
    OperationState,
    StepAction,
    Subscription,
    SubscriptionStatus,
)
from webapp.billing.policy import EndAction
from webapp.core import clock

# An end longer ago is history: whoever pays after that is found in the books.
LATELY = timedelta(days=60)
# The end takes effect while the payment does; who stays longer paid in time and left later.
AT_ONCE = timedelta(days=1)


def paid_yet_ended() -> ColumnElement[bool]:
    """Return what is true of cases whose money came, and whose subscription we ended all the same.

    It is settled once something was given back, or once the customer subscribes again.
    """
    again = aliased(Subscription)
    returned = select(BillingOperation.id).where(
        BillingOperation.target == Invoice.stripe_id,
        BillingOperation.kind == OperationKind.REFUND,
        BillingOperation.state != OperationState.REFUSED,
    )
    came_back = select(again.id).where(
        again.customer_id == Invoice.customer_id, again.status.not_in(ENDED)
    )
    cases = (
        select(DunningStep.case_id)
        .join(DunningCase, DunningCase.id == DunningStep.case_id)
        .join(Invoice, Invoice.id == DunningCase.invoice_id)
        .join(Subscription, Subscription.id == DunningCase.subscription_id)
        .where(
            # Literals, so that the partial index over ends can serve.
            DunningStep.action == literal_column(f"'{StepAction.END}'"),
            DunningStep.at > bindparam("lately_ended", callable_=lambda: clock.now() - LATELY),
            DunningStep.cause == EndAction.CANCEL,
            Invoice.status == InvoiceStatus.PAID,
            Invoice.amount_paid > 0,
            Subscription.status == SubscriptionStatus.CANCELED,
            Subscription.ended_at < Invoice.paid_at + AT_ONCE,
            ~returned.exists(),
            ~came_back.exists(),
        )
    )
    return DunningCase.id.in_(cases)
