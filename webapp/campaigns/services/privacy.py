"""What campaigns and visits know of a person: handed over, or made anybody's."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, case, cast, delete, func, or_, select
from sqlalchemy import update as change

from webapp.campaigns.erased import ERASED_AT
from webapp.campaigns.models import (
    ClientEvent,
    Email,
    EmailLink,
    EmailRecipient,
    EmailUnsubscribe,
    EmailVariant,
    PersonTag,
    RecipientState,
    Sequence,
    SequenceRun,
    TrackingEvent,
    TrackingOptOut,
)
from webapp.core.db import db
from webapp.core.privacy import BATCH, Chapter, Person, Tally, among, blot_out, rows_of, run

KEPT = "That somebody saw a page and when, for the figures of the shop; nothing says who."
COUNTED = "That a mail went to somebody and what came of it, for its figures; nothing says who."


def chapters(person: Person) -> Iterator[Chapter]:
    """Yield what the person did here while logged in, and what mails to them know."""
    events = rows_of(
        ClientEvent, ClientEvent.user_id == person.user_id, leave_out=("id", "user_id")
    )
    yield Chapter("events", "Pages you looked at and buttons you pressed.", events)
    yield Chapter("newsletters", "Newsletters and offers we sent you.", _in_batches(_mails(person)))
    yield Chapter(
        "opens_and_clicks",
        "When such a mail was opened, or a link in it followed; by you, or by a machine.",
        _in_batches(_tracked(person)),
    )
    yield Chapter(
        "unsubscribes", "When you left by such a mail, and why.", _in_batches(_goodbyes(person))
    )
    yield Chapter("follow_ups", "Rows of mails that you are in.", _in_batches(_runs(person)))
    yield Chapter("tags", "Words by which we find you again.", _tags(person))
    yield Chapter("tracking", "Whether opens and clicks are recorded.", _choices(person))


def _mails(person: Person) -> Any:
    row = EmailRecipient
    told = (row.sent_at, row.opened_at, row.clicked_at, row.bounced_at, row.complained_at)
    words = and_(EmailVariant.email_id == row.email_id, EmailVariant.number == row.variant)
    return (
        select(row.id, row.address, Email.topic, EmailVariant.subject, row.fields, row.state)
        .add_columns(*told, row.left_at, row.smtp_reply)
        .join(Email, Email.id == row.email_id)
        .outerjoin(EmailVariant, words)
        .where(_theirs(person))
    )


def _tracked(person: Person) -> Any:
    row = TrackingEvent
    link = and_(EmailLink.email_id == row.email_id, EmailLink.number == row.link)
    seen = (row.kind, row.at, row.method, row.agent, row.network, row.human, row.why)
    return (
        select(row.id, *seen, EmailLink.url)
        .join(EmailRecipient, _of_recipient(TrackingEvent))
        .outerjoin(EmailLink, link)
        .where(_theirs(person))
    )


def _goodbyes(person: Person) -> Any:
    row = EmailUnsubscribe
    said = (row.id, row.at, row.topic, row.way, row.reason, row.comment)
    joined = select(*said).join(EmailRecipient, _of_recipient(EmailUnsubscribe))
    return joined.where(_theirs(person))


def _runs(person: Person) -> Any:
    row = SequenceRun
    told = (row.id, Sequence.trigger, row.address, row.step, row.state, row.started_at)
    joined = select(*told, row.due_at, row.ended_at).join(Sequence, Sequence.id == row.sequence_id)
    return joined.where(among(row.address, person.addresses))


def _tags(person: Person) -> Iterator[dict[str, Any]]:
    tags = select(PersonTag.email, PersonTag.tag, PersonTag.created_at)
    mine = tags.where(among(PersonTag.email, person.addresses)).order_by(PersonTag.created_at)
    return (dict(row) for row in db.session.execute(mine).mappings())


def _choices(person: Person) -> Iterator[dict[str, Any]]:
    out = select(TrackingOptOut.email).where(among(TrackingOptOut.email, person.addresses))
    declined = set(db.session.scalars(out))
    for address in person.addresses:
        yield {"address": address, "recorded": address not in declined}


def _in_batches(statement: Any) -> Iterator[dict[str, Any]]:
    """Yield rows as dicts, in the order of their first column, an id, which is left out."""
    key = statement.selected_columns.id
    last = 0
    while True:
        page = statement.where(key > last).order_by(key).limit(BATCH)
        batch = db.session.execute(page).mappings().all()
        for row in batch:
            yield {name: value for name, value in row.items() if name != "id"}
        if len(batch) < BATCH:
            return
        last = batch[-1]["id"]


def erase(person: Person, tally: Tally) -> None:
    """Untie the person's events, also those of their browsers from before they logged in; leave of
    mails to them what their figures count.
    """
    tally.anonymised("client_event", _untie(_of(person)), KEPT)
    _forget_tracks(person, tally)
    blotted = blot_out(EmailUnsubscribe, EmailUnsubscribe.comment, person.addresses)
    tally.anonymised("email_unsubscribe", blotted, COUNTED)
    # Last: the rows above are found by it.
    tally.anonymised("email_recipient", _unname(person), COUNTED)
    for model, column in (
        (SequenceRun, SequenceRun.address),
        (PersonTag, PersonTag.email),
        (TrackingOptOut, TrackingOptOut.email),
    ):
        gone = delete(model).where(among(column, person.addresses))
        tally.erased(model.__tablename__, run(gone))


def _forget_tracks(person: Person, tally: Tally) -> None:
    theirs = select(EmailRecipient.email_id).where(_theirs(person))
    for model, empty in (
        (TrackingEvent, {"agent": "", "network": ""}),
        (EmailUnsubscribe, {"comment": ""}),
    ):
        statement = change(model).where(theirs.where(_of_recipient(model)).exists()).values(empty)
        tally.anonymised(model.__tablename__, run(statement), COUNTED)


def _unname(person: Person) -> int:
    """Take the name from mails; a new secret ends their links, their pixel and their own page."""
    unsent = EmailRecipient.state == RecipientState.PENDING
    return run(
        change(EmailRecipient)
        .where(_theirs(person))
        .values(
            address="erased-" + cast(EmailRecipient.id, Text) + ERASED_AT,
            fields={},
            smtp_reply=None,
            secret=func.hashtextextended(cast(func.gen_random_uuid(), Text), 0),
            state=case((unsent, RecipientState.SUPPRESSED), else_=EmailRecipient.state),
        )
    )


def _theirs(person: Person) -> ColumnElement[bool]:
    return among(EmailRecipient.address, person.addresses)


def _of_recipient(model: type[TrackingEvent] | type[EmailUnsubscribe]) -> ColumnElement[bool]:
    return and_(EmailRecipient.email_id == model.email_id, EmailRecipient.id == model.recipient_id)


def _of(person: Person) -> ColumnElement[bool]:
    mine = ClientEvent.user_id == person.user_id
    browsers = list(db.session.scalars(select(ClientEvent.visitor_id).where(mine).distinct()))
    before = and_(ClientEvent.user_id.is_(None), among(ClientEvent.visitor_id, browsers))
    return or_(mine, before)


def _untie(where: ColumnElement[bool]) -> int:
    # What a path asked for may name somebody, and a long part of it is a key.
    bare = func.regexp_replace(ClientEvent.path, "[?#].*$", "")
    short = func.regexp_replace(bare, "/[^/]*(@|%40|[^/]{40})[^/]*", "/...", "gi")
    return run(
        change(ClientEvent)
        .where(where)
        .values(
            user_id=None,
            # A fresh one for each: nothing says that two events were one person's.
            visitor_id=func.gen_random_uuid(),
            path=short,
            label="",
            email_code=None,
            details={},
        )
    )
