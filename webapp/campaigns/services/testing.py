"""Sends a mail to whoever wants to look at it in a real inbox: marked, and never counted."""

import re
import secrets

from markupsafe import escape

from webapp.campaigns.errors import InvalidEmail
from webapp.campaigns.services.emails import LETTERS, get_email
from webapp.campaigns.services.previewing import find_values, words_of, write_for
from webapp.core.audit import Actor, record
from webapp.core.db import db
from webapp.messaging.models import Mail
from webapp.messaging.services.composing import Words
from webapp.messaging.services.posting import post_words
from webapp.messaging.services.senders import sender_for

KIND = "campaign_test"
MARK = "[Test] "
BODY = re.compile(r"<body\b[^>]*>", re.IGNORECASE)
NONCE = re.compile(r"[A-Za-z0-9_-]{1,64}")
BANNER = (
    '<div style="padding:10px 16px;background:#fff3cd;color:#533f03;text-align:center;'
    'font:14px/1.5 sans-serif">{}</div>'
)


def send_test(email_id: int, number: int, to: str, by: Actor, *, nonce: str | None = None) -> Mail:
    """Send a variant to ``to`` as it is now; flushes.

    ``nonce`` comes from the form that was pressed: two presses of one form send one mail. It reads
    as for the member or prospect with that address, or for somebody made up. Raises NoSuchEmail,
    UnreadableBody, InvalidEmail, InvalidAddress, NoSuchSender or SenderOff.
    """
    email = get_email(email_id)
    nonce = nonce or secrets.token_urlsafe(12)
    if not NONCE.fullmatch(nonce):
        raise InvalidEmail("This form is too old. Load the page again.")
    sender = sender_for(email.sender_id)
    words = write_for(words_of(email, number), find_values(to))
    name = f"{email.name}, variant {LETTERS[number - 1]}" if len(email.variants) > 1 else email.name
    mail = post_words(
        KIND,
        to,
        _marked(words, f"This is a test of “{name}”. Nothing you do here is counted."),
        dedupe_key=f"{KIND}:{email.id}:{number}:{nonce}",
        subject_ref=f"email:{email.id}",
        sender=sender,
    )
    record(by, "email.tested", f"email:{email.id}", mail=mail.id, variant=number)
    db.session.flush()
    return mail


def _marked(words: Words, notice: str) -> Words:
    banner = BANNER.format(escape(notice))
    return Words(
        subject=f"{MARK}{words.subject}",
        text=f"{notice}\n\n{words.text}",
        html=BODY.sub(lambda found: f"{found.group()}{banner}", words.html, count=1),
    )
