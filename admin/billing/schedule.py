"""The computed schedule of a case: what was sent, what was missed, what comes next, in one list."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from webapp.billing.models import DunningCase, DunningStep, StepAction, StepState
from webapp.billing.policy import EndAction, Policy
from webapp.billing.queries.dunning import look_ahead, steps_of, zones_of
from webapp.billing.services.dunning.closing import mail_key
from webapp.billing.services.dunning.policies import MAILS
from webapp.core.db import db
from webapp.messaging.models import Mail, MailState

ENDS = {
    EndAction.CANCEL: "The subscription is cancelled",
    EndAction.PAUSE: "The subscription is paused",
    EndAction.KEEP: "The case is closed, the subscription kept",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One step. ``state`` is a pill's word; ``at`` is when it was taken, or will be."""

    title: str
    day: int
    state: str
    at: datetime
    due_at: datetime
    cause: str = ""
    mail_id: int | None = None
    mail_state: MailState | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    lines: Sequence[Line]
    zone: str


def schedule_of(row: DunningCase) -> Schedule:
    """Return a case's steps, those behind it first, then those that will come if nobody pays."""
    policy = Policy.of(row.policy.rules)
    steps = steps_of([row.id])[row.id]
    mails = _mails(row.id, steps)
    behind = [_behind(policy, step, mails.get(step.key)) for step in steps]
    ahead = [
        Line(_title(policy, due.step.action, due.step.day), due.step.day, state, due.at, due.at)
        for state, due in zip(["next", *["later"] * 100], look_ahead(row, steps), strict=False)
    ]
    zone = zones_of([row.customer])[row.customer_id]
    return Schedule([*sorted(behind, key=lambda line: line.due_at), *ahead], zone.key)


def title_of(policy: Policy, key: str) -> str:
    """Return a step in words by its key (``mail:3``)."""
    action, _, day = key.partition(":")
    return _title(policy, StepAction(action), int(day))


def _title(policy: Policy, action: StepAction, day: int) -> str:
    if action is StepAction.WALL:
        return "The wall: what the plan opens is shut until it is paid"
    if action is StepAction.END:
        return ENDS[policy.end]
    mail = next((each.mail for each in policy.mailings if each.day == day), "")
    return f"Mail: {MAILS.get(mail, mail)}" if mail else "Mail"


def _behind(policy: Policy, step: DunningStep, mail: Mail | None) -> Line:
    _, _, day = step.key.partition(":")
    return Line(
        title_of(policy, step.key),
        int(day),
        step.state.value,
        step.at,
        step.due_at,
        step.cause,
        mail.id if mail else None,
        mail.state if mail and step.state is StepState.DONE else None,
    )


def _mails(case_id: int, steps: Sequence[DunningStep]) -> dict[str, Mail]:
    """Return each step's mail by the step's key; their bodies stay where they are."""
    keys = {mail_key(case_id, step.key): step.key for step in steps}
    if not keys:
        return {}
    rows = db.session.execute(
        select(Mail.dedupe_key, Mail.id, Mail.state).where(Mail.dedupe_key.in_(keys))
    )
    return {keys[key]: Mail(id=mail_id, state=state) for key, mail_id, state in rows}
