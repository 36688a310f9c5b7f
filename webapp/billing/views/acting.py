"""Carrying out what a member asked for while they wait, so that the next page shows it."""

from flask import flash

from webapp.billing.models import BillingOperation, OperationState
from webapp.billing.services.carrying_out import carry_out
from webapp.core.db import db
from webapp.payments.errors import StripeUnavailable

NOTED = (
    "We have noted it. The payment service doesn’t answer just now; it will be done in a few "
    "minutes, and you needn’t do anything more."
)


def carry_out_now(operation: BillingOperation, done: str) -> bool:
    """Commit and carry out; flashes ``done``, why not, or that it waits. Says if it was refused.

    Whatever happens here, the operation is promised to a job.
    """
    operation_id = operation.id
    db.session.commit()
    try:
        state = carry_out(operation_id)
    except StripeUnavailable:
        db.session.rollback()
        flash(NOTED, "info")
        return False
    if state is OperationState.REFUSED:
        error = db.session.get_one(BillingOperation, operation_id).error
        flash(f"That didn’t work: {error}", "error")
        return True
    flash(done, "success")
    return False
