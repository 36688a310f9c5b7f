"""What the room of sequences does with one of a sequence's mails: when it comes, and its place."""

from dataclasses import dataclass

from flask import request

from admin.base import Room, action
from webapp.accounts.permissions import Permission
from webapp.accounts.views.guard import actor
from webapp.campaigns.models import Sequence as MailSequence
from webapp.campaigns.models import SequenceStep
from webapp.campaigns.services import sequences
from webapp.core.errors import DomainError

EDIT = Permission.CAMPAIGNS_EDIT
UNITS = {"days": 24 * 60, "hours": 60, "minutes": 1}


@dataclass(frozen=True, slots=True)
class Wait:
    """How long a step waits, in the largest unit that has no rest."""

    number: int
    unit: str

    @property
    def words(self) -> str:
        if not self.number:
            return "At once"
        return f"{self.number} {self.unit.removesuffix('s') if self.number == 1 else self.unit}"


def wait_of(minutes: int) -> Wait:
    for unit, length in UNITS.items():
        if minutes and minutes % length == 0:
            return Wait(minutes // length, unit)
    return Wait(0, "days")


class StepActions(Room):
    """Buttons beside each mail."""

    @action("Add a mail", permission=EDIT, verb=None, button=False)
    def add_step(self, row: MailSequence) -> str:
        sequences.add_step(row.id, _wait(), actor())
        return f"{row.name} has one mail more, to be written now."

    @action("Change the wait", permission=EDIT, verb=None, button=False)
    def set_wait(self, row: MailSequence) -> str:
        minutes = _wait()
        sequences.set_wait(_step(row).id, minutes, actor())
        return "The wait is changed. Who waits already isn't moved."

    @action("Take out", permission=EDIT, verb=None, button=False)
    def remove_step(self, row: MailSequence) -> str:
        step = _step(row)
        name = step.email.name
        sequences.remove_step(step.id, actor())
        return f"{name} is taken out."

    @action("Move up", permission=EDIT, verb=None, button=False)
    def move_up(self, row: MailSequence) -> str:
        step = _step(row)
        order = [each.id for each in row.steps]
        place = order.index(step.id)
        if not place:
            raise DomainError("It is the first already.")
        order[place - 1 : place + 1] = [order[place], order[place - 1]]
        sequences.reorder_steps(row.id, order, actor())
        return f"{step.email.name} comes earlier now."

    @action("Write anew", permission=EDIT, verb=None, button=False)
    def rewrite_step(self, row: MailSequence) -> str:
        draft = sequences.rewrite_step(_step(row).id, actor())
        return f"{draft.name} is a draft again. What was sent stays as it was."


def _wait() -> int:
    """Return the minutes that were typed. Raises DomainError."""
    number, unit = request.form.get("wait", ""), request.form.get("unit", "")
    if not (number.isascii() and number.isdigit() and len(number) < 7) or unit not in UNITS:
        raise DomainError("Say how long it waits: a number, and of what.")
    return int(number) * UNITS[unit]


def _step(row: MailSequence) -> SequenceStep:
    """Return the step of this very sequence that a form names. Raises DomainError."""
    key = request.form.get("step", "")
    for step in row.steps:
        if str(step.id) == key:
            return step
    raise DomainError("That mail is no longer in the sequence. Load the page again.")
