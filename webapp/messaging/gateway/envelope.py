"""What goes through the door, what is known of it afterwards, and what every door does."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message for one address; ``code`` is unique and safe in a file name."""

    code: str
    sender: str
    recipient: str
    content: bytes = field(repr=False)


class Outcome(StrEnum):
    """``deferred``: surely not accepted, worth another try. ``refused``: surely never accepted.

    ``in_doubt``: perhaps accepted. ``withdrawn``: the caller called it off before the end.
    """

    ACCEPTED = "accepted"
    DEFERRED = "deferred"
    REFUSED = "refused"
    IN_DOUBT = "in_doubt"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Handover:
    """What became of one try. ``reply`` is the server's, and may repeat the address."""

    outcome: Outcome
    reply: str = ""

    @property
    def status(self) -> str:
        """The reply's code alone, for logs: it holds nothing personal."""
        code = re.match(r"\d{3}(?!\d)", self.reply)
        return code.group() if code else "no answer"


class Gateway(Protocol):
    def hand_over(self, envelope: Envelope, before_end: Callable[[], bool]) -> Handover:
        """Try once. ``before_end`` is called when all but the end is sent; False calls it off."""
