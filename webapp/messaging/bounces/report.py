"""What a report claims, and the small things every format needs to say it."""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from webapp.messaging.models import BounceKind

DIAGNOSTIC_LENGTH = 500
# Far more than any honest report names.
MOST_REPORTS = 1000
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


@dataclass(frozen=True, slots=True)
class Report:
    """One claim about one mail to one person. ``codes`` are those it may be known by, best first.

    ``status`` is RFC 3463's ("5.1.1"), ``key`` tells the claim from others, ``email`` is the
    address as the report spells it.
    """

    kind: BounceKind
    key: str
    codes: tuple[str, ...] = ()
    email: str | None = None
    status: str = ""
    diagnostic: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What was understood. No reports and no ``trouble``: it is something that suppresses nobody.

    ``trouble`` is a sentence that says why nothing was understood.
    """

    reports: tuple[Report, ...] = ()
    trouble: str = ""


def key_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def clean(text: object, length: int = DIAGNOSTIC_LENGTH) -> str:
    """Return one line of text that a database and a page can take; "" for what is no text."""
    if not isinstance(text, str):
        return ""
    whole = text[: length * 2].encode("utf-8", "replace").decode("utf-8", "replace")
    return " ".join(_CONTROL.sub(" ", whole).split())[:length]


def moment(text: object) -> datetime | None:
    """Return the moment of an RFC 5322, ISO 8601 or Unix date; None for anything else."""
    try:
        if isinstance(text, int | float):
            return datetime.fromtimestamp(text, UTC)
        if not isinstance(text, str) or len(text) > 100:
            return None
        iso = re.match(r"\d{4}-\d\d-\d\d", text)
        found = datetime.fromisoformat(text) if iso else parsedate_to_datetime(text)
        return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, OSError):
        return None
