"""Which of our mails a report is about: by the address it came to, and by the mail it returns."""

import re

from webapp.messaging.bounces.message import Fields, Mail, blocks_of, find_part, values
from webapp.messaging.bounces.verp import codes_in_addresses, codes_in_ids, distinct

CAME_TO = ("To", "Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "Original-To")
WHOLE = ("message/rfc822", "message/global")
HEADERS = ("text/rfc822-headers", "message/rfc822-headers", "message/global-headers")
_FOLD = re.compile(r"\r?\n[ \t]+")


def returned_fields(message: Mail) -> Fields:
    """Return the headers of the mail that a report gives back, names in small letters."""
    part = find_part(message, *WHOLE, *HEADERS)
    return {} if part is None else next(blocks_of(part), {})


def codes_of(message: Mail, told: list[str]) -> tuple[str, ...]:
    """Return the codes a report may be about, the surest first; ``told`` is what else names one."""
    back = returned_fields(message)
    return distinct(
        [
            *codes_in_addresses(values(message, *CAME_TO)),
            *codes_in_addresses([*told, back.get("return-path", "")]),
            *codes_in_ids([back.get("message-id", "")]),
            *codes_in_ids(values(message, "In-Reply-To", "References")),
        ]
    )


def codes_in_copy(message: Mail, copy: str) -> tuple[str, ...]:
    """Return the codes of a report that repeats our mail within its own text."""
    text = _FOLD.sub(" ", copy)
    ids = re.findall(r"^message-id:(.{0,400})", text, re.IGNORECASE | re.MULTILINE)
    paths = re.findall(r"^return-path:(.{0,400})", text, re.IGNORECASE | re.MULTILINE)
    codes = codes_of(message, paths)
    return distinct([*codes, *codes_in_ids(ids)])
