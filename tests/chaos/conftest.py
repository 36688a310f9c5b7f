"""What every test of this folder stands on: processes that may be killed, a Redis to empty."""

from collections.abc import Iterator

import pytest

from tests.business import Business, run_business
from tests.neighbours import Neighbours, neighbours, own_redis
from tests.services import Addresses

__all__ = ["crowded_business", "neighbours", "own_redis"]


@pytest.fixture(scope="session")
def crowded_business(
    addresses: Addresses,
    own_redis: str,
    neighbours: Neighbours,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Business]:
    """Four web processes, two workers and a clock, for many visitors at once."""
    folder = tmp_path_factory.mktemp("crowded")
    with run_business(addresses, own_redis, neighbours, folder, WEB_CONCURRENCY="4") as business:
        business.open_shop()
        business.start("web", "worker", "worker-2", "clock")
        yield business
