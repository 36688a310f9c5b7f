"""What every test of this folder stands on: processes that may be killed, a Redis to empty."""

from tests.processes import neighbours, own_redis

__all__ = ["neighbours", "own_redis"]
