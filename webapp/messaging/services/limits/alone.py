"""The buckets of one process, for the time that Redis is away: its rates hold for itself."""

import math
import time
from collections.abc import Sequence
from threading import Lock

from webapp.messaging.services.limits.buckets import LONGEST_HOLD_SECONDS, Ask, Bucket, Share


class OwnBuckets:
    """The buckets and holds of one fork in this process; the same rules as those in Redis."""

    def __init__(self) -> None:
        self._full_at: dict[str, float] = {}
        self._holds: dict[str, tuple[float, float]] = {}
        self._lock = Lock()

    def take(self, sender: Bucket | None, asks: Sequence[Ask]) -> list[Share]:
        with self._lock:
            now = time.monotonic()
            self._full_at = {key: at for key, at in self._full_at.items() if at > now}
            return [self._share(now, sender, ask) for ask in asks]

    def _share(self, now: float, sender: Bucket | None, ask: Ask) -> Share:
        till, _ = self._holds.get(ask.domain, (0.0, 0.0))
        if till > now:
            return Share(0, till - now)
        buckets = [bucket for bucket in (sender, ask.bucket) if bucket]
        granted = min([ask.wanted, *(self._room(now, bucket) for bucket in buckets)])
        for bucket in buckets:
            full_at = max(self._full_at.get(bucket.key, now), now)
            self._full_at[bucket.key] = full_at + granted / bucket.per_second
        if granted == ask.wanted:
            return Share(granted, 0.0)
        return Share(granted, max(self._wait(now, bucket) for bucket in buckets))

    def _lead(self, now: float, bucket: Bucket) -> float:
        return max(self._full_at.get(bucket.key, now) - now, 0.0)

    def _room(self, now: float, bucket: Bucket) -> int:
        return max(math.floor((1 - self._lead(now, bucket)) * bucket.per_second + 1e-6), 0)

    def _wait(self, now: float, bucket: Bucket) -> float:
        return max(self._lead(now, bucket) - 1 + 1 / bucket.per_second, 0.0)

    def hold_back(self, domain: str, seconds: float) -> float:
        with self._lock:
            now = time.monotonic()
            till, wait = self._holds.get(domain, (0.0, 0.0))
            if till > now:
                return till - now
            is_first = not wait or till + LONGEST_HOLD_SECONDS < now
            wait = min(seconds if is_first else wait * 2, LONGEST_HOLD_SECONDS)
            self._holds[domain] = (now + wait, wait)
            return wait

    def held_back(self) -> dict[str, float]:
        with self._lock:
            now = time.monotonic()
            return {name: till - now for name, (till, _) in self._holds.items() if till > now}

    def let_go(self, domains: Sequence[str]) -> None:
        with self._lock:
            now = time.monotonic()
            for domain in domains:
                if self._holds.get(domain, (math.inf, 0.0))[0] <= now:
                    del self._holds[domain]
