"""What a browser may report of its visitor: checked, cut to size, and freed of what is private."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from webapp.campaigns.errors import UnreadableEvents
from webapp.campaigns.models import ClientEventKind
from webapp.campaigns.places import CONTROL, Place, find_place
from webapp.campaigns.services.events import Happening

MAX_EVENTS = 20
LABEL, MESSAGE, PATH = 60, 300, 500
# A browser's clock may be wrong, and events wait in it while there is no network.
OLDEST = timedelta(days=1)

EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
KEY = re.compile(r"[\w.~%=-]{24,}")

Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:_\[\]-]{1,253}$")]
Path = Annotated[str, StringConstraints(pattern=r"^/", max_length=PATH)]
Target = Annotated[str, StringConstraints(pattern=r"^(/|[A-Za-z0-9.:_\[\]-]*$)", max_length=PATH)]


class SentEvent(BaseModel):
    """One event as static/js/events.js sends it. ``at`` is in milliseconds since 1970.

    ``name`` was given to the pressed thing by us, ``text`` is what stands on it.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    id: uuid.UUID
    kind: ClientEventKind
    visitor: uuid.UUID
    at: int
    path: Path
    name: Annotated[str, Field(max_length=LABEL)] = ""
    text: Annotated[str, Field(max_length=LABEL)] = ""
    to: Target | None = None
    referrer: Host | None = None
    ad: Code | None = None
    em: Code | None = None
    message: Annotated[str, Field(max_length=MESSAGE)] = ""
    source: Target | None = None
    line: Annotated[int, Field(ge=0, le=10_000_000)] | None = None

    def happening(self, user_id: uuid.UUID | None, now: datetime) -> Happening:
        """Return what is kept of it."""
        place = find_place(self.path)
        return Happening(
            event_id=self.id,
            kind=self.kind,
            visitor_id=self.visitor,
            user_id=user_id,
            path=place.path,
            label=self._label(place),
            ad_code=self.ad,
            email_code=self.em,
            details=self._details(),
            at=_moment(self.at, now),
            received_at=now,
        )

    def _label(self, place: Place) -> str:
        if self.kind is ClientEventKind.SCRIPT_ERROR:
            return _without_secrets(self.message)
        # What stands on a button of somebody's own page may be about them.
        return _without_secrets(self.name or (self.text if place.public else ""))

    def _details(self) -> dict[str, Any]:
        given = {
            "to": _target(self.to),
            "referrer": self.referrer,
            "source": _target(self.source),
            "line": self.line,
        }
        return {name: value for name, value in given.items() if value is not None}


class SentEvents(BaseModel):
    """The body of one request."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    events: Annotated[list[SentEvent], Field(min_length=1, max_length=MAX_EVENTS)]


def read_events(body: bytes, user_id: uuid.UUID | None, now: datetime) -> list[Happening]:
    """Return what a request's body reports. Raises UnreadableEvents."""
    try:
        sent = SentEvents.model_validate_json(body)
    except ValidationError:
        raise UnreadableEvents from None
    return [event.happening(user_id, now) for event in sent.events]


def _moment(milliseconds: int, now: datetime) -> datetime:
    """Return the browser's time, or ours where that can't be."""
    seconds = milliseconds / 1000
    if not (now - OLDEST).timestamp() <= seconds <= now.timestamp():
        return now
    return datetime.fromtimestamp(seconds, UTC)


def _target(target: str | None) -> str | None:
    if target is None or not target.startswith("/"):
        return target
    return find_place(target).path


def _without_secrets(text: str) -> str:
    """Return the text on one line, with what looks like an address or a key left out."""
    line = " ".join(CONTROL.sub(" ", text).split())
    return KEY.sub("…", EMAIL.sub("…", line))
