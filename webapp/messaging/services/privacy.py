"""What mails, and wishes for mails, know of a person: handed over, or erased."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, cast, delete, func, or_, select, update

from webapp.core import clock
from webapp.core.db import db
from webapp.core.models import Job, JobState
from webapp.core.privacy import (
    Chapter,
    Person,
    Tally,
    among,
    blot_out,
    lowered,
    mentions,
    rows_of,
    run,
)
from webapp.messaging.models import Mail, MailConsent, MailState
from webapp.messaging.services.posting import DELIVER

KEPT = "That a mail about an order was sent, and when: proof that the buyer was told."
MACHINERY = ("id", "code", "dedupe_key", "claimed_at", "attempts", "subject_ref")
OVER = (MailState.SENT, MailState.FAILED, MailState.UNKNOWN)


def chapters(person: Person, orders: Sequence[str]) -> Iterator[Chapter]:
    """Yield what mails know; ``orders`` ("order:42") are what else of theirs has mails."""
    yield Chapter("mails", "Every mail we sent you.", _mails(person, orders))
    consents = rows_of(MailConsent, among(MailConsent.email, person.addresses), leave_out=("id",))
    yield Chapter("consents", "Each time you said yes or no to a kind of mail.", consents)


def _mails(person: Person, orders: Sequence[str]) -> Iterator[dict[str, Any]]:
    theirs = or_(
        among(Mail.subject_ref, [f"user:{person.user_id}", *orders]),
        and_(among(Mail.recipient, person.addresses), ~_about_somebody()),
    )
    for row in rows_of(Mail, theirs, leave_out=MACHINERY):
        if row.pop("secret"):
            # It carries a key to the account: a copy that lies about must not open it.
            row |= {"text": None, "html": None}
        yield row


def _about_somebody() -> ColumnElement[bool]:
    """Say whether a mail is about one account or order: who had the address then, may not now."""
    about = func.coalesce(Mail.subject_ref, "")
    return or_(about.startswith("user:"), about.startswith("order:"))


def erase(person: Person, subjects: Sequence[str], orders: Sequence[str], tally: Tally) -> None:
    """Erase the person's mails and consents.

    ``subjects`` are all things that are theirs; of those among ``orders`` it stays a fact that
    their mails were sent.
    """
    mine = or_(among(Mail.subject_ref, subjects), among(lowered(Mail.recipient), person.addresses))
    about = func.coalesce(Mail.subject_ref, "")
    fact = and_(Mail.state == MailState.SENT, among(about, orders))
    tally.erased("mail", _delete(and_(mine, ~fact)))
    tally.anonymised("mail", _empty(and_(mine, fact)), KEPT)
    if person.addresses:
        tally.anonymised("mail", _blot(person.addresses), KEPT)
    gone = delete(MailConsent).where(among(MailConsent.email, person.addresses))
    tally.erased("mail_consent", run(gone))


def _delete(where: ColumnElement[bool]) -> int:
    ids = list(db.session.scalars(select(Mail.id).where(where)))
    promises = [[mail_id] for mail_id in ids]
    waiting = Job.path == DELIVER, Job.state == JobState.QUEUED
    for start in range(0, len(promises), 1000):
        part = Job.args.in_(promises[start : start + 1000])
        cancelled = {"state": JobState.CANCELLED, "finished_at": clock.now()}
        run(update(Job).where(*waiting, part).values(cancelled))
    return run(delete(Mail).where(among(Mail.id, ids)))


def _empty(where: ColumnElement[bool]) -> int:
    """Leave of a mail its kind, its state and its times; a late answer of SMTP finds no try."""
    return run(
        update(Mail)
        .where(where)
        .values(
            recipient="",
            subject="",
            text="",
            html="",
            smtp_reply=None,
            code=cast(func.gen_random_uuid(), Text),
            attempts=Mail.attempts + 1,
        )
    )


def _blot(addresses: Sequence[str]) -> int:
    """Take the addresses from mails to others, like those that tell staff of a message."""
    named = mentions(Mail.dedupe_key, addresses)
    erased = {"dedupe_key": "erased:" + cast(Mail.id, Text)}
    run(update(Mail).where(named).values(erased))
    columns = (Mail.subject, Mail.text, Mail.html, Mail.smtp_reply, Mail.reply_to)
    return max(blot_out(Mail, column, addresses) for column in columns)


def is_over(dedupe_key: str) -> bool:
    """Say whether nothing more will happen to a mail by itself; also if there is none."""
    state = db.session.scalar(select(Mail.state).where(Mail.dedupe_key == dedupe_key))
    return state is None or state in OVER
