"""What the page of one mail tells beside its words: the choices, the facts, the way so far."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import exists, select

from admin.base.actions import Action
from admin.campaigns.sizes import sizes_of
from webapp.accounts.queries.naming import name_people
from webapp.campaigns.models import (
    Audience,
    Email,
    EmailFormat,
    EmailState,
    EmailType,
    SendLease,
    SequenceStep,
)
from webapp.campaigns.models import Sequence as MailSequence
from webapp.campaigns.services import resending
from webapp.core.db import db
from webapp.messaging.models import MailSender

# A choice among more than these is none; whoever has so many tidies up.
MOST = 500
FOR = {
    EmailType.BOTH: "Members and prospects",
    EmailType.MEMBER: "Members",
    EmailType.PROSPECT: "Prospects",
}
WRITTEN_IN = {
    EmailFormat.MARKDOWN: "Markdown",
    EmailFormat.HTML: "HTML",
    EmailFormat.MJML: "MJML",
}
EVERYBODY = "Everybody who wants it"


class Step(NamedTuple):
    """The sequence a mail belongs to."""

    sequence_id: int
    sequence_name: str


@dataclass(frozen=True, slots=True)
class Desk:
    """Which buttons the page has, and the lines that say what a folded part holds."""

    main: list[Action]
    side: list[Action]
    may_schedule: bool
    may_start: bool
    may_copy: bool
    may_resend: bool
    people: str
    zone: str
    suggested: str
    window_line: str
    tracking_line: str
    test_line: str


def audiences(*, sized: bool) -> Sequence[tuple[int, str]]:
    """Return the audiences by name; ``sized`` with how many they have, if that is soon known."""
    rows = db.session.scalars(select(Audience).order_by(Audience.name).limit(MOST)).all()
    sizes = sizes_of(rows) if sized else {}
    return [
        (row.id, f"{row.name} ({sizes[row.id].total:,})" if row.id in sizes else row.name)
        for row in rows
    ]


def senders() -> Sequence[tuple[int, str]]:
    rows = db.session.execute(
        select(MailSender.id, MailSender.name, MailSender.address)
        .where(MailSender.active)
        .order_by(MailSender.name)
        .limit(MOST)
    )
    return [(key, f"{name} <{address}>") for key, name, address in rows]


def step_of(email_id: int) -> Step | None:
    """Return the sequence that the mail is a step of, if it is one."""
    found = db.session.execute(
        select(MailSequence.id, MailSequence.name)
        .join(SequenceStep, SequenceStep.sequence_id == MailSequence.id)
        .where(SequenceStep.email_id == email_id)
    ).first()
    return None if found is None else Step(*found)


def facts_of(row: Email) -> list[tuple[str, str]]:
    """Return what was chosen for a mail that can't be changed now."""
    own = row.sender
    sender = f"{own.name} <{own.address}>" if own else "The shop's usual sender"
    facts = [
        ("Audience", again_line(row) or (row.audience.name if row.audience else EVERYBODY)),
        ("Left out", row.exclude.name if row.exclude else ""),
        ("For", FOR[row.type]),
        ("Topic", row.topic.value.capitalize()),
        ("From", sender),
        ("Written in", WRITTEN_IN[row.format]),
        ("Goes out", window_line(row)),
        ("Counted", tracking_line(row)),
    ]
    if row.public:
        facts.append(("Archive", "It can be read there once it is sent"))
    return [(title, value) for title, value in facts if value]


def can_be_resent(row: Email) -> bool:
    """Say whether there may be people who got a mail and are known not to have opened it.

    Where neither opens nor clicks were counted, nobody is: all would get it once more.
    """
    once = row.state in resending.OVER and row.resend_of is None
    if not once or not resending.counts_readers(row):
        return False
    sent = exists().where(SendLease.email_id == row.id, SendLease.sent > 0)
    other = exists().where(Email.resend_of == row.id, Email.state != EmailState.CANCELLED)
    return bool(db.session.scalar(select(sent & ~other)))


def again_line(row: Email) -> str:
    """Say whom a mail that is sent for the second time is for; nothing of any other."""
    if row.resend_of is None:
        return ""
    name = db.session.scalar(select(Email.name).where(Email.id == row.resend_of))
    return f"Who got “{name}” and did not open it"


def window_line(row: Email) -> str:
    if row.window_from is None or row.window_to is None:
        return "At any time of the day"
    clock = "recipient's clock" if row.in_recipients_zone else "shop's clock"
    return f"{_clock(row.window_from)} to {_clock(row.window_to)}, by the {clock}"


def tracking_line(row: Email) -> str:
    counted = [
        word
        for word, wanted in (("opens", row.track_opens), ("clicks", row.track_clicks))
        if wanted
    ]
    return " and ".join(counted).capitalize() or "Nothing"


def test_line(row: Email) -> str:
    """Say how the variants are tried."""
    if row.ab_share is None or row.ab_share == 100:
        return "Everybody gets one of them, in equal parts."
    span = f"{row.ab_minutes} minutes"
    if row.ab_minutes % 60 == 0:
        hours = row.ab_minutes // 60
        span = f"{hours} {'hour' if hours == 1 else 'hours'}"
    return (
        f"{row.ab_share} percent get one of them; after {span} the rest get the one with the most "
        f"{row.ab_metric.value}."
    )


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def history_of(row: Email, *, by_name: bool) -> list[tuple[str, datetime, str]]:
    """Return the steps a mail took, each with who took it for those who may know."""
    people = name_people([row.created_by, row.ready_by, row.approved_by]) if by_name else {}
    told = [
        ("Made", row.created_at, row.created_by),
        ("Ready", row.ready_at, row.ready_by),
        ("Recipients gathered", row.populated_at, None),
        ("Approved", row.approved_at, row.approved_by),
        ("Begun", row.started_at, None),
        ("Over", row.finished_at, None),
    ]
    return [
        (title, at, people[who].email if who in people else "")
        for title, at, who in told
        if at is not None
    ]
