"""Takes every case that is due as far as its policy says, whenever the clock looks.

A step is a row that is unique in its case, written in the transaction that promises its effect:
whoever dies leaves all of it or nothing. The lock of a case is its customer's row, as for
everything else that is written about a customer; who is busy with one is passed over.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select
from sqlalchemy.exc import OperationalError

from webapp.billing.models import (
    BillingCustomer,
    BillingOperation,
    CaseState,
    DunningCase,
    DunningStep,
    Invoice,
    OperationKind,
    OperationState,
    PaymentAttempt,
    StepAction,
    StepState,
)
from webapp.billing.policy import Due, EndAction, Policy, decide
from webapp.billing.queries.dunning import (
    Reader,
    cases_with_all,
    facts_of,
    last_failures,
    readers_of,
    steps_of,
)
from webapp.billing.services import entitling, operations
from webapp.billing.services.dunning import mails
from webapp.billing.services.dunning.closing import Ending, close, end_key, withdraw_mails
from webapp.core import clock
from webapp.core.audit import SYSTEM
from webapp.core.db import db
from webapp.payments.models import EventState, StripeEvent

logger = logging.getLogger(__name__)

BATCH = 100
AGAIN_AFTER = timedelta(hours=1)
OVERSLEPT = "A later step was due as well."
ENDED = "Its turn came after the end."


@dataclass(frozen=True, slots=True)
class Ground:
    """What the cases of a batch stand on, read for all of them at once."""

    now: datetime
    readers: dict[int, Reader]
    taken: dict[int, list[DunningStep]]
    failures: dict[int, PaymentAttempt]
    #: Invoices of which Stripe is being asked something: to be paid, or given up.
    asked: set[str]


def tick(limit: int = BATCH) -> int:
    """Take the due cases of up to ``limit`` customers on; flushes. Returns how many cases.

    A case that can't be taken on holds up no other: it is logged and looked at again later.
    """
    now = clock.now()
    customers = _lock_due(now, limit)
    if not customers:
        return 0
    cases = db.session.scalars(
        cases_with_all()
        .where(DunningCase.customer_id.in_([customer.id for customer in customers]), *_is_due(now))
        .order_by(DunningCase.id)
        .execution_options(populate_existing=True)
    ).all()
    ground = Ground(
        now,
        readers_of(customers),
        steps_of([case.id for case in cases]),
        last_failures([case.invoice_id for case in cases]),
        _list_asked([case.invoice.stripe_id for case in cases]),
    )
    for case in cases:
        _advance_safely(case, ground)
    db.session.flush()
    return len(cases)


def is_anybody_due() -> bool:
    """Return whether there is anything for ``tick`` to do."""
    due = select(DunningCase.id).where(*_is_due(clock.now())).limit(1)
    return db.session.scalar(due) is not None


def _lock_due(now: datetime, limit: int) -> Sequence[BillingCustomer]:
    due = (
        select(DunningCase.customer_id)
        .where(*_is_due(now))
        .order_by(DunningCase.next_due_at)
        .limit(limit)
    )
    ids = set(db.session.scalars(due))
    return db.session.scalars(
        select(BillingCustomer)
        .where(BillingCustomer.id.in_(ids))
        .order_by(BillingCustomer.id)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).all()


def _is_due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Whose turn it is; but nobody's of whose invoice news lies unread: it may be paid by now."""
    unread = (
        select(StripeEvent.id)
        .join(Invoice, Invoice.stripe_id == StripeEvent.object_id)
        .where(Invoice.id == DunningCase.invoice_id, StripeEvent.state == EventState.PENDING)
    )
    return DunningCase.state == CaseState.OPEN, DunningCase.next_due_at <= now, ~unread.exists()


def _list_asked(invoices: list[str]) -> set[str]:
    asked = select(BillingOperation.target).where(
        BillingOperation.target.in_(invoices), BillingOperation.state == OperationState.REQUESTED
    )
    return set(db.session.scalars(asked))


def _advance_safely(case: DunningCase, ground: Ground) -> None:
    case_id = case.id
    try:
        with db.session.begin_nested():
            _advance(case, ground)
    except OperationalError:
        raise
    except Exception as error:
        logger.error("case not taken on", exc_info=error, extra={"case": case_id})
        case.next_due_at = ground.now + AGAIN_AFTER


def _advance(case: DunningCase, ground: Ground) -> None:
    if case.excluded_reason is not None or not _awake(case, ground.now):
        case.next_due_at = None if case.excluded_reason else case.paused_until
        return
    if case.invoice.processing or case.invoice.stripe_id in ground.asked:
        # The money may be on its way: nobody is told off, shut out or ended meanwhile.
        case.next_due_at = ground.now + AGAIN_AFTER
        return
    policy = Policy.of(case.policy.rules)
    facts = facts_of(case, ground.readers[case.customer_id].zone)
    taken = {step.key for step in ground.taken[case.id]}
    decision = decide(policy, facts, taken, ground.now)
    ends = any(due.step.action is StepAction.END for due in decision.do)
    for due in decision.missed:
        _record(case, due, StepState.MISSED, ENDED if ends else OVERSLEPT)
    # What shuts a page comes before the mail that tells of it.
    for due in decision.do:
        _take(case, due, policy, ground)
    if case.state is CaseState.OPEN:
        case.next_due_at = decision.next_at
    db.session.flush()


def _awake(case: DunningCase, now: datetime) -> bool:
    """Whether the case goes on; a pause whose end has come is over, and its time doesn't count."""
    if case.paused_at is None:
        return True
    if case.paused_until is None or case.paused_until > now:
        return False
    end_pause(case, case.paused_until)
    return True


def end_pause(case: DunningCase, at: datetime) -> None:
    """Let a paused case go on where it stood."""
    if case.paused_at is not None:
        case.held_seconds += max(0, int((at - case.paused_at).total_seconds()))
    case.paused_at = case.paused_until = None


def _take(case: DunningCase, due: Due, policy: Policy, ground: Ground) -> None:
    match due.step.action:
        case StepAction.MAIL:
            # Where mails were held up, only the newest goes out, and no heap.
            withdraw_mails(case, "A later one took its place before it was sent.")
            reader, failure = ground.readers[case.customer_id], ground.failures.get(case.invoice_id)
            state, cause = mails.post_step(case, due.step, reader, failure)
            _record(case, due, state, cause)
        case StepAction.WALL:
            case.walled_at = ground.now
            _record(case, due, StepState.DONE, "")
            entitling.settle(case.customer)
        case StepAction.END:
            _record(case, due, StepState.DONE, policy.end.value)
            _end(case, due, policy.end, ground.now)


def _record(case: DunningCase, due: Due, state: StepState, cause: str) -> None:
    step = due.step
    db.session.add(
        DunningStep(
            case_id=case.id,
            key=step.key,
            action=step.action,
            state=state,
            due_at=due.at,
            at=clock.now(),
            cause=cause,
        )
    )
    db.session.flush()


def _end(case: DunningCase, due: Due, end: EndAction, now: datetime) -> None:
    """Ask Stripe for the end; the case closes when Stripe says that the subscription has ended."""
    subscription = case.subscription
    if subscription is not None and end is not EndAction.KEEP:
        kinds = {EndAction.CANCEL: OperationKind.CANCEL, EndAction.PAUSE: OperationKind.PAUSE}
        words = {"comment": f"Invoice {case.invoice.number} was not paid."}
        params = words if end is EndAction.CANCEL else {"resumes_at": None, "behavior": "void"}
        # Who paid a moment ago, or while nobody listened, keeps what they have.
        params = params | {"while_open": case.invoice.stripe_id}
        key = f"{end_key(case)}{int(due.at.timestamp())}"
        operations.ask(
            kinds[end], case.customer, subscription.stripe_id, params, actor=SYSTEM, key=key
        )
        return
    close(case, Ending(CaseState.LOST, now, f"ended by the policy: {end.value}"))
    entitling.settle(case.customer)
