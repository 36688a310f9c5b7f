"""Opens and closes cases as Stripe's facts come in, in the transaction that writes them.

Whatever order the facts arrive in, the case is the same: it stands on the attempts and times that
Stripe tells of, not on when we heard of them. Only days in which nobody could be told don't count.
The caller holds the customer's lock, which is the lock of all their cases.
"""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from webapp.billing.models import (
    BillingOperation,
    CaseState,
    DeclineKind,
    DunningCase,
    DunningStep,
    Invoice,
    InvoiceStatus,
    OperationKind,
    PaymentAttempt,
    Plan,
    PlanPrice,
    StepAction,
    StepState,
    Subscription,
    SubscriptionStatus,
)
from webapp.billing.policy import EndAction, Policy
from webapp.billing.queries.dunning import find_case, last_failures
from webapp.billing.services.dunning.closing import Ending, close
from webapp.billing.services.dunning.crediting import credit
from webapp.billing.services.dunning.policies import in_force
from webapp.core import clock
from webapp.core.db import db

UNPAID = frozenset({SubscriptionStatus.UNPAID, SubscriptionStatus.CANCELED})
# Stripe's word for a subscription that somebody asked to end; ours asks in the same way.
REQUESTED = "cancellation_requested"
# No webhook that is retried and no sweep comes as late as this.
LATE = timedelta(days=4)


def follow_invoice(invoice: Invoice) -> None:
    """Open the invoice's case once its collection failed, keep it true, and close it; flushes."""
    case = find_case(invoice.id) or _open(invoice)
    if case is None or case.state is not CaseState.OPEN:
        return
    if invoice.status is InvoiceStatus.OPEN:
        _refresh(case, invoice)
        _close_with_subscription(case)
        return
    ending = _ending_of(case, invoice)
    if ending is not None:
        close(case, ending)


def _close_with_subscription(case: DunningCase) -> None:
    """Of a subscription that ended before its invoice was heard of, nobody is chased."""
    subscription = db.session.get(Subscription, case.subscription_id or 0)
    if subscription is not None and subscription.status is SubscriptionStatus.CANCELED:
        close(case, _ending_with(subscription))


def follow_subscription(subscription: Subscription) -> None:
    """Close the cases of a subscription that ended, or that the policy paused; flushes."""
    is_over = subscription.status is SubscriptionStatus.CANCELED
    if not is_over and subscription.pause_behavior is None:
        return
    cases = db.session.scalars(
        select(DunningCase)
        .where(DunningCase.subscription_id == subscription.id, DunningCase.state == CaseState.OPEN)
        .order_by(DunningCase.id)
        .execution_options(populate_existing=True)
    )
    for case in cases.all():
        if is_over:
            close(case, _ending_with(subscription))
        elif (at := _paused_by_policy(case)) is not None:
            close(case, Ending(CaseState.LOST, at, f"ended by the policy: {EndAction.PAUSE}"))


def _paused_by_policy(case: DunningCase) -> datetime | None:
    """Return when the case's own last step asked for the pause; None if it didn't."""
    return db.session.scalar(
        select(DunningStep.at).where(
            DunningStep.case_id == case.id,
            DunningStep.action == StepAction.END,
            DunningStep.state == StepState.DONE,
            DunningStep.cause == EndAction.PAUSE,
        )
    )


def _open(invoice: Invoice) -> DunningCase | None:
    """Open a case if a charge of the invoice ever failed; one that heard late is made as well.

    What the policy leaves alone for how it came about is never a case; what it leaves alone for
    its amount or plan is one that is excluded.
    """
    first = db.session.scalars(
        select(PaymentAttempt)
        .where(PaymentAttempt.invoice_id == invoice.id, ~PaymentAttempt.succeeded)
        .order_by(PaymentAttempt.at, PaymentAttempt.id)
        .limit(1)
    ).first()
    if first is None or invoice.amount_due <= 0:
        return None
    version = in_force()
    policy = Policy.of(version.rules)
    if invoice.billing_reason in policy.excluded_reasons:
        return None
    why_not = _why_excluded(policy, invoice)
    unheard = timedelta() if why_not else _unheard(invoice, first.at)
    values = {
        "invoice_id": invoice.id,
        "subscription_id": invoice.subscription_id,
        "customer_id": invoice.customer_id,
        "policy_id": version.id,
        "state": CaseState.OPEN,
        "amount": invoice.amount_remaining or invoice.amount_due,
        "currency": invoice.currency,
        "decline_code": first.decline_code,
        "decline_kind": first.decline_kind or DeclineKind.TRY_AGAIN,
        "opened_at": first.at,
        "next_due_at": None if why_not else first.at + unheard,
        "excluded_reason": why_not,
        "excluded_at": first.at if why_not else None,
        "held_seconds": int(unheard.total_seconds()),
        "created_at": clock.now(),
    }
    statement = insert(DunningCase).values(values).on_conflict_do_nothing()
    db.session.execute(statement)
    case = find_case(invoice.id)
    if case is not None:
        _refresh(case, invoice)
    return case


def _unheard(invoice: Invoice, first: datetime) -> timedelta:
    """Return the time since the first failure in which nobody could be chased: it doesn't count.

    Who hears for the first time now that something is owed must not be ended by the same hour.
    """
    since = clock.now() - first
    is_late = invoice.status is InvoiceStatus.OPEN and since > LATE
    return timedelta(seconds=int(since.total_seconds())) if is_late else timedelta()


def _why_excluded(policy: Policy, invoice: Invoice) -> str | None:
    if invoice.amount_due < policy.minimum_amount:
        return "The amount is below the policy's minimum."
    slug = db.session.scalar(
        select(Plan.slug)
        .join(PlanPrice, PlanPrice.plan_id == Plan.id)
        .join(Subscription, Subscription.plan_price_id == PlanPrice.id)
        .where(Subscription.id == invoice.subscription_id)
    )
    return "The policy leaves this plan alone." if slug in policy.excluded_plans else None


def _refresh(case: DunningCase, invoice: Invoice) -> None:
    """Take over the newest refusal: another kind of decline goes on by its own steps."""
    newest = last_failures([invoice.id]).get(invoice.id)
    if newest is not None:
        kind = newest.decline_kind or DeclineKind.TRY_AGAIN
        if kind is not case.decline_kind and case.next_due_at is not None:
            case.next_due_at = min(case.next_due_at, clock.now())
        case.decline_code, case.decline_kind = newest.decline_code, kind
    if invoice.amount_remaining > 0:
        case.amount = invoice.amount_remaining
    case.subscription_id = case.subscription_id or invoice.subscription_id
    db.session.flush()


def _ending_of(case: DunningCase, invoice: Invoice) -> Ending | None:
    match invoice.status:
        case InvoiceStatus.PAID:
            at = invoice.paid_at or clock.now()
            if invoice.amount_paid <= 0:
                return Ending(CaseState.WRITTEN_OFF, at, "credited in full")
            return Ending(CaseState.RECOVERED, at, "paid", credit(case, invoice, at))
        case InvoiceStatus.VOID:
            return _given_up(case, invoice, invoice.voided_at, "voided")
        case InvoiceStatus.UNCOLLECTIBLE:
            return _given_up(case, invoice, invoice.marked_uncollectible_at, "uncollectible")
        case _:
            return None


def _given_up(case: DunningCase, invoice: Invoice, at: datetime | None, cause: str) -> Ending:
    """Nobody asks for the money any more: by our decision, or for the subscription's end."""
    at = at or clock.now()
    asked = select(BillingOperation.id).where(
        BillingOperation.target == invoice.stripe_id,
        BillingOperation.kind.in_((OperationKind.WRITE_OFF, OperationKind.VOID_INVOICE)),
    )
    if db.session.scalar(asked.limit(1)) is not None:
        return Ending(CaseState.WRITTEN_OFF, at, cause)
    subscription = db.session.get(Subscription, case.subscription_id or 0)
    if subscription is None or subscription.status not in UNPAID:
        return Ending(CaseState.WRITTEN_OFF, at, cause)
    if subscription.status is SubscriptionStatus.UNPAID:
        return Ending(CaseState.LOST, at, cause)
    return _ending_with(subscription)


def _ending_with(subscription: Subscription) -> Ending:
    """Our own last step ends a subscription by request too: then it is lost, not left.

    It may be the step of another unpaid invoice's case; not of one that was paid after all.
    """
    at = subscription.ended_at or subscription.canceled_at or clock.now()
    ended_by_us = db.session.scalar(
        select(DunningStep.id)
        .join(DunningCase, DunningCase.id == DunningStep.case_id)
        .where(
            DunningCase.subscription_id == subscription.id,
            DunningCase.state.in_((CaseState.OPEN, CaseState.LOST)),
            DunningStep.action == StepAction.END,
            DunningStep.state == StepState.DONE,
            DunningStep.cause.not_in((EndAction.PAUSE, EndAction.KEEP)),
        )
        .limit(1)
    )
    if ended_by_us is not None:
        return Ending(CaseState.LOST, at, "ended by the policy")
    if subscription.cancellation_reason in (None, REQUESTED):
        return Ending(CaseState.VOLUNTARY, at, "cancelled by the customer")
    return Ending(CaseState.LOST, at, subscription.cancellation_reason)
