"""Leaving through a mail: by the mail program's own button (RFC 8058) or on the shop's page."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert

from webapp.campaigns.codes import leaving_keys, read_leaving
from webapp.campaigns.erased import is_erased
from webapp.campaigns.errors import NoSuchLeavingLink
from webapp.campaigns.models import (
    Email,
    EmailRecipient,
    EmailUnsubscribe,
    LeaveReason,
    LeaveWay,
    RecipientState,
    TrackingOptOut,
)
from webapp.core import clock
from webapp.core.db import db
from webapp.core.state import current_config, current_fork
from webapp.messaging.models import MailTopic
from webapp.messaging.services.consent import consents_of, give_consent
from webapp.messaging.services.suppressing import forgive

MAX_COMMENT = 1000
LEFT = "They unsubscribed before it was sent."


@dataclass(frozen=True, slots=True)
class Reader:
    """Whom a leaving link is for: one recipient of one mail, and the mail's topic."""

    email_id: int
    recipient_id: int
    address: str
    topic: MailTopic


def leaving_key() -> bytes:
    """Return the key that leaving tokens are signed with now, for whoever signs thousands."""
    return _keys()[0]


def leaving_url(token: str) -> str:
    return f"{current_config().base_url.rstrip('/')}/u/{token}"


def read_leaving_token(token: str) -> tuple[int, int]:
    """Return the mail's and the recipient's number. Raises NoSuchLeavingLink for a forged one."""
    found = read_leaving(_keys(), token)
    if found is None:
        raise NoSuchLeavingLink
    return found


def _keys() -> list[bytes]:
    config = current_config()
    secrets = [key for key in (config.secret_key, config.secret_key_previous) if key]
    return leaving_keys(secrets, current_fork().name)


def find_reader(email_id: int, recipient_id: int) -> Reader | None:
    """Return whom a link is for; None once they have been erased, or the mail was deleted."""
    row = db.session.execute(
        select(EmailRecipient.address, Email.topic)
        .join(Email, Email.id == EmailRecipient.email_id)
        .where(EmailRecipient.email_id == email_id, EmailRecipient.id == recipient_id)
    ).first()
    if row is None or is_erased(row.address):
        return None
    return Reader(email_id, recipient_id, row.address, row.topic)


def leave(
    email_id: int,
    recipient_id: int,
    way: LeaveWay,
    reason: LeaveReason = LeaveReason.UNSAID,
    comment: str = "",
    topics: Collection[MailTopic] | None = None,
) -> Reader | None:
    """Have no more mails of ``topics`` (None: the mail's own) sent to a recipient; flushes.

    A second time changes nothing, but for a reason that is said only now. Returns None when there
    is nobody left to write to.
    """
    reader = find_reader(email_id, recipient_id)
    if reader is None:
        return None
    leaving = {reader.topic} if topics is None else set(topics)
    # Always in the same order: two requests at once wait for each other instead of for ever.
    for topic in (each for each in MailTopic if each in leaving):
        give_consent(reader.address, topic, False, f"unsubscribe:email:{email_id}")
    withdraw(reader.address, leaving)
    if leaving:
        topic = reader.topic if reader.topic in leaving else min(leaving)
        _note(reader, topic, way, reason, comment)
    return reader


def _note(
    reader: Reader, topic: MailTopic, way: LeaveWay, reason: LeaveReason, comment: str
) -> None:
    statement = insert(EmailUnsubscribe).values(
        email_id=reader.email_id,
        recipient_id=reader.recipient_id,
        topic=topic,
        way=way,
        reason=reason,
        comment=comment[:MAX_COMMENT],
    )
    saying = {"reason": statement.excluded.reason, "comment": statement.excluded.comment}
    db.session.execute(
        statement.on_conflict_do_update(
            index_elements=["email_id", "recipient_id"],
            set_=saying,
            where=statement.excluded.reason != LeaveReason.UNSAID,
        )
    )
    db.session.execute(
        update(EmailRecipient)
        .where(
            EmailRecipient.email_id == reader.email_id,
            EmailRecipient.id == reader.recipient_id,
            EmailRecipient.left_at.is_(None),
        )
        .values(left_at=clock.now())
    )


def withdraw(address: str, topics: Collection[MailTopic]) -> int:
    """Hold back what was populated for an address and is not on its way yet; flushes.

    Returns how many mails. What a worker has claimed by now may still arrive.
    """
    theirs = select(Email.id).where(Email.topic.in_(topics))
    held = db.session.scalars(
        update(EmailRecipient)
        .where(
            EmailRecipient.address == address,
            EmailRecipient.state == RecipientState.PENDING,
            EmailRecipient.email_id.in_(theirs),
        )
        .values(state=RecipientState.SUPPRESSED, smtp_reply=LEFT)
        .returning(EmailRecipient.id)
    )
    return len(held.all())


def find_reason(reader: Reader) -> EmailUnsubscribe | None:
    """Return what was noted when somebody left through this mail."""
    return db.session.scalars(
        select(EmailUnsubscribe)
        .where(
            EmailUnsubscribe.email_id == reader.email_id,
            EmailUnsubscribe.recipient_id == reader.recipient_id,
        )
        .execution_options(populate_existing=True)
    ).first()


def come_back(reader: Reader, topics: Collection[MailTopic]) -> None:
    """Have mails of ``topics`` sent again, at the wish of whoever holds the mail; flushes."""
    if topics:
        forgive(reader.address)
    for topic in (each for each in MailTopic if each in set(topics)):
        give_consent(reader.address, topic, True, f"came back:email:{reader.email_id}")


def choose_topics(reader: Reader, wanted: Collection[MailTopic]) -> None:
    """Have exactly the ``wanted`` topics sent from now on; flushes."""
    standing = consents_of(reader.address)
    on = {topic for topic, said in standing.items() if said.wanted}
    come_back(reader, set(wanted) - on)
    leaving = set(MailTopic) - set(wanted)
    # Silence about a topic is a no already; an explicit one is kept for what was on, and for the
    # topic of the mail itself, which somebody may get without ever having said a word.
    leave(
        reader.email_id,
        reader.recipient_id,
        LeaveWay.PAGE,
        topics=leaving & (on | {reader.topic}),
    )


def choose_tracking(address: str, *, record: bool) -> None:
    """Record opens and clicks of an address from now on, or no more; flushes."""
    folded = address.strip().lower()
    if record:
        db.session.execute(delete(TrackingOptOut).where(TrackingOptOut.email == folded))
    else:
        db.session.execute(insert(TrackingOptOut).values(email=folded).on_conflict_do_nothing())


def is_tracked(address: str) -> bool:
    """Say whether opens and clicks of an address may be recorded."""
    folded = address.strip().lower()
    found = select(TrackingOptOut.email).where(TrackingOptOut.email == folded)
    return db.session.scalar(found) is None
