"""Takes a message apart with the email package, however broken or hostile it is.

The policy is ``compat32``: the newer ones parse headers while they read, and some broken ones make
that raise or take minutes. Only the head is parsed: the machine's part of a report comes before
the mail it returns.
"""

import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import Message
from typing import TYPE_CHECKING, Any, TypeAlias

HEAD = 512 * 1024
MOST_PARTS = 100
# Each level makes reading every line below it dearer.
MOST_LEVELS = 20
MOST_TEXT = 64 * 1024
_PART = re.compile(rb"^content-type:\s*((multipart|message)/)?", re.IGNORECASE | re.MULTILINE)

if TYPE_CHECKING:
    Mail: TypeAlias = Message[Any, Any]
else:
    Mail = Message
Fields = dict[str, str]


class TooDeep(Exception):
    """It has more parts than any report; taking them apart would take for ever."""


def parse(content: bytes) -> Mail:
    """Return the message's head, taken apart. Raises TooDeep."""
    head = content[:HEAD]
    deep = [found.group(1) is not None for found in _PART.finditer(head)]
    if len(deep) > MOST_PARTS or sum(deep) > MOST_LEVELS:
        raise TooDeep
    return message_from_bytes(head, policy=policy.compat32)


def values(message: Mail, *names: str) -> list[str]:
    """Return every value of these headers, unfolded, in the order of the names."""
    found: list[str] = []
    for name in names:
        found += [_readable(raw) for key, raw in message.raw_items() if key.lower() == name.lower()]
    return found


def value(message: Mail, name: str) -> str:
    return next(iter(values(message, name)), "")


def _readable(raw: object) -> str:
    """Undo what the parser does to bytes beyond ASCII: headers may be UTF-8 (RFC 6532)."""
    text = str(raw).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return " ".join(text.split())


def parts_of(message: Mail) -> Iterator[Mail]:
    """Yield what the message itself is made of, never a part of a message it returns."""
    waiting = [message]
    while waiting:
        part = waiting.pop()
        inner = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(inner, list):
            waiting += [each for each in reversed(inner) if isinstance(each, Message)]
        else:
            yield part


def find_part(message: Mail, *types: str) -> Mail | None:
    return next((part for part in parts_of(message) if part.get_content_type() in types), None)


def text_of(part: Mail) -> str:
    """Return the beginning of a part as text, by its own charset or else as UTF-8."""
    inner = part.get_payload(decode=True)
    if not isinstance(inner, bytes):
        return _flat(part)[:MOST_TEXT]
    charset = part.get_content_charset("utf-8")
    try:
        return inner[:MOST_TEXT].decode(charset, "replace")
    except (LookupError, ValueError):
        return inner[:MOST_TEXT].decode("utf-8", "replace")


def body_of(message: Mail) -> str:
    """Return the text that people are meant to read."""
    part = find_part(message, "text/plain")
    return text_of(part) if part is not None else ""


def blocks_of(part: Mail) -> Iterator[Fields]:
    """Yield the part's groups of fields, names in small letters; of repeated ones the first."""
    for block in re.split(r"\n[ \t]*\n", _flat(part).replace("\r\n", "\n")):
        fields: Fields = {}
        for line in re.sub(r"\n[ \t]+", " ", block).splitlines():
            name, colon, words = line.partition(":")
            if colon and name.strip():
                fields.setdefault(name.strip().lower(), " ".join(words.split()))
        if fields:
            yield fields


def _flat(part: Mail) -> str:
    """Return a part's content as text again: the parser took it for messages within it."""
    inner = part.get_payload()
    if not isinstance(inner, list):
        decoded = part.get_payload(decode=True)
        return decoded.decode("utf-8", "replace") if isinstance(decoded, bytes) else ""
    text = "\n\n".join(_source(each) for each in inner if isinstance(each, Message))
    encoding = str(part.get("Content-Transfer-Encoding", "")).strip().lower()
    if encoding not in ("base64", "quoted-printable"):
        return text
    # RFC 6533 lets the parts for UTF-8 be encoded, which the parser doesn't know of.
    coded: Mail = Message()
    coded["Content-Transfer-Encoding"] = encoding
    coded.set_payload(text.strip())
    decoded = coded.get_payload(decode=True)
    return decoded.decode("utf-8", "replace") if isinstance(decoded, bytes) else ""


def _source(message: Mail) -> str:
    lines = [f"{name}: {_readable(raw)}" for name, raw in message.raw_items()]
    inner = message.get_payload(decode=True)
    below = inner.decode("utf-8", "replace") if isinstance(inner, bytes) else ""
    return "\n".join([*lines, "", below]) if lines else below
