"""A campaign's message, built once and joined for each recipient.

Everything that is the same for all is encoded once and kept in pieces; between them stand the
code, the leaving token and the variables. So a message costs a join of bytes instead of an
``EmailMessage``, which takes five hundred times as long.
"""

import html
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from email.policy import SMTP, SMTPUTF8, EmailPolicy
from functools import lru_cache
from typing import Any

from webapp.campaigns import marks
from webapp.campaigns.marks import Mark
from webapp.messaging.services.composing import quoted_printable

_SOFT_BREAK = b"=\r\n"
_BULK = b"MIME-Version: 1.0\r\nPrecedence: bulk\r\n"

# How a value stands in a part: as it is, or escaped.
Write = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Face:
    """What is the same in all messages of a mail: who it is from and where its links lead."""

    sender: str
    sender_domain: str
    reply_to: str | None
    list_id: str
    feedback_id: str
    base_url: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """The frozen words of one variant and the links in them by number."""

    subject: str
    html: str
    text: str
    urls: tuple[tuple[int, str], ...]
    tracked: bool = True

    def untracked(self) -> "Sheet":
        return replace(self, tracked=False)


@dataclass(frozen=True, slots=True)
class Addressee:
    """What differs from message to message."""

    address: str
    code: str
    leaving: str
    fields: Mapping[str, Any]


class _Part:
    """One body: literal bytes, the code in between, and variables."""

    def __init__(self, words: str, write: Write, face: Face, sheet: Sheet) -> None:
        self._pieces: list[tuple[bytes, ...] | Mark | None] = []
        self._write = write
        literal = ""
        codes: list[bytes] = []
        for item in _resolved(words, write, face, sheet):
            if isinstance(item, str):
                literal += item
                continue
            codes.append(self._closed(literal))
            literal = ""
            if item is _CODE:
                continue
            self._pieces += [tuple(codes), None if item is _LEAVING else item]
            codes = []
        codes.append(_encoded(literal))
        self._pieces.append(tuple(codes))

    @staticmethod
    def _closed(literal: str) -> bytes:
        # Each piece is encoded by itself: a soft line break keeps the next from making it too long.
        return _encoded(literal) + _SOFT_BREAK if literal else b""

    def render(self, to: Addressee, code: bytes, leaving: bytes) -> Iterable[bytes]:
        between = code + _SOFT_BREAK
        for piece in self._pieces:
            if isinstance(piece, tuple):
                yield between.join(piece)
            elif piece is None:
                yield leaving + _SOFT_BREAK
            else:
                value = self._write(marks.plain_value(piece, to.fields))
                yield quoted_printable(value) + _SOFT_BREAK


def _encoded(literal: str) -> bytes:
    """Encode words with no dot first in a line: SMTP would double it again in each message."""
    lines = b"\n" + quoted_printable(literal)
    return lines.replace(b"\n.", b"\n=2E" + _SOFT_BREAK)[1:]


_CODE, _LEAVING = Mark("code"), Mark("leaving")


def _resolved(words: str, write: Write, face: Face, sheet: Sheet) -> Iterable[str | Mark]:
    """Yield the words with our own marks taken apart into words, codes and tokens."""
    for part in marks.split(words):
        if isinstance(part, str):
            yield part
        elif part.name == marks.CLICK:
            yield from _click(part.number, write, face, sheet)
        elif part.name == marks.PIXEL:
            if sheet.tracked:
                yield f'<img src="{face.base_url}/o/'
                yield _CODE
                yield '.gif" width="1" height="1" alt="" style="display:block;border:0">'
        elif part.name == marks.LEAVE:
            yield f"{face.base_url}/u/"
            yield _LEAVING
        elif part.name == marks.BROWSER:
            # That page shows the way to leave, which a link to the shop must not give away.
            yield f"{face.base_url}/m/"
            yield _LEAVING
        else:
            yield part


def _click(number: int, write: Write, face: Face, sheet: Sheet) -> Iterable[str | Mark]:
    if sheet.tracked:
        yield f"{face.base_url}/c/"
        yield _CODE
        yield f"/{number}"
    else:
        yield write(dict(sheet.urls).get(number, face.base_url))


class Letter:
    """One variant's message, ready to be joined: ``render(addressee, date)`` gives the bytes."""

    def __init__(self, face: Face, sheet: Sheet) -> None:
        self._face = face
        self._subject = list(marks.split(sheet.subject))
        self._fixed = b"".join(
            [
                header("From", face.sender),
                header("Reply-To", face.reply_to) if face.reply_to else b"",
                header("List-Id", face.list_id),
                header("Feedback-ID", face.feedback_id),
                b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
                _BULK,
            ]
        )
        self._text = _Part(sheet.text, str, face, sheet)
        self._html = _Part(sheet.html, html.escape, face, sheet)

    def render(self, to: Addressee, date: bytes) -> bytes:
        """Return the message (RFC 5322, CRLF). Raises InvalidHeader for a field with a line break.

        ``date`` is the whole Date header line.
        """
        code, leaving = to.code.encode(), to.leaving.encode()
        base, boundary = self._face.base_url.encode(), b"=_" + code
        head = b"".join(
            [
                self._fixed,
                header("To", to.address),
                header("Subject", self._subject_for(to)),
                date,
                b"Message-ID: <%s@%s>\r\n" % (code, self._face.sender_domain.encode()),
                b"List-Unsubscribe: <%s/u/%s>\r\n" % (base, leaving),
                b'Content-Type: multipart/alternative; boundary="%s"\r\n\r\n' % boundary,
            ]
        )
        return b"".join(
            [
                head,
                _part_head(boundary, b"plain"),
                *self._text.render(to, code, leaving),
                _part_head(boundary, b"html", first=False),
                *self._html.render(to, code, leaving),
                b"\r\n--%s--\r\n" % boundary,
            ]
        )

    def _subject_for(self, to: Addressee) -> str:
        words = (
            part if isinstance(part, str) else marks.plain_value(part, to.fields)
            for part in self._subject
        )
        # A field may hold a line break, which would begin another header: it is a space here.
        return " ".join("".join(words).split())


def _part_head(boundary: bytes, subtype: bytes, *, first: bool = True) -> bytes:
    return b'%s--%s\r\nContent-Type: text/%s; charset="utf-8"\r\n%s' % (
        b"" if first else b"\r\n",
        boundary,
        subtype,
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n",
    )


@lru_cache(maxsize=256)
def header(name: str, value: str) -> bytes:
    """Return a header line, folded and encoded (RFC 2047) where need be; most addresses aren't."""
    if name == "To" and value.isascii():
        return b"To: %s\r\n" % value.encode()
    policy: EmailPolicy[Any] = SMTP if value.isascii() or name != "To" else SMTPUTF8
    return policy.fold_binary(*policy.header_store_parse(name, value))
