"""Limits of what one address may ask: flask-limiter's moving windows on Redis, exact for all.

Every limit fails open: without Redis everybody is let in, and a counted line in the log says so.
"""

import logging
import time
from functools import cache
from ipaddress import IPv6Address, IPv6Network

from flask import Flask, request
from flask_limiter import ExemptionScope, Limiter
from flask_limiter.util import get_qualified_name
from limits import RateLimitItem, parse
from limits.storage import RedisStorage
from redis import RedisError
from werkzeug.exceptions import TooManyRequests

from webapp.core.fork import Fork
from webapp.core.redis import redis_client

logger = logging.getLogger(__name__)


def counted_address() -> str:
    """Return whom a limit counts: an IPv4 address, or the network of an IPv6 one.

    A single line is given 2^64 IPv6 addresses at the least (RFC 6177): counted one by one, each
    of them would be a fresh start.
    """
    address = request.remote_addr or "unknown"
    try:
        ip = IPv6Address(address)
    except ValueError:
        return address
    return str(ip.ipv4_mapped or IPv6Network((int(ip), 64), strict=False))


limiter = Limiter(key_func=counted_address, strategy="moving-window")

# How long Redis isn't asked again after it didn't answer: waiting for it would be worse.
REST_SECONDS = 5


class RequestLimit:
    """The limit over all pages together. ``admits`` is False for requests beyond it."""

    def __init__(self, limit: RateLimitItem, fork: Fork) -> None:
        self._limit = limit
        self._name = fork.redis_key("requests")
        self._asks_again_at = 0.0
        self._let_in = 0

    def admits(self, address: str) -> bool:
        now = time.monotonic()
        if now < self._asks_again_at:
            self._let_in += 1
            return True
        try:
            return limiter.limiter.hit(self._limit, self._name, address)
        except RedisError as error:
            self._asks_again_at = now + REST_SECONDS
            self._let_in += 1
            why = {"why": type(error).__name__, "count": self._let_in}
            logger.warning("requests not limited", extra=why)
            return True

    def seconds_left(self, address: str) -> int:
        """Return in how many seconds there is room again."""
        window = limiter.limiter.get_window_stats(self._limit, self._name, address)
        return _seconds_until(window.reset_time, self._limit.get_expiry())


def limit_requests(app: Flask, limit: str, fork: Fork) -> None:
    """Answer 429 to an address beyond ``limit`` ("1000 per minute") over all counted pages.

    Not counted are static files, views marked ``limiter.exempt`` and those whose own limit
    replaces this one.
    """
    counted = RequestLimit(parse(limit), fork)

    @cache
    def counts(endpoint: str | None) -> bool:
        return endpoint is None or _is_counted(app, endpoint)

    @app.before_request
    def refuse_too_many() -> None:
        if not counts(request.endpoint):
            return
        address = counted_address()
        if not counted.admits(address):
            raise TooManyRequests(retry_after=counted.seconds_left(address))


def _is_counted(app: Flask, endpoint: str) -> bool:
    blueprint, _, name = endpoint.rpartition(".")
    if name == "static":
        return False
    manager = limiter.limit_manager
    if manager.exemption_scope(app, endpoint, blueprint or None) & ExemptionScope.DEFAULT:
        return False
    own = manager.decorated_limits(get_qualified_name(app.view_functions[endpoint]))
    return not any(each.override_defaults for each in own)


def init_limiter(app: Flask) -> None:
    """Let the views that have limits of their own check them."""
    limiter.init_app(app)
    # Decorated views check by themselves; without limits for all, asking before each is in vain.
    hooks = app.before_request_funcs[None]
    if limiter._check_request_limit in hooks:
        hooks.remove(limiter._check_request_limit)
    log = logging.getLogger("flask-limiter")
    log.setLevel(logging.ERROR)
    log.filters[:] = [_CountedLine()]


class _CountedLine(logging.Filter):
    """Turns flask-limiter's long complaint about Redis into one line with a number."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    def filter(self, record: logging.LogRecord) -> bool:
        self._count += 1
        error = record.exc_info[0] if record.exc_info else None
        record.msg, record.args, record.exc_info = "limit not kept", (), None
        record.count = self._count
        record.why = error.__name__ if error else ""
        return True


def retry_after() -> int:
    """Return in how many seconds the limit that was just reached lets somebody in again."""
    reached = limiter.current_limit
    if reached is None:
        return 60
    try:
        return _seconds_until(reached.reset_at, reached.limit.get_expiry())
    except RedisError:
        return 60


def _seconds_until(moment: float, longest: int) -> int:
    return min(max(1, round(moment - time.time())), longest)


def give_back() -> None:
    """Undo what this request counted: it turned out to be no guess.

    The count goes up before a guess is looked at, so that parallel guesses all count.
    """
    if not limiter.enabled:
        return
    storage = limiter.limiter.storage
    if not isinstance(storage, RedisStorage):
        return
    for tried in limiter.current_limits:
        try:
            redis_client().lpop(storage.prefixed_key(tried.key))
        except RedisError:
            return
