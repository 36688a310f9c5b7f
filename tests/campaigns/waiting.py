"""What waits in Redis to be drained, as a test sees it."""

from typing import Any, cast

from webapp.campaigns.services import events
from webapp.core.redis import redis_client


def count_waiting() -> int:
    """Return how many of visitors' doings wait in the stream."""
    return int(cast(Any, redis_client().xlen(events._stream())))
