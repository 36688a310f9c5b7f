"""What is asked of the token buckets and what they answer, wherever they are kept.

A bucket holds one second of its rate. All that is remembered of it is the moment at which it will
be full again (GCRA), so one that is lost is a full one: never more than a second's share too many.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

FIRST_HOLD_SECONDS = 60.0
LONGEST_HOLD_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Bucket:
    key: str
    per_second: int


@dataclass(frozen=True, slots=True)
class Ask:
    """``wanted`` mails to a domain; no bucket is no limit of its own."""

    domain: str
    wanted: int
    bucket: Bucket | None


@dataclass(frozen=True, slots=True)
class Share:
    """How many of them may leave now, and in how many seconds the next one may."""

    granted: int
    wait: float


class Buckets(Protocol):
    def take(self, sender: Bucket | None, asks: Sequence[Ask]) -> list[Share]:
        """Take of the sender's bucket and each domain's; a domain held back gets nothing."""

    def hold_back(self, domain: str, seconds: float) -> float:
        """Hold the domain back, and each further time twice as long; returns how long."""

    def held_back(self) -> dict[str, float]:
        """Return for how many seconds each domain is still held back."""

    def let_go(self, domains: Sequence[str]) -> None:
        """Forget how long the domains were held back, apart from those that still are."""
