"""Turns a template into the words of a mail, and the words into the bytes that SMTP carries."""

import re
from binascii import b2a_qp
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.policy import SMTP, SMTPUTF8, EmailPolicy
from email.utils import format_datetime
from functools import lru_cache
from typing import Any

import css_inline
import idna
from flask import current_app

from webapp.core.models import Shop
from webapp.core.shop import get_shop
from webapp.core.state import current_config
from webapp.messaging.errors import InvalidAddress, InvalidHeader

# Besides CR and LF these are what str.splitlines, and so some mail software, takes for a line end.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
ADDRESS = re.compile(r"[^\s@<>()\[\],;:\\\"]+@[^\s@<>()\[\],;:\\\"]+")
_LINE_ENDS = re.compile("\r\n|\r|\n")
KIND = re.compile(r"[a-z][a-z0-9_]*")

# RFC 3834: nobody's out-of-office note should answer a machine.
MACHINE_MADE = (
    b"MIME-Version: 1.0\r\n"
    b"Auto-Submitted: auto-generated\r\n"
    b"X-Auto-Response-Suppress: OOF, AutoReply\r\n"
)

_inliner = css_inline.CSSInliner(load_remote_stylesheets=False)


@dataclass(frozen=True, slots=True)
class Words:
    """What the recipient reads."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Face:
    """The shop as the templates of mails see it. ``url`` is its front door, without a slash."""

    name: str
    tagline: str
    url: str
    support_email: str
    address: str
    accent: str
    on_accent: str


def write(kind: str, context: Mapping[str, object]) -> Words:
    """Render ``templates/email/<kind>.*`` with the shop; the HTML's styles are put inline.

    Raises InvalidHeader when the subject is more than one line.
    """
    if not KIND.fullmatch(kind):
        raise ValueError(f"{kind!r} can't name a template")
    # Not flask.render_template: context processors are for pages and may ask the database.
    names: dict[str, object] = {**context, "shop": shop_face()}
    templates = current_app.jinja_env
    subject = templates.get_template(f"email/{kind}.subject.txt").render(names).strip()
    text = templates.get_template(f"email/{kind}.txt").render(names)
    html = templates.get_template(f"email/{kind}.html").render(names)
    return Words(refuse_control(subject, "subject"), _tidy(text), _inliner.inline(html))


def shop_face() -> Face:
    """Return the shop as mails show it."""
    return _face(get_shop())


def _face(shop: Shop) -> Face:
    return Face(
        name=shop.name,
        tagline=shop.tagline,
        url=current_config().base_url.rstrip("/"),
        support_email=shop.support_email,
        address=", ".join(
            part.strip() for part in shop.postal_address.splitlines() if part.strip()
        ),
        accent=shop.accent,
        on_accent=_readable_on(shop.accent),
    )


def _readable_on(colour: str) -> str:
    """Return black or white, whichever contrasts more with ``colour`` (WCAG 2.2 luminance)."""
    if not re.fullmatch("#[0-9a-fA-F]{6}", colour):
        return "#ffffff"
    red, green, blue = (_linear(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#ffffff" if 1.05 / (luminance + 0.05) >= (luminance + 0.05) / 0.05 else "#111111"


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)


def _tidy(text: str) -> str:
    """Return text whose lines end where their words do, never with two empty lines in a row."""
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip() + "\n"


def refuse_control(value: str, name: str) -> str:
    """Return ``value``, or raise InvalidHeader: a line break would begin another header."""
    if CONTROL.search(value):
        raise InvalidHeader(name)
    return value


def checked_address(value: str, name: str) -> str:
    """Return the address with its domain as DNS knows it (IDNA 2008): ``a@bücher.de`` in punycode.

    Only what could break the protocol is refused, by InvalidHeader or InvalidAddress: whether
    there is such a mailbox only its own server can say.
    """
    address = refuse_control(value.strip(), name)
    if len(address) > 254 or not ADDRESS.fullmatch(address):
        raise InvalidAddress(name)
    local, _, domain = address.rpartition("@")
    if domain.isascii():
        return f"{local}@{domain.lower()}"
    try:
        return f"{local}@{idna.encode(domain, uts46=True).decode('ascii')}"
    except idna.IDNAError:
        raise InvalidAddress(name) from None


def named_address(name: str, address: str) -> str:
    """Return ``"Name, Inc." <address>`` as one line of readable text.

    Raises InvalidHeader or InvalidAddress.
    """
    refuse_control(name + address, "sender")
    try:
        return str(Address(name.strip(), addr_spec=address))
    except (ValueError, MessageError):
        raise InvalidAddress("sender") from None


@dataclass(frozen=True, slots=True)
class Headers:
    """What stands on the envelope and at the top of the sheet; addresses are checked ones."""

    sender_name: str
    sender: str
    recipient: str
    reply_to: str | None
    code: str
    date: datetime


def compose(headers: Headers, words: Words) -> bytes:
    """Return the message, RFC 5322 with CRLF line ends: text and HTML as alternatives.

    Raises InvalidHeader before anything with a line break becomes a header. It uses the email
    package's header policy without its EmailMessage, which takes five times as long.
    """
    policy = SMTPUTF8 if _is_international(headers) else SMTP
    domain = headers.sender.rpartition("@")[2]
    boundary = f"=_{headers.code}"
    lines = [
        _shop_header(policy, "From", named_address(headers.sender_name, headers.sender)),
        _header(policy, "To", headers.recipient),
        _shop_header(policy, "Reply-To", headers.reply_to) if headers.reply_to else b"",
        _header(policy, "Subject", words.subject),
        _header(policy, "Date", format_datetime(headers.date)),
        _header(policy, "Message-ID", f"<{headers.code}@{domain}>"),
        MACHINE_MADE,
        f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n\r\n'.encode(),
        *(_part(boundary, "plain", words.text), _part(boundary, "html", words.html)),
        f"--{boundary}--\r\n".encode(),
    ]
    return b"".join(lines)


def _header(policy: "EmailPolicy[Any]", name: str, value: str) -> bytes:
    """Return the header folded, and encoded by RFC 2047 where need be."""
    return policy.fold_binary(*policy.header_store_parse(name, refuse_control(value, name)))


_shop_header = lru_cache(maxsize=64)(_header)


def _part(boundary: str, subtype: str, words: str) -> bytes:
    head = (
        f'--{boundary}\r\nContent-Type: text/{subtype}; charset="utf-8"\r\n'
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    )
    return head.encode() + quoted_printable(words) + b"\r\n"


def quoted_printable(words: str) -> bytes:
    """Encode words by RFC 2045, 6.7, with CRLF line ends."""
    if "\n" in words or "\r" in words:
        words = _LINE_ENDS.sub("\r\n", words)
    body = words.encode()
    encoded = b2a_qp(body, istext=True)
    # Where nothing shows it the line ends of the input, it breaks long lines with LF alone.
    return encoded if b"\r\n" in body else encoded.replace(b"=\n", b"=\r\n")


def _is_international(headers: Headers) -> bool:
    return not all(
        address.isascii() for address in (headers.sender, headers.recipient, headers.reply_to or "")
    )
