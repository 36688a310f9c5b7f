"""What staff may do in a case: wait, leave somebody alone, ask once more, give up."""

from datetime import datetime

from sqlalchemy import delete, select

from webapp.billing.errors import CaseClosed, CaseHeld, NoSuchCase
from webapp.billing.models import (
    BillingCustomer,
    BillingOperation,
    CaseState,
    DunningCase,
    DunningStep,
    OperationKind,
    StepAction,
    StepState,
)
from webapp.billing.queries.numbers.spans import stamp
from webapp.billing.services import entitling, operations
from webapp.billing.services.dunning.closing import end_key, subject_of, withdraw_mails
from webapp.billing.services.dunning.ticking import end_pause
from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db

LONGEST_REASON = 200
BEING_ENDED = (
    "Stripe is being asked to end this subscription just now. Try again in two minutes: by then "
    "it has ended, or the case can be held."
)


def pause(case_id: int, until: datetime | None, by: Actor) -> DunningCase:
    """Stop a case's clock until a moment, or until somebody starts it again; flushes.

    Nothing is sent meanwhile, what was not sent yet is withdrawn, and the time doesn't count: the
    days go on afterwards where they stood. Banner and wall stay as they are. Raises CaseHeld,
    CaseClosed, NoSuchCase.
    """
    case = _lock(case_id)
    if case.paused_at is not None or case.excluded_reason is not None:
        raise CaseHeld("This case is held already.")
    if until is not None and until <= clock.now():
        raise CaseHeld("A pause has to end in the future.")
    case.paused_at, case.paused_until, case.next_due_at = clock.now(), until, until
    withdraw_mails(case, "The case was paused before it was sent.")
    _take_back_end(case)
    return _note(case, "case.paused", by, until=until.isoformat() if until else None)


def unpause(case_id: int, by: Actor) -> DunningCase:
    """Let a paused case go on; flushes. Raises CaseHeld, CaseClosed, NoSuchCase."""
    case = _lock(case_id)
    if case.paused_at is None:
        raise CaseHeld("This case isn't paused.")
    end_pause(case, clock.now())
    case.next_due_at = clock.now()
    return _note(case, "case.unpaused", by)


def exclude(case_id: int, reason: str, by: Actor) -> DunningCase:
    """Leave somebody alone: no mail, no banner, no wall, no end; flushes.

    The invoice stays open and what is paid still counts. Raises CaseHeld, CaseClosed, NoSuchCase.
    """
    case = _lock(case_id)
    if case.excluded_reason is not None:
        raise CaseHeld("This case is excluded already.")
    end_pause(case, clock.now())
    case.excluded_reason = reason.strip()[:LONGEST_REASON] or "Excluded by hand."
    case.excluded_at, case.next_due_at, case.walled_at = clock.now(), None, None
    withdraw_mails(case, "The case was excluded before it was sent.")
    _take_back_end(case)
    entitling.settle(case.customer)
    return _note(case, "case.excluded", by)


def include(case_id: int, by: Actor) -> DunningCase:
    """Chase an excluded case after all, from where it stood; flushes.

    Raises CaseHeld, CaseClosed, NoSuchCase.
    """
    case = _lock(case_id)
    if case.excluded_reason is None:
        raise CaseHeld("This case isn't excluded.")
    now = clock.now()
    since = case.excluded_at or case.opened_at
    case.held_seconds += max(0, int((now - since).total_seconds()))
    case.left_alone = [*case.left_alone, {"since": stamp(since), "until": stamp(now)}]
    case.excluded_reason = case.excluded_at = None
    case.walled_at = now if _was_walled(case) else None
    case.next_due_at = now
    entitling.settle(case.customer)
    return _note(case, "case.included", by)


def try_now(case_id: int, by: Actor, key: str | None = None) -> BillingOperation:
    """Ask Stripe to charge the customer's card now; flushes. The same ``key`` asks once.

    Raises CaseClosed, NoSuchCase.
    """
    return _ask(case_id, OperationKind.PAY_INVOICE, "case.tried", by, key)


def write_off(case_id: int, by: Actor, key: str | None = None) -> BillingOperation:
    """Give the money up: Stripe asks for it no more, and the case closes; flushes.

    Raises CaseClosed, NoSuchCase.
    """
    case = _lock(case_id)
    withdraw_mails(case, "The money was given up before it was sent.")
    why = "The money was given up before the card was charged."
    operations.take_back([OperationKind.PAY_INVOICE], case.invoice.stripe_id, why)
    return _ask(case_id, OperationKind.WRITE_OFF, "case.written_off", by, key)


def _ask(
    case_id: int, kind: OperationKind, action: str, by: Actor, key: str | None
) -> BillingOperation:
    case = _lock(case_id)
    invoice = case.invoice.stripe_id
    operation = operations.ask(kind, case.customer, invoice, {}, actor=by, key=key)
    _note(case, action, by)
    return operation


def _lock(case_id: int) -> DunningCase:
    """Return an open case; its lock is its customer's row, which is taken first."""
    owner = db.session.scalar(select(DunningCase.customer_id).where(DunningCase.id == case_id))
    if owner is None:
        raise NoSuchCase
    db.session.get_one(BillingCustomer, owner, with_for_update=True, populate_existing=True)
    case = db.session.get_one(DunningCase, case_id, populate_existing=True)
    if case.state is not CaseState.OPEN:
        raise CaseClosed
    return case


def _take_back_end(case: DunningCase) -> None:
    """An end that Stripe was not asked for yet is none: it comes again in its time.

    Raises CaseHeld while Stripe is being asked: it may end, or be asked once more, all the same.
    """
    if case.subscription is None:
        return
    kinds = [OperationKind.CANCEL, OperationKind.PAUSE]
    why = "The case was held before it came to its end."
    taken_back = operations.take_back(kinds, case.subscription.stripe_id, why, end_key(case))
    if taken_back:
        db.session.execute(
            delete(DunningStep).where(
                DunningStep.case_id == case.id, DunningStep.action == StepAction.END
            )
        )
    elif operations.is_waiting(kinds, case.subscription.stripe_id, end_key(case)):
        raise CaseHeld(BEING_ENDED)


def _was_walled(case: DunningCase) -> bool:
    wall = select(DunningStep.id).where(
        DunningStep.case_id == case.id,
        DunningStep.action == StepAction.WALL,
        DunningStep.state == StepState.DONE,
    )
    return db.session.scalar(wall.limit(1)) is not None


def _note(case: DunningCase, action: str, by: Actor, **details: object) -> DunningCase:
    db.session.flush()
    record(by, action, subject_of(case.id), user_id=case.customer.user_id, **details)
    return case
