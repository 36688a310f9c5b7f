"""The end of a case: nothing more is due in it, and what was not sent yet never is."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import update

from webapp.billing.models import CaseState, Channel, DunningCase, DunningStep, StepState
from webapp.core.db import db
from webapp.messaging.services.withdrawing import withdraw


@dataclass(frozen=True, slots=True)
class Credit:
    """What brought the money: the way somebody came by, and the step it followed."""

    channel: Channel
    step_key: str | None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a case ended, when by Stripe's clock, and by what."""

    state: CaseState
    at: datetime
    cause: str
    credit: Credit | None = None


def close(case: DunningCase, ending: Ending) -> None:
    """Close an open case and withdraw its mails; flushes. A closed one never opens again."""
    case.state = ending.state
    case.closed_at = ending.at
    case.cause = ending.cause
    case.next_due_at = None
    if ending.credit is not None:
        case.channel, case.step_key = ending.credit.channel, ending.credit.step_key
    db.session.flush()
    withdraw_mails(case, "The case closed before it was sent.")


def withdraw_mails(case: DunningCase, why: str) -> None:
    """Take back the case's mails that are not on their way; their steps say so. Flushes."""
    prefix = mail_key(case.id, "")
    keys = [key.removeprefix(prefix) for key in withdraw(subject_of(case.id), prefix)]
    if keys:
        db.session.execute(
            update(DunningStep)
            .where(DunningStep.case_id == case.id, DunningStep.key.in_(keys))
            .values(state=StepState.WITHDRAWN, cause=why)
        )


def subject_of(case_id: int) -> str:
    return f"case:{case_id}"


def end_key(case: DunningCase) -> str:
    """Return how the keys begin under which Stripe is asked for the end of a case."""
    return f"end:{case.invoice.stripe_id}:"


def mail_key(case_id: int, step_key: str) -> str:
    """Return the key that makes a step's mail one for ever."""
    return f"dunning:{case_id}:{step_key}"
