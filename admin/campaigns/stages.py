"""The way of a mail from draft to sent: where it stands, and the steps that can be taken now."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from flask import flash, redirect, request
from flask_login import current_user
from werkzeug import Response

from admin.base import action, page
from admin.campaigns.progress import ProgressPages
from webapp.accounts.permissions import Permission
from webapp.accounts.views.guard import actor
from webapp.campaigns.models import Email, EmailState
from webapp.campaigns.services import emails, readying, resending, sending
from webapp.campaigns.services.settings import get_settings
from webapp.core import clock
from webapp.core.db import db
from webapp.core.errors import DomainError

SEND = Permission.CAMPAIGNS_SEND
EDIT = Permission.CAMPAIGNS_EDIT
WAITING = (EmailState.READY, EmailState.SCHEDULED)
UNDER_WAY = (EmailState.SENDING, EmailState.PAUSED)
OVER = resending.OVER
FORMAT = "%Y-%m-%dT%H:%M"
# The clock looks several times a minute.
LATE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Step:
    title: str
    done: bool
    here: bool


@dataclass(frozen=True, slots=True)
class Stage:
    """How far a mail has come, and in a sentence what comes next."""

    steps: list[Step]
    sentence: str


def needs_approval(row: Email) -> bool:
    """Say whether a second person still has to look at a mail that is ready."""
    return row.state is EmailState.READY and row.approved_at is None and get_settings().approval


def in_state(*states: EmailState) -> Callable[[Email], bool]:
    return lambda row: row.state in states


class StageActions(ProgressPages):
    """What moves a mail on, or back, each by a button of its page."""

    @action(
        "Make ready",
        permission=SEND,
        verb=None,
        tone="primary",
        when=in_state(EmailState.DRAFT),
    )
    def make_ready(self, row: Email) -> str:
        readying.make_ready(row.id, actor())
        if get_settings().approval:
            return f"{row.name} is ready. Now somebody else has to approve it."
        return f"{row.name} is ready. Its recipients are being gathered."

    @action(
        "Approve",
        permission=SEND,
        verb=None,
        tone="primary",
        when=lambda row: needs_approval(row) and row.ready_by != current_user.id,
    )
    def approve(self, row: Email) -> str:
        readying.approve(row.id, actor())
        return f"{row.name} is approved. It may be sent now."

    @action(
        "Pause",
        permission=SEND,
        verb=None,
        tone="primary",
        when=in_state(EmailState.SENDING),
    )
    def pause(self, row: Email) -> str:
        sending.pause(row.id, actor())
        return f"{row.name} is paused. Nothing leaves until it is resumed."

    @action(
        "Resume",
        permission=SEND,
        verb=None,
        tone="primary",
        when=in_state(EmailState.PAUSED),
    )
    def resume(self, row: Email) -> str:
        sending.resume(row.id, actor())
        return f"{row.name} goes on with those who have not got it yet."

    @action(
        "Back to draft",
        permission=SEND,
        verb=None,
        when=in_state(*WAITING),
    )
    def back_to_draft(self, row: Email) -> str:
        readying.back_to_draft(row.id, actor())
        return f"{row.name} is a draft again."

    @action(
        "Cancel",
        permission=SEND,
        verb=None,
        tone="danger",
        confirm="It can't be sent any more after that. Cancel it?",
        when=in_state(EmailState.SCHEDULED, *UNDER_WAY),
    )
    def cancel(self, row: Email) -> str:
        sending.cancel(row.id, actor())
        return f"{row.name} is cancelled. Nobody else gets it."

    @action("Schedule", permission=SEND, verb=None, button=False)
    def schedule(self, row: Email) -> str:
        at = read_local(request.form.get("at", ""), zone())
        sending.schedule(row.id, at, actor())
        return f"{row.name} goes out on {told(at)}."

    @action("Send now", permission=SEND, verb=None, button=False)
    def start(self, row: Email) -> str:
        sending.start(row.id, actor())
        return f"{row.name} is on its way."

    @page("/copy/", write=EDIT)
    def copy(self) -> Response:
        """Make a draft of the same words; its page comes next."""
        return self._made_from(lambda row: emails.copy_email(row.id, actor()))

    @page("/resend/", write=SEND)
    def resend(self) -> Response:
        """Make a draft for those recipients who haven't opened the mail."""
        subject = request.form.get("subject", "").strip() or None
        return self._made_from(
            lambda row: resending.resend_to_non_openers(row.id, subject, actor())
        )

    def _made_from(self, make: Callable[[Email], Email]) -> Response:
        if request.method != "POST":
            return redirect(self.get_url(".index_view"), 303)
        row = self.get_one(request.form.get("id", ""))
        back = self.url_of(row)
        with self.refusing() as refusal:
            made = make(row)
            db.session.commit()
            flash(f"{made.name} is a draft of its own now.", "success")
            return redirect(self.url_of(made), 303)
        flash(refusal.sentence, "error")
        return redirect(back, 303)

    @action(
        "Delete",
        permission=EDIT,
        verb=None,
        tone="quiet",
        confirm="Delete this draft for good?",
        gone=True,
        when=in_state(EmailState.DRAFT),
    )
    def discard(self, row: Email) -> str:
        name = row.name
        emails.delete_draft(row.id, actor())
        return f"The draft {name} is deleted."


def zone() -> ZoneInfo:
    """Return the clock that mails are scheduled by."""
    return ZoneInfo(get_settings().time_zone)


def read_local(text: str, where: ZoneInfo) -> datetime:
    """Return the moment that a date-time input says in ``where``. Raises DomainError."""
    try:
        # The input has no zone: it is said in the next line.
        local = datetime.strptime(text[:16], FORMAT).replace(tzinfo=where)
        at = local.astimezone(UTC)
    except (ValueError, OverflowError):
        raise DomainError("Say when: a day and a time.") from None
    if at.astimezone(where).replace(tzinfo=None) != local.replace(tzinfo=None):
        raise DomainError("Clocks go forward that night: there is no such time. Take another.")
    return at


def told(at: datetime) -> str:
    """Return a moment by the clock that mails are scheduled by: ``Nov 21, 09:05 Europe/Berlin``."""
    where = zone()
    return f"{at.astimezone(where):%b %-d, %H:%M} {where.key}"


def suggested(row: Email) -> str:
    """Return what a date-time input shows: the time it has, or the next morning at nine."""
    if row.scheduled_at is not None:
        return f"{row.scheduled_at.astimezone(zone()):{FORMAT}}"
    tomorrow = clock.now().astimezone(zone()) + timedelta(days=1)
    return f"{tomorrow:%Y-%m-%d}T09:00"


def stage_of(row: Email) -> Stage:
    """Return the bar of stages; it ends where the mail did."""
    if row.state is EmailState.AUTOMATED:
        return Stage([], "It goes out by itself, as a step of its sequence.")
    end = "Cancelled" if row.state is EmailState.CANCELLED else "Sent"
    approval = get_settings().approval
    titles = ["Draft", "Ready", *(["Approved"] if approval else []), "Scheduled", "Sending", end]
    here = titles.index(_title(row, approval))
    steps = [
        Step(title, done=number <= here, here=number == here) for number, title in enumerate(titles)
    ]
    return Stage(steps, _sentence(row))


def _title(row: Email, approval: bool) -> str:
    if row.state is EmailState.READY and approval and row.approved_at is not None:
        return "Approved"
    return "Sending" if row.state is EmailState.PAUSED else row.state.value.capitalize()


def _sentence(row: Email) -> str:
    people = number_of_people(row.population)
    match row.state:
        case EmailState.DRAFT:
            return "Write it, look at it, test it. Made ready, its words and recipients stand."
        case EmailState.READY:
            return _sentence_of_ready(row, people)
        case EmailState.SCHEDULED:
            return _sentence_of_scheduled(row, people)
        case EmailState.SENDING:
            return f"It is on its way to {people}."
        case EmailState.PAUSED:
            return "It is held. Who has not got it yet gets it when it is resumed."
        case EmailState.CANCELLED:
            return "It was cancelled: whoever had not got it by then never will."
        case _:
            return f"It went to {number_of_people(sending.progress(row.id).sent)}."


def _sentence_of_ready(row: Email, people: str) -> str:
    if row.populated_at is None:
        return "Its recipients are being gathered. That takes a moment."
    if not row.population:
        return "Nobody would get it. Take it back to draft and choose another audience."
    if needs_approval(row):
        return f"It is for {people}, and waits for the approval of somebody else."
    return f"It is for {people}. Send it now or at a time of your choice."


def _sentence_of_scheduled(row: Email, people: str) -> str:
    at = row.scheduled_at or clock.now()
    if at < clock.now() - LATE:
        return (
            f"It was to go to {people} on {told(at)}, and something keeps it back. Send it now to"
            " learn what."
        )
    return f"It goes to {people} on {told(at)}."


def number_of_people(count: int) -> str:
    return f"{count:,} {'person' if count == 1 else 'people'}"
