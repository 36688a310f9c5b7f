"""The sandbox's time, which tests may move forward without waiting."""

import time
from dataclasses import dataclass


@dataclass(slots=True)
class Clock:
    """Wall time plus an offset in seconds that only the control address changes."""

    offset: float = 0.0
    #: While the clock is moved, the moment of what happens on the way.
    held: float | None = None

    def time(self) -> float:
        return time.time() + self.offset if self.held is None else self.held

    def now(self) -> int:
        """Whole seconds since the epoch, the unit of every timestamp in Stripe's API."""
        return int(self.time())
