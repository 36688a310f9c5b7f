"""A CSV file of suppressed addresses into rows: ours, Mailchimp's, listmonk's, SendGrid's, SES'."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from webapp.core import clock
from webapp.core.spreadsheets import as_it_was
from webapp.messaging.errors import InvalidAddress, UnreadableSuppressions
from webapp.messaging.models import SuppressionReason, SuppressionScope
from webapp.messaging.services.composing import checked_address
from webapp.messaging.services.suppressing.keeping import MAX_DETAIL

# How each column of ours is named elsewhere, in small letters and without spaces, - and _.
HEADINGS = {
    "email": {"email", "emailaddress", "address"},
    "scope": {"scope"},
    "reason": {"reason", "unsubreason"},
    "source": {"source"},
    "detail": {"detail"},
    "status": {"status"},
    # SES, SendGrid, listmonk; Mailchimp's of those who left, and of those it cleaned.
    "at": {"at", "lastupdatetime", "created", "createdat", "unsubtime"},
    "cleaned": {"cleantime"},
}
DELIMITERS = ",;\t"
# listmonk exports everybody: those it may write to don't belong on this list.
WRITTEN_TO = frozenset({"enabled", "disabled", "subscribed", "active"})
COMPLAINED = re.compile(r"complain|spam|abuse", re.IGNORECASE)
BOUNCED = re.compile(r"bounce|^\W*5\d\d\b|^5\.\d+\.\d+|cleaned|invalid", re.IGNORECASE)
MAX_CELL = 100_000


@dataclass(frozen=True, slots=True)
class Row:
    """One address of the file, and what would be kept of it. ``scope`` may be the usual one."""

    line: int
    email: str
    scope: SuppressionScope
    reason: SuppressionReason
    source: str
    detail: str
    at: datetime


class Mistake(Exception):
    """What is wrong with one line, as a sentence."""


@dataclass(slots=True)
class Table:
    """The file's columns, and the rows below them. Iterating yields rows, mistakes and None.

    None stands for somebody who may be written to.
    """

    text: str
    unknown: tuple[str, ...] = ()
    _at: dict[str, int] = field(default_factory=dict)

    def __iter__(self) -> Iterator[tuple[int, Row | Mistake | None]]:
        csv.field_size_limit(MAX_CELL)
        lines = self.text.removeprefix("\ufeff").splitlines(keepends=True)
        records = csv.reader(lines, delimiter=_delimiter(lines), strict=True)
        try:
            self._learn(next(records, []))
            line = records.line_num + 1
            for cells in records:
                if any(cell.strip() for cell in cells):
                    yield line, self._read(line, cells)
                line = records.line_num + 1
        except csv.Error as error:
            raise UnreadableSuppressions(
                f"Line {records.line_num} can't be told apart into cells: {error}."
            ) from None

    def _learn(self, names: list[str]) -> None:
        unknown = []
        for place, name in enumerate(names):
            plain = re.sub(r"[\s_-]", "", name).lower()
            ours = next((key for key, named in HEADINGS.items() if plain in named), None)
            if ours is None or ours in self._at:
                unknown.append(name.strip() or f"column {place + 1}")
            else:
                self._at[ours] = place
        if "email" not in self._at:
            raise UnreadableSuppressions(
                "There is no column “email”. The first line must name the columns."
            )
        self.unknown = tuple(unknown)

    def _read(self, line: int, cells: list[str]) -> Row | Mistake | None:
        there = {name: cells[at].strip() for name, at in self._at.items() if at < len(cells)}
        found = {name: as_it_was(cell) for name, cell in there.items()}
        if found.get("status", "").lower() in WRITTEN_TO:
            return None
        try:
            return _row(line, found)
        except Mistake as mistake:
            return mistake


def _delimiter(lines: list[str]) -> str:
    heading = lines[0] if lines else ""
    return max(DELIMITERS, key=heading.count)


def _row(line: int, found: dict[str, str]) -> Row:
    reason, detail = _reason(found)
    return Row(
        line=line,
        email=_email(found.get("email", "")),
        scope=_scope(found.get("scope", ""), reason),
        reason=reason,
        source=found.get("source", "")[:MAX_DETAIL] or "import",
        detail=(found.get("detail") or detail)[:MAX_DETAIL].replace("\x00", ""),
        at=_moment(found.get("at") or found.get("cleaned", "")),
    )


def _email(said: str) -> str:
    try:
        return checked_address(said, "address").lower()
    except InvalidAddress:
        raise Mistake(
            f"“{said[:80]}” is not an email address." if said else "No address."
        ) from None


def _reason(found: dict[str, str]) -> tuple[SuppressionReason, str]:
    """Return the reason and the words it was told in, where they say more than it."""
    said = found.get("reason", "")
    try:
        return SuppressionReason(said.lower()), ""
    except ValueError:
        pass
    words = said or found.get("status", "")
    if COMPLAINED.search(words):
        return SuppressionReason.COMPLAINT, said
    if BOUNCED.search(words) or found.get("cleaned"):
        return SuppressionReason.BOUNCE, said
    return SuppressionReason.IMPORT, said


def _scope(said: str, reason: SuppressionReason) -> SuppressionScope:
    """Nobody is behind an address that bounced; others left the marketing, not their orders."""
    if not said:
        is_dead = reason is SuppressionReason.BOUNCE
        return SuppressionScope.ALL if is_dead else SuppressionScope.MARKETING
    try:
        return SuppressionScope(said.lower())
    except ValueError:
        raise Mistake(f"The scope “{said[:40]}” is neither all nor marketing.") from None


def _moment(said: str) -> datetime:
    """Read ISO 8601 or seconds since 1970; without a zone it is UTC, nothing is now."""
    if not said:
        return clock.now()
    try:
        if re.fullmatch(r"\d{9,11}", said):
            return datetime.fromtimestamp(int(said), UTC)
        moment = datetime.fromisoformat(said.removesuffix(" UTC"))
    except ValueError:
        raise Mistake(f"“{said[:40]}” is no moment like 2026-05-31 14:00:00.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
