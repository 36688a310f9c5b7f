"""One request for a pixel or a link, from the moment it came until it is a row."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter

from webapp.campaigns.models import TrackingKind

AGENT = 300
SmallInt = Annotated[int, Field(ge=0, le=32767)]
BigInt = Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]


@dataclass(frozen=True, slots=True)
class Event:
    """``secret`` is the code's: only where it is the recipient's as well, a row is written.

    ``network`` is the first part of the address; all of it never leaves the request.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    event_id: uuid.UUID
    email_id: BigInt
    recipient_id: BigInt
    secret: BigInt
    kind: TrackingKind
    link: SmallInt | None
    method: Annotated[str, Field(max_length=10)]
    agent: Annotated[str, Field(max_length=AGENT)]
    network: Annotated[str, Field(max_length=50)]
    at: datetime


_EVENT = TypeAdapter(Event)


def write_event(event: Event) -> bytes:
    """Return the event as one line of JSON."""
    return _EVENT.dump_json(event)


def read_event(line: bytes) -> Event:
    """Return the event of a line. Raises pydantic's ValidationError."""
    return _EVENT.validate_json(line)
