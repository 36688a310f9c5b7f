"""Writes a mail down in the caller's transaction: it exists exactly if what it tells is true."""

import secrets
from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from webapp.core.db import db
from webapp.core.models import Shop
from webapp.core.queue import Queue, enqueue
from webapp.core.shop import get_shop
from webapp.messaging.models import Mail
from webapp.messaging.services.composing import checked_address, named_address, write

DELIVER = "jobs.messaging.deliver"
# With the queue's back-off these reach over 18 hours of a mail server that is away.
TRIES = 24


def post(
    kind: str,
    recipient: str,
    context: Mapping[str, object],
    *,
    dedupe_key: str,
    subject_ref: str | None,
    secret: bool = False,
) -> Mail:
    """Render ``templates/email/<kind>.*``, insert the mail and promise its delivery; flushes.

    ``dedupe_key`` makes it one mail for ever: a second call returns the first one's row and sends
    nothing. ``subject_ref`` ("order:42") puts it on that thing's timeline. A ``secret`` mail
    carries a key to an account: staff can't read it, and its body is removed once it is sent.
    Raises InvalidAddress or InvalidHeader.
    """
    shop = get_shop()
    words = write(kind, context)
    values = {
        "dedupe_key": dedupe_key,
        "kind": kind,
        "code": secrets.token_urlsafe(16),
        "recipient": checked_address(recipient, "recipient"),
        "sender": _sender(shop),
        "reply_to": _reply_to(shop),
        "subject": words.subject,
        "text": words.text,
        "html": words.html,
        "subject_ref": subject_ref,
        "secret": secret,
    }
    statement = insert(Mail).values(values).on_conflict_do_nothing(index_elements=["dedupe_key"])
    mail: Mail | None = db.session.scalar(statement.returning(Mail))
    if mail is None:
        # Posted before, perhaps a moment ago: the insert waited for that transaction's end.
        return db.session.scalars(select(Mail).where(Mail.dedupe_key == dedupe_key)).one()
    promise(mail.id, subject_ref, key=f"mail:{mail.id}")
    return mail


def promise(mail_id: int, subject_ref: str | None, key: str | None = None) -> None:
    """Enqueue the delivery in the caller's transaction. A promise too many does no harm."""
    enqueue(
        DELIVER,
        mail_id,
        queue=Queue.MAIL,
        subject=subject_ref or f"mail:{mail_id}",
        key=key,
        max_attempts=TRIES,
    )


def _sender(shop: Shop) -> str:
    return named_address(
        shop.sender_name or shop.name, checked_address(shop.sender_email, "sender")
    )


def _reply_to(shop: Shop) -> str | None:
    return checked_address(shop.support_email, "reply address") if shop.support_email else None
