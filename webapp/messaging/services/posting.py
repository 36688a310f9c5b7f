"""Writes a mail down in the caller's transaction: it exists exactly if what it tells is true."""

import secrets
from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from webapp.core.db import db
from webapp.core.queue import Queue, enqueue
from webapp.messaging.models import Mail, MailState
from webapp.messaging.services.composing import Words, checked_address, refuse_control, write
from webapp.messaging.services.senders import Identity, shop_itself
from webapp.messaging.services.suppressing import is_suppressed

DELIVER = "jobs.messaging.deliver"
# With the queue's back-off these reach over 18 hours of a mail server that is away.
TRIES = 24
WITHHELD = "Not sent: the address is on the suppression list."


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
    One to a suppressed address is written down as such and never sent.
    Raises InvalidAddress or InvalidHeader.
    """
    words = write(kind, context)
    what = {"kind": kind, "dedupe_key": dedupe_key, "subject_ref": subject_ref, "secret": secret}
    return _put(recipient, words, shop_itself(), what)


def post_words(
    kind: str,
    recipient: str,
    words: Words,
    *,
    dedupe_key: str,
    subject_ref: str | None,
    sender: Identity | None = None,
) -> Mail:
    """Insert a mail whose words are written already and promise its delivery; flushes.

    ``sender`` None is the shop itself. The rest is as with ``post``.
    """
    words = Words(refuse_control(words.subject.strip(), "subject"), words.text, words.html)
    what = {"kind": kind, "dedupe_key": dedupe_key, "subject_ref": subject_ref, "secret": False}
    return _put(recipient, words, sender or shop_itself(), what)


def _put(recipient: str, words: Words, sender: Identity, what: Mapping[str, object]) -> Mail:
    address = checked_address(recipient, "recipient")
    values: dict[str, object] = {
        **what,
        "code": secrets.token_urlsafe(16),
        "recipient": address,
        "sender": sender.named,
        "reply_to": sender.reply_to,
        "subject": words.subject,
        "text": words.text,
        "html": words.html,
    }
    withheld = is_suppressed(address, marketing=False)
    if withheld:
        values |= {"state": MailState.SUPPRESSED, "smtp_reply": WITHHELD}
    statement = insert(Mail).values(values).on_conflict_do_nothing(index_elements=["dedupe_key"])
    mail: Mail | None = db.session.scalar(statement.returning(Mail))
    if mail is None:
        # Posted before, perhaps a moment ago: the insert waited for that transaction's end.
        before = select(Mail).where(Mail.dedupe_key == what["dedupe_key"])
        return db.session.scalars(before).one()
    if not withheld:
        promise(mail.id, mail.subject_ref, key=f"mail:{mail.id}")
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
