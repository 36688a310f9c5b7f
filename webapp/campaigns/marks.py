"""The marks in a mail's words that become something else for each recipient.

Authors write ``{{ first_name | there }}``: a variable and what stands there without it. What is
compiled also holds our own: ``{{@click:3}}`` (the third registered link), ``{{@pixel}}`` (the
whole image), ``{{@leave}}`` (the page to unsubscribe), ``{{@browser}}`` (this mail as a page).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

CLICK, PIXEL, LEAVE, BROWSER = "@click", "@pixel", "@leave", "@browser"
OURS = frozenset({CLICK, PIXEL, LEAVE, BROWSER})
_MARK = re.compile(r"\{\{\s*(@?[A-Za-z_][A-Za-z0-9_]*)(?::([0-9]{1,9}))?\s*(?:\|([^{}]*))?\}\}")


@dataclass(frozen=True, slots=True)
class Mark:
    """``fallback`` is None where the author gave none; ``number`` belongs to a click."""

    name: str
    fallback: str | None = None
    number: int = 0


def split(words: str) -> Iterator[str | Mark]:
    """Yield the words and the marks between them, in their order."""
    at = 0
    for found in _MARK.finditer(words):
        if found.start() > at:
            yield words[at : found.start()]
        name, number, fallback = found.groups()
        yield Mark(name, None if fallback is None else _unquoted(fallback), int(number or 0))
        at = found.end()
    if at < len(words):
        yield words[at:]


def plain_value(mark: Mark, fields: Mapping[str, Any]) -> str:
    """Return what stands in a mark's place: the field, or the fallback, or nothing."""
    value = fields.get(mark.name)
    return str(value) if value not in (None, "") else mark.fallback or ""


def _unquoted(fallback: str) -> str:
    """People who know templates quote the fallback; the quotes are not meant."""
    text = fallback.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text


def write(mark: Mark) -> str:
    """Return the mark as ``split`` reads it."""
    number = f":{mark.number}" if mark.number else ""
    fallback = "" if mark.fallback is None else f"|{mark.fallback}"
    return f"{{{{{mark.name}{number}{fallback}}}}}"


def variables(*words: str) -> frozenset[str]:
    """Return the names of the variables in ``words``, ours left out."""
    return frozenset(
        part.name
        for text in words
        for part in split(text)
        if isinstance(part, Mark) and part.name not in OURS
    )
