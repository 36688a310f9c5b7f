"""Delivery status notifications: RFC 3464 in RFC 6522's multipart, and RFC 6533 for UTF-8."""

import re

from webapp.messaging.bounces.judging import judge
from webapp.messaging.bounces.message import Fields, Mail, blocks_of, find_part, value
from webapp.messaging.bounces.report import MOST_REPORTS, Reading, Report, clean, moment
from webapp.messaging.bounces.returned import codes_of

TYPES = ("message/delivery-status", "message/global-delivery-status")
_ESCAPED = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
_ADDRESS = re.compile(r"[^\s<>;,()\"]{1,200}@[^\s<>;,()\"]{1,255}")


def read_dsn(message: Mail, key: str) -> Reading | None:
    """Return what a delivery status notification says; None when the message is none."""
    part = find_part(message, *TYPES)
    if part is None:
        return None
    blocks = list(blocks_of(part))[: MOST_REPORTS + 1]
    people = [block for block in blocks if _is_about_somebody(block)]
    if not people:
        return Reading(trouble="This delivery report names no recipient.")
    about = [words for block in blocks if block not in people for words in block.values()]
    codes = codes_of(message, about)
    date = moment(value(message, "Date"))
    reports = [
        Report(
            kind=judged.kind,
            key=f"{key}:{number}",
            codes=codes,
            email=address_in(block.get("final-recipient") or block.get("original-recipient", "")),
            status=judged.status,
            diagnostic=_diagnostic(block),
            at=moment(block.get("last-attempt-date")) or date,
        )
        for number, block in enumerate(people)
        if _has_failed(block)
        for judged in [judge(block.get("status", ""), _diagnostic(block))]
    ]
    return Reading(tuple(reports))


def _is_about_somebody(block: Fields) -> bool:
    return "final-recipient" in block or "original-recipient" in block


def _has_failed(block: Fields) -> bool:
    """Delayed, relayed, expanded and delivered are news of a mail that may well arrive."""
    action = re.match(r"[a-z]*", block.get("action", "").lower())
    if action and action.group():
        # RFC 3464, 2.3.3; a success that calls itself failed is none.
        return action.group() == "failed" and not block.get("status", "").startswith("2")
    return block.get("status", "").startswith("5")


def _diagnostic(block: Fields) -> str:
    kind, semicolon, words = block.get("diagnostic-code", "").partition(";")
    return clean(words if semicolon else kind)


def address_in(field: str) -> str | None:
    """Return the address of ``rfc822; bob@example.com``, also in RFC 6533's escapes."""
    kind, semicolon, text = field.partition(";")
    if not semicolon:
        kind, text = "", field
    if kind.strip().lower() == "utf-8":
        text = _ESCAPED.sub(_unescaped, text)
    found = _ADDRESS.search(clean(text))
    return found.group() if found else None


def _unescaped(found: re.Match[str]) -> str:
    number = int(found.group(1), 16)
    return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else ""
