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
from webapp.messaging.models import (
    Mail,
    MailBounce,
    MailConsent,
    MailReport,
    MailState,
    MailSuppression,
)
from webapp.messaging.services.addresses import folded
from webapp.messaging.services.posting import DELIVER

KEPT = "That a mail about an order was sent, and when: proof that the buyer was told."
REPORTED = "That a report came from a mail server, without what it said of the person."
MACHINERY = ("id", "code", "dedupe_key", "claimed_at", "attempts", "subject_ref")
OVER = (MailState.SENT, MailState.FAILED, MailState.UNKNOWN, MailState.SUPPRESSED)


def chapters(person: Person, orders: Sequence[str]) -> Iterator[Chapter]:
    """Yield what mails know; ``orders`` ("order:42") are what else of theirs has mails."""
    yield Chapter("mails", "Every mail we sent you.", _mails(person, orders))
    consents = rows_of(MailConsent, among(MailConsent.email, person.addresses), leave_out=("id",))
    yield Chapter("consents", "Each time you said yes or no to a kind of mail.", consents)
    kept = rows_of(
        MailSuppression, among(MailSuppression.email, _spelled(person)), leave_out=("id",)
    )
    yield Chapter("suppressions", "Why an address of yours gets no mail, if it gets none.", kept)
    bounces = rows_of(
        MailBounce, among(MailBounce.email, _spelled(person)), leave_out=("id", "key", "code")
    )
    yield Chapter("bounces", "Mails to you that came back, or that you reported as spam.", bounces)


def _mails(person: Person, orders: Sequence[str]) -> Iterator[dict[str, Any]]:
    theirs = or_(
        among(Mail.subject_ref, [f"user:{person.user_id}", *orders]),
        and_(among(lowered(Mail.recipient), _spelled(person)), ~_about_somebody()),
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
    """Erase the person's mails and consents, and what came back of the mails.

    ``subjects`` are all things that are theirs; of those among ``orders`` it stays a fact that
    their mails were sent.
    """
    theirs = _spelled(person)
    mine = or_(among(Mail.subject_ref, subjects), among(lowered(Mail.recipient), theirs))
    about = func.coalesce(Mail.subject_ref, "")
    fact = and_(Mail.state == MailState.SENT, among(about, orders))
    tally.erased("mail", _delete(and_(mine, ~fact)))
    tally.anonymised("mail", _empty(and_(mine, fact)), KEPT)
    if person.addresses:
        tally.anonymised("mail", _blot(person.addresses), KEPT)
    _erase_reports(person, tally)
    for model in (MailConsent, MailBounce, MailSuppression):
        gone = delete(model).where(among(model.email, theirs))
        tally.erased(model.__tablename__, run(gone))


def _erase_reports(person: Person, tally: Tally) -> None:
    """Empty the reports that name the person, also one that nobody has read yet.

    The suppression goes with the rest: who is in none of our tables is in no audience either, and
    a list that is imported must bring a consent of its own. A hash instead would have to be asked
    for by every mail, and would still be an address to whoever tries out all they have.
    """
    if not person.addresses:
        return
    named = mentions(func.encode(MailReport.content, "escape"), person.addresses)
    emptied = run(update(MailReport).where(named).values(content=b"", error=None))
    tally.anonymised("mail_report", emptied, REPORTED)
    for model, column in (
        (MailReport, MailReport.error),
        (MailBounce, MailBounce.diagnostic),
        (MailSuppression, MailSuppression.detail),
    ):
        changed = blot_out(model, column, person.addresses)
        tally.anonymised(model.__tablename__, changed, REPORTED)


def _spelled(person: Person) -> list[str]:
    """Return the person's addresses as they wrote them and as mails are addressed."""
    return sorted({*person.addresses, *map(folded, person.addresses)})


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
