"""The limit of requests per address: counted in each process, told to Redis in handfuls.

Asking Redis at every request costs a third of a page. So a process counts an address by itself and
reports when a handful has come together, or when the limit may be near. One process alone keeps
the limit exactly; each further one may let a handful more through.
"""

import logging
import time
from dataclasses import dataclass
from functools import cache
from threading import Lock

from flask import Flask, request
from flask_limiter import ExemptionScope, Limiter
from flask_limiter.util import get_qualified_name
from limits import RateLimitItem, parse
from redis import Redis, RedisError
from werkzeug.exceptions import TooManyRequests

from webapp.core.fork import Fork
from webapp.core.redis import redis_client

logger = logging.getLogger(__name__)

# Of a limit of 1000, every 20th request is told.
HANDFULS = 50
MAX_ADDRESSES = 100_000


@dataclass(slots=True)
class _Count:
    """One address in one window: what Redis knew last, and what it wasn't told yet."""

    window: int
    known: int = 0
    untold: int = 0


class RequestLimit:
    """Counts requests by address. ``admits`` is False for those beyond the limit."""

    def __init__(self, limit: RateLimitItem, fork: Fork) -> None:
        self.amount = limit.amount
        self.seconds = limit.get_expiry()
        self._handful = max(1, limit.amount // HANDFULS)
        self._fork = fork
        self._counts: dict[str, _Count] = {}
        self._lock = Lock()

    def admits(self, address: str, redis: Redis) -> bool:
        """Count a request. Without Redis everybody is let in, with a line in the log."""
        window = int(time.time() // self.seconds)
        with self._lock:
            count = self._count_of(address, window)
            if count.known > self.amount:
                return False
            count.untold += 1
            near = count.known + count.untold > self.amount
            if count.untold < self._handful and not near:
                return True
            told, count.untold = count.untold, 0
        try:
            count.known = self._tell(redis, address, window, told)
        except RedisError as error:
            logger.warning("requests not limited", extra={"why": type(error).__name__})
            return True
        return count.known <= self.amount

    def _count_of(self, address: str, window: int) -> _Count:
        count = self._counts.get(address)
        if count is None or count.window != window:
            if len(self._counts) >= MAX_ADDRESSES:
                self._counts.clear()
            count = self._counts[address] = _Count(window)
        return count

    def _tell(self, redis: Redis, address: str, window: int, told: int) -> int:
        key = self._fork.redis_key("requests", address, window)
        with redis.pipeline(transaction=False) as pipe:
            pipe.incrby(key, told)
            pipe.expire(key, self.seconds)
            return int(pipe.execute()[0])


def limit_requests(app: Flask, limiter: Limiter, limit: str, fork: Fork) -> None:
    """Answer 429 to an address beyond ``limit`` ("1000 per minute") over all counted pages.

    Not counted are static files, views marked ``limiter.exempt`` and those whose own limit
    replaces this one.
    """
    counted = RequestLimit(parse(limit), fork)

    @cache
    def counts(endpoint: str | None) -> bool:
        return endpoint is None or _is_counted(app, limiter, endpoint)

    @app.before_request
    def refuse_too_many() -> None:
        if not counts(request.endpoint):
            return
        if not counted.admits(request.remote_addr or "unknown", redis_client()):
            raise TooManyRequests


def _is_counted(app: Flask, limiter: Limiter, endpoint: str) -> bool:
    blueprint, _, name = endpoint.rpartition(".")
    if name == "static":
        return False
    manager = limiter.limit_manager
    if manager.exemption_scope(app, endpoint, blueprint or None) & ExemptionScope.DEFAULT:
        return False
    own = manager.decorated_limits(get_qualified_name(app.view_functions[endpoint]))
    return not any(each.override_defaults for each in own)
