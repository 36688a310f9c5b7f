"""Messages to the shop: kept whatever they look like, told to staff if they look like a person's.

Whoever wrote gets no mail from this: the form would otherwise send anybody's words to any address
somebody types in, and be used for it. The page itself says that the message has arrived.
"""

import logging
import re
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select

from webapp.accounts.errors import MessageHandled, NoSuchMessage
from webapp.accounts.models import ContactMessage, ContactState, ProspectSource
from webapp.accounts.services.prospects import note_prospect
from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db, take_turns
from webapp.core.errors import DomainError
from webapp.core.shop import get_shop
from webapp.core.state import current_config
from webapp.messaging.services import post

logger = logging.getLogger(__name__)

MAX_LINKS = 2
# Within these a second one with the same words is a second click, after that a repetition.
SECOND_CLICK = timedelta(minutes=10)
REPETITION = timedelta(days=1)
LOOK_BACK = 1000
ROOM = "/admin/contact/details/?id="

LINK = re.compile(r"https?://|www\.", re.IGNORECASE)
MARKUP = re.compile(r"<a\s|\[(?:url|link)[=\]]", re.IGNORECASE)
HEADERS = re.compile(
    r"^[ \t]*(?:bcc|mime-version|content-type|content-transfer-encoding)[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)

MANY_LINKS = "It holds {count} links."
LINK_IN_HEAD = "There is a link in the name or the subject."
HAS_MARKUP = "It holds links written as code."
HAS_HEADERS = "It holds lines that look like the head of a mail."
SAME_TEXT = "The same text came before."


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What somebody wrote; the address is checked, and all but the text is one line."""

    name: str
    email: str
    subject: str
    text: str


def receive(inquiry: Inquiry, suspicion: str = "") -> ContactMessage:
    """Keep a message, and mail it to the shop unless it is held as suspicious; flushes.

    ``suspicion`` is what the form noticed. The same message twice within minutes is one.
    """
    # Two requests with the same text, from an impatient finger, wait for each other.
    take_turns(f"contact:{inquiry.text}")
    twins = _find_twins(inquiry)
    for twin in twins:
        if _is_second_click(twin, inquiry):
            return twin
    why = suspicion or find_suspicion(inquiry) or (SAME_TEXT if twins else "")
    prospect = note_prospect(inquiry.email, ProspectSource.CONTACT, inquiry.name)
    message = ContactMessage(
        prospect_id=prospect.id,
        name=inquiry.name,
        email=inquiry.email,
        subject=inquiry.subject,
        text=inquiry.text,
        state=ContactState.HELD if why else ContactState.NEW,
        why_held=why,
    )
    db.session.add(message)
    db.session.flush()
    if not why:
        _tell_shop(message)
    return message


def find_suspicion(inquiry: Inquiry) -> str:
    """Return why the words look like spam, in a sentence for staff; empty if they don't."""
    if LINK.search(inquiry.name) or LINK.search(inquiry.subject):
        return LINK_IN_HEAD
    if MARKUP.search(inquiry.text):
        return HAS_MARKUP
    if HEADERS.search(inquiry.text):
        return HAS_HEADERS
    links = len(LINK.findall(inquiry.text))
    return MANY_LINKS.format(count=links) if links > MAX_LINKS else ""


def mark_answered(message_id: int, by: Actor) -> ContactMessage:
    """Note that somebody took care of it; flushes. Raises NoSuchMessage or MessageHandled."""
    return _move(message_id, ContactState.ANSWERED, by, ContactState.NEW)


def mark_spam(message_id: int, by: Actor) -> ContactMessage:
    """Put it away for good; flushes. Raises NoSuchMessage or MessageHandled."""
    return _move(message_id, ContactState.SPAM, by, ContactState.NEW, ContactState.HELD)


def release(message_id: int, by: Actor) -> ContactMessage:
    """A person says it is none: it counts as new, and is mailed if it never was; flushes.

    Raises NoSuchMessage or MessageHandled.
    """
    message = _move(message_id, ContactState.NEW, by, ContactState.HELD, ContactState.SPAM)
    message.handled_by = message.handled_at = None
    _tell_shop(message)
    db.session.flush()
    return message


def _move(
    message_id: int, state: ContactState, by: Actor, *allowed: ContactState
) -> ContactMessage:
    message = db.session.get(
        ContactMessage, message_id, with_for_update=True, populate_existing=True
    )
    if message is None:
        raise NoSuchMessage
    if message.state not in allowed:
        raise MessageHandled(message.state.value)
    before, message.state = message.state, state
    message.handled_by, message.handled_at = by.id, clock.now()
    record(by, f"contact.{state.value}", f"contact:{message.id}", before=before.value)
    db.session.flush()
    return message


def _find_twins(inquiry: Inquiry) -> list[ContactMessage]:
    """Return the messages of the last day with the same text, looking through the newest only."""
    newest = select(ContactMessage.id).order_by(ContactMessage.id.desc()).limit(LOOK_BACK)
    statement = select(ContactMessage).where(
        ContactMessage.id.in_(newest),
        ContactMessage.text == inquiry.text,
        ContactMessage.created_at > clock.now() - REPETITION,
    )
    return list(db.session.scalars(statement))


def _is_second_click(twin: ContactMessage, inquiry: Inquiry) -> bool:
    same = (twin.name, twin.email, twin.subject) == (inquiry.name, inquiry.email, inquiry.subject)
    return same and clock.now() - twin.created_at < SECOND_CLICK


def _tell_shop(message: ContactMessage) -> None:
    """Mail it to the shop. Without a good address of the shop's own it waits in its room."""
    context = {
        "message": message,
        "room_url": f"{current_config().base_url.rstrip('/')}{ROOM}{message.id}",
    }
    subject = f"contact:{message.id}"
    try:
        post(
            "contact_received",
            get_shop().support_email,
            context,
            dedupe_key=subject,
            subject_ref=subject,
        )
    except DomainError as error:
        logger.warning("contact not mailed", extra={"message_id": message.id, "why": error.code})
