"""One line of a file into one person: who they are, and what they said about being written to."""

import csv
import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from functools import lru_cache
from typing import Any
from zoneinfo import available_timezones

from babel import Locale

from webapp.accounts.errors import InvalidEmail
from webapp.accounts.services.addressing import read_email
from webapp.campaigns.errors import InvalidTag
from webapp.campaigns.services.importing.columns import Columns, variable_of
from webapp.campaigns.services.importing.report import ImportReport
from webapp.campaigns.services.tags import read_tag
from webapp.core import clock

# Whatever is more than this is left to a library that knows all of RFC 5321, and takes its time.
PLAIN = re.compile(r"[a-z0-9_][a-z0-9_-]*(?:[.+][a-z0-9_-]+)*@(?:[a-z0-9][a-z0-9-]*\.)+[a-z]{2,}")
NUMBER = re.compile(r"[+-]?[\d\s().,/-]+")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
MAX_NAME, MAX_TEXT = 200, 500


class Standing(IntEnum):
    """What may be written to somebody, from most to least; of two lines the stricter counts."""

    YES = 1
    SILENT = 2
    LEFT = 3
    BLOCKED = 4
    DEAD = 5


# Of listmonk, Mailchimp, Shopify and their kind.
STATUSES = {
    Standing.YES: {"", "enabled", "subscribed", "active", "confirmed", "yes", "true", "1"},
    Standing.SILENT: {
        "unconfirmed",
        "pending",
        "disabled",
        "nonsubscribed",
        "notsubscribed",
        "transactional",
        "archived",
        "inactive",
    },
    Standing.LEFT: {"unsubscribed", "unsub", "optedout", "left", "no", "false", "0"},
    Standing.BLOCKED: {"blocklisted", "blacklisted", "blocked", "complained", "spam"},
    Standing.DEAD: {"cleaned", "bounced", "invalid", "hardbounced"},
}


@dataclass(slots=True)
class Person:
    """``said_at`` is when they said yes or no, where the file knows."""

    line: int
    email: str
    standing: Standing
    said_at: datetime | None
    name: str = ""
    country: str = ""
    time_zone: str = ""
    tags: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)

    def join(self, other: "Person") -> None:
        """Add what a later line says of the same address."""
        if other.standing > self.standing:
            self.standing, self.said_at = other.standing, other.said_at
        self.name = self.name or other.name
        self.country = self.country or other.country
        self.time_zone = self.time_zone or other.time_zone
        self.tags = list(dict.fromkeys([*self.tags, *other.tags]))
        self.attributes = other.attributes | self.attributes


class LineReader:
    """Reads lines under a heading; ``keep`` are the variables that other columns become."""

    def __init__(
        self, columns: Columns, keep: Collection[str], tags: list[str], report: ImportReport
    ) -> None:
        self._columns = columns
        self._report = report
        self._tags = tags
        self._kept = {name: at for name, at in columns.others.items() if name in keep}
        self._keeps_json = "attributes" in keep
        self._dropped = {name: at for name, at in columns.others.items() if name not in keep}
        if "attributes" in columns.at and not self._keeps_json:
            self._dropped["attributes"] = columns.at["attributes"]
        self._tag_cells: dict[str, list[str]] = {}
        self.seen_dropped: set[str] = set()
        self._line = 0

    def read(self, line: int, cells: list[str]) -> Person | None:
        """Return the person of a line; None when it has a problem, which the report tells."""
        self._line = line
        if len(cells) > self._columns.width:
            more = f"{len(cells)} cells, and the first line names {self._columns.width} columns"
            self._report.problems.add(line, f"This line has {more}.")
            return None
        found = {
            name: cells[at].strip() for name, at in self._columns.at.items() if at < len(cells)
        }
        standing, email = self._standing(found), self._email(found.get("email", ""))
        if standing is None or email is None:
            return None
        self._note_dropped(cells)
        return Person(
            line,
            email,
            standing,
            self._said_at(standing, found),
            self._name(found),
            self._country(found.get("country", "")),
            self._zone(found.get("zone", "")),
            self._tags_in(found.get("tags", "")),
            self._attributes(found, cells),
        )

    def _note(self, sentence: str) -> None:
        self._report.notes.add(self._line, sentence)

    def _email(self, said: str) -> str | None:
        plain = said.lower()
        if len(plain) <= 254 and PLAIN.fullmatch(plain) and len(plain.partition("@")[0]) <= 64:
            return plain
        try:
            if said.startswith(FORMULA):
                raise InvalidEmail(said)
            return read_email(said)
        except InvalidEmail:
            wrong = f"“{said[:80]}” is not an email address." if said else "There is no address."
            self._report.problems.add(self._line, wrong)
            return None

    def _standing(self, found: Mapping[str, str]) -> Standing | None:
        if found.get("clean"):
            return Standing.DEAD
        if found.get("unsub"):
            return Standing.LEFT
        standing = _standing_of(found.get("status", ""))
        if standing is not None:
            return standing
        self._report.problems.add(
            self._line,
            f"The status “{found['status'][:40]}” says neither yes nor no to mails. Write "
            "subscribed, unconfirmed, unsubscribed, blocklisted or cleaned.",
        )
        return None

    def _said_at(self, standing: Standing, found: Mapping[str, str]) -> datetime | None:
        names = ("confirm", "optin") if standing is Standing.YES else ("unsub", "clean")
        said = next((found[name] for name in names if found.get(name)), "")
        if not said:
            return None
        try:
            moment = datetime.fromisoformat(said.removesuffix(" UTC"))
        except ValueError:
            self._note(f"“{said[:40]}” is no moment like 2026-05-31 14:00:00; today counts.")
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return min(moment, clock.now())

    def _name(self, found: Mapping[str, str]) -> str:
        parts = found.get("first", ""), found.get("last", "")
        name = found.get("name", "") or " ".join(part for part in parts if part)
        return self._text(name, "name")[:MAX_NAME]

    def _text(self, said: str, what: str) -> str:
        """Return the words on one line; a spreadsheet's formula is nobody's words."""
        if not said.isprintable():
            said = "".join(c if c.isprintable() else " " for c in said)
        text = " ".join(said.split())
        if text.startswith(FORMULA) and not NUMBER.fullmatch(text):
            self._note(f"The {what} looks like a formula and is left out.")
            return ""
        if len(text) > MAX_TEXT:
            self._note(f"The {what} is longer than {MAX_TEXT} characters and is cut.")
        return text[:MAX_TEXT]

    def _country(self, said: str) -> str:
        if not said:
            return ""
        code = _countries().get(said.casefold(), "")
        if not code:
            self._note(f"“{said[:40]}” is no country we know, and is left out.")
        return code

    def _zone(self, said: str) -> str:
        if not said:
            return ""
        zone = _zones().get(said.casefold(), "")
        if not zone:
            self._note(f"“{said[:40]}” is no time zone like Europe/Berlin, and is left out.")
        return zone

    def _tags_in(self, said: str) -> list[str]:
        # A list has few different cells of them, however many people.
        known = self._tag_cells.get(said)
        if known is None:
            known = self._tag_cells[said] = self._read_tags(said)
        return list(known)

    def _read_tags(self, said: str) -> list[str]:
        tags = list(self._tags)
        # Mailchimp quotes each tag within the cell.
        for cells in csv.reader([said], skipinitialspace=True):
            for cell in filter(str.strip, cells):
                try:
                    tags.append(read_tag(cell))
                except InvalidTag as error:
                    self._note(f"“{cell[:40]}”: {error.sentence}")
        return list(dict.fromkeys(tags))

    def _attributes(self, found: Mapping[str, str], cells: list[str]) -> dict[str, Any]:
        kept = {
            name: self._text(cells[at], f"column “{self._columns.titles[name]}”")
            for name, at in self._kept.items()
            if at < len(cells) and cells[at].strip()
        }
        return {name: text for name, text in kept.items() if text} | self._json(found)

    def _json(self, found: Mapping[str, str]) -> dict[str, Any]:
        said = found.get("attributes", "")
        if not said or not self._keeps_json:
            return {}
        try:
            given = json.loads(said)
        except (ValueError, RecursionError):
            given = None
        if not isinstance(given, dict):
            self._note("The attributes are no JSON object, and are left out.")
            return {}
        kept: dict[str, Any] = {}
        for key, value in given.items():
            name = variable_of(key)
            if name and isinstance(value, str):
                kept[name] = self._text(value, f"attribute “{key[:40]}”")
            elif name and isinstance(value, int | float) and math.isfinite(value):
                kept[name] = value
            elif value is not None:
                self._note(f"The attribute “{key[:40]}” is no single value, and is left out.")
        return kept

    def _note_dropped(self, cells: list[str]) -> None:
        for name, at in self._dropped.items():
            if at < len(cells) and cells[at].strip():
                self.seen_dropped.add(self._columns.titles.get(name, name))


@lru_cache(maxsize=100)
def _standing_of(status: str) -> Standing | None:
    plain = re.sub(r"[\s_-]", "", status).lower()
    return next((standing for standing, words in STATUSES.items() if plain in words), None)


@lru_cache(maxsize=1)
def _countries() -> dict[str, str]:
    names = Locale("en").territories.items()
    known = {str(code): str(name) for code, name in names if len(code) == 2 and code.isalpha()}
    return {name.casefold(): code for code, name in known.items()} | {
        code.casefold(): code for code in known
    }


@lru_cache(maxsize=1)
def _zones() -> dict[str, str]:
    return {name.casefold(): name for name in available_timezones()}
