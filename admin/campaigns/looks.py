"""How a mail looks to those who get it: the frame it is shown in, and what is said about it."""

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import astuple, dataclass

from flask import make_response
from markupsafe import escape
from redis import RedisError
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from werkzeug import Response

from webapp.campaigns.models import Email
from webapp.campaigns.services.audiences import Size, count_people_of
from webapp.campaigns.services.checking import Finding, check
from webapp.campaigns.services.previewing import Frozen, values_of, words_of, write_for
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.redis import redis_client
from webapp.core.state import current_fork
from webapp.messaging.services.composing import Words
from webapp.messaging.services.senders import sender_for

# Somebody who writes asks again and again, and an audience doesn't change that quickly.
SIZE_KEPT_SECONDS = 60
PATIENCE_SECONDS = 5
# Mails bring styles of their own, which our pages forbid, so this document alone allows them, and
# pictures from anywhere. It has no scripts and no origin: whatever a mail holds, it can't reach us.
FRAME_POLICY = "; ".join(
    [
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "img-src * data:",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'self'",
        "sandbox allow-popups allow-popups-to-escape-sandbox",
    ]
)
FRAME_HEADERS = {
    "Content-Security-Policy": FRAME_POLICY,
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
}
HEAD = re.compile(r"<head\b[^>]*>", re.IGNORECASE)
# A link opens beside the desk: in the frame most pages refuse to be shown.
BESIDE = '<base target="_blank">'
PLAIN = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    "<style>body{{margin:1rem;font:{font};color:#1d1b18;background:#fff;"
    "white-space:pre-wrap;overflow-wrap:anywhere}}</style></head><body>{words}</body></html>"
)


@dataclass(frozen=True, slots=True)
class Live:
    """What the desk says about the words as they are: in an inbox, in numbers, in checks.

    ``size`` is None where nobody could be counted.
    """

    sender: str
    subject: str
    preheader: str
    size: Size | None
    findings: list[Finding]
    weight: str

    @property
    def unchecked(self) -> bool:
        """Whether links and pictures have not been looked at yet."""
        return any(each.code == "links_unchecked" for each in self.findings)


def live_of(email: Email, number: int, address: str | None, *, is_step: bool) -> Live:
    """Return what is to be said of a mail, which may be in no session.

    A step of a sequence has no audience: its recipients come one by one.
    """
    subject = preheader = weight = ""
    with suppress(DomainError):
        words = words_for(email, number, address)
        variant = email.variants[_place(email, number)]
        subject, preheader = words.subject, _line(variant.preheader, address)
        weight = f"{max(1, round(len(words.html.encode()) / 1000))} KB of HTML"
    sender = ""
    with suppress(DomainError):
        sender = sender_for(email.sender_id).named
    findings = [each for each in check(email) if not (is_step and each.code == "audience")]
    size = None if is_step else size_of(email)
    return Live(sender, subject, preheader, size, findings, weight)


def words_for(email: Email, number: int, address: str | None) -> Words:
    """Return a variant as ``address`` reads it. Raises NoSuchPerson or UnreadableBody."""
    variant = email.variants[_place(email, number)]
    return write_for(words_of(email, variant.number), values_of(address))


def _line(template: str, address: str | None) -> str:
    return write_for(Frozen(template, "", "", {}), values_of(address)).subject


def _place(email: Email, number: int) -> int:
    """A variant may have been taken out since somebody began to look at it."""
    return min(number, len(email.variants)) - 1


def frame_of(email: Email, number: int, address: str | None, part: str) -> Response:
    """Return the document that shows a mail, or why it can't be shown."""
    try:
        words = words_for(email, number, address)
    except DomainError as refusal:
        why = escape(refusal.sentence)
        html = PLAIN.format(title="No preview", font="1rem sans-serif", words=why)
        return make_response(html, 200, FRAME_HEADERS)
    return framed(words, part)


def framed(words: Words, part: str) -> Response:
    """Return the document that shows written words: as HTML, or for ``text`` as plain ones."""
    if part == "text":
        title, plain = escape(words.subject), escape(words.text)
        html = PLAIN.format(title=title, font="0.875rem/1.6 monospace", words=plain)
    else:
        html = HEAD.sub(lambda found: f"{found.group()}{BESIDE}", words.html, count=1)
    return make_response(html, 200, FRAME_HEADERS)


def size_of(email: Email) -> Size | None:
    """Return how many get a mail, counted at most once a minute.

    None where its rules make no sense, or counting takes longer than somebody who writes waits.
    """
    key = _size_key(email)
    with suppress(RedisError, ValueError, TypeError):
        kept = redis_client().get(key)
        if isinstance(kept, bytes):
            return Size(*json.loads(kept))
    try:
        with db.session.begin_nested():
            db.session.execute(text(f"SET LOCAL statement_timeout = '{PATIENCE_SECONDS}s'"))
            size = count_people_of(email)
    except (DomainError, OperationalError):
        return None
    with suppress(RedisError):
        redis_client().set(key, json.dumps(astuple(size)), ex=SIZE_KEPT_SECONDS)
    return size


def _size_key(email: Email) -> str:
    chosen = [
        (audience.id, audience.updated_at.isoformat()) if audience else None
        for audience in (email.audience, email.exclude)
    ]
    what = json.dumps([email.type.value, email.topic.value, email.resend_of, chosen])
    return current_fork().redis_key("email_size", hashlib.sha256(what.encode()).hexdigest())
