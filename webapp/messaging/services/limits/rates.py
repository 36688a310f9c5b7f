"""How many mails may leave this second: asked of Redis, and kept by each process without it."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from redis import Redis, RedisError

from webapp.core.redis import redis_client
from webapp.core.state import current_fork
from webapp.messaging.services.limits.alone import OwnBuckets
from webapp.messaging.services.limits.buckets import FIRST_HOLD_SECONDS, Ask, Bucket, Buckets
from webapp.messaging.services.limits.domains import limits_of
from webapp.messaging.services.limits.shared import SharedBuckets
from webapp.messaging.services.senders import Identity

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")

# How long Redis isn't asked again after it didn't answer: waiting for it would be worse.
REST_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Allowance:
    """By domain: how many mails may leave now; for the rest, in how many seconds to ask again."""

    granted: dict[str, int]
    wait: dict[str, float]


def take(identity: Identity, wanted: Mapping[str, int]) -> Allowance:
    """Take this second's share of the sender and of each domain (as ``domain_of`` writes it).

    A domain's own limit holds for all senders together, ``domain_per_second`` for this sender.
    What is granted counts as sent. It reads Postgres: end the transaction before the network.
    """
    asks = _asks(identity, {domain: count for domain, count in wanted.items() if count > 0})
    if not asks:
        return Allowance({}, {})
    sender = _bucket(("sender", identity.sender_id or 0), identity.per_second)
    shares = _ask(lambda buckets: buckets.take(sender, asks))
    pairs = list(zip(asks, shares, strict=True))
    return Allowance(
        {ask.domain: share.granted for ask, share in pairs},
        {ask.domain: share.wait for ask, share in pairs if share.granted < ask.wanted},
    )


def _asks(identity: Identity, wanted: Mapping[str, int]) -> list[Ask]:
    own = limits_of(wanted) if wanted else {}
    sender = identity.sender_id or 0
    return [
        Ask(
            domain,
            count,
            _bucket(("domain", domain), own.get(domain))
            or _bucket(("sender", sender, domain), identity.domain_per_second),
        )
        for domain, count in wanted.items()
    ]


def _bucket(name: tuple[object, ...], per_second: int | None) -> Bucket | None:
    if per_second is None:
        return None
    return Bucket(current_fork().redis_key("mail", "rate", *name), per_second)


def hold_back(domain: str, seconds: float = FIRST_HOLD_SECONDS) -> float:
    """Send nothing to the domain for a while: its server said 421 or put mails off.

    ``seconds`` the first time, then twice as long each time until a mail gets through, an hour at
    the most. While it is held back another call changes nothing. Returns the seconds to wait.
    """
    return _ask(lambda buckets: buckets.hold_back(domain, seconds))


def held_back() -> dict[str, float]:
    """Return for how many seconds each domain is still held back."""
    return _ask(lambda buckets: buckets.held_back())


def let_go(*domains: str) -> None:
    """Note that mails got through to the domains: the next hold begins small again.

    One that is held back now stays so: what got through was under way before.
    """
    if domains:
        _ask(lambda buckets: buckets.let_go(domains))


class _Keeper:
    """Where one fork's buckets are kept just now."""

    def __init__(self) -> None:
        self._own = OwnBuckets()
        self._asks_again_at = 0.0
        self._is_away = False

    def ask(self, question: Callable[[Buckets], Answer]) -> Answer:
        if time.monotonic() < self._asks_again_at:
            return question(self._own)
        try:
            answer = question(_shared())
        except RedisError as error:
            self._asks_again_at = time.monotonic() + REST_SECONDS
            self._tell(True, why=type(error).__name__)
            return question(self._own)
        self._tell(False)
        return answer

    def _tell(self, is_away: bool, **why: str) -> None:
        """One line when Redis goes and one when it is back, however many ask in between."""
        if is_away and not self._is_away:
            logger.warning("mail rates kept by this process alone", extra=why)
        if self._is_away and not is_away:
            logger.warning("mail rates kept in Redis again")
        self._is_away = is_away


def _ask(question: Callable[[Buckets], Answer]) -> Answer:
    return _keeper(current_fork().name).ask(question)


@lru_cache(maxsize=64)
def _keeper(fork: str) -> _Keeper:  # noqa: ARG001 - forks share no bucket
    return _Keeper()


def _shared() -> SharedBuckets:
    return _shared_in(redis_client(), current_fork().redis_key("mail", "holds"))


@lru_cache(maxsize=64)
def _shared_in(client: Redis, holds_key: str) -> SharedBuckets:
    return SharedBuckets(client, holds_key)
