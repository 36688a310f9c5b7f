"""API failures on request: an error, a silence or a broken line, before or after the effect."""

import fnmatch
import threading
from dataclasses import dataclass

from sandbox.stripe.errors import ApiError
from sandbox.stripe.store import Json

_WORDS = ("timeout", "reset", "slow")


@dataclass(slots=True)
class Fault:
    """How calls of a route fail, and how many more of them.

    `status` is an HTTP status, "timeout" (no answer for `seconds`), "reset" (line cut) or "slow"
    (the true answer, `seconds` late). With `after` the call takes effect first and only its
    answer is lost.
    """

    route: str
    status: int | str
    times: int = 1
    after: bool = False
    seconds: float = 60.0

    def matches(self, method: str, path: str) -> bool:
        wanted, _, pattern = self.route.partition(" ")
        return wanted in (method, "*") and fnmatch.fnmatchcase(path, pattern)

    def as_json(self) -> Json:
        return {
            "route": self.route,
            "status": self.status,
            "times": self.times,
            "after": self.after,
            "seconds": self.seconds,
        }


class LineCut(Exception):
    """The connection ends without an answer."""


class Faults:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._released = threading.Event()

    def add(self, wanted: Json) -> Fault:
        try:
            fault = Fault(**wanted)
        except TypeError:
            raise ValueError("A fault has route, status, times, after and seconds.") from None
        if not (isinstance(fault.status, int) or fault.status in _WORDS):
            raise ValueError('A fault\'s status is a number, "timeout", "reset" or "slow".')
        if " /" not in fault.route:
            raise ValueError('A fault\'s route reads like "POST /v1/checkout/sessions".')
        with self._lock:
            self._released.clear()
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()
        self.release()

    def listed(self) -> list[Json]:
        with self._lock:
            return [fault.as_json() for fault in self._faults]

    def release(self) -> None:
        """Let calls that are being held back go."""
        self._released.set()

    def released(self) -> bool:
        return self._released.is_set()

    def take(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.matches(method, path):
                    fault.times -= 1
                    if fault.times <= 0:
                        self._faults.remove(fault)
                    return fault
        return None


def error_of(status: int) -> ApiError:
    if status == 429:
        return ApiError(
            429,
            "Request rate limit exceeded. Learn more about rate limits here "
            "https://stripe.com/docs/rate-limits.",
            code="rate_limit",
        )
    if status >= 500:
        return ApiError(
            status,
            "Sorry! There was an error while talking to one of our backends. Support has been "
            "notified.",
            type="api_error",
        )
    return ApiError(status, f"The sandbox was told to answer {status}.")
