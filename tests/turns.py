"""Which of the parallel workers runs what, and when: so that none is left with the longest.

A pytest plugin (tests/conftest.py names it).
"""

from typing import Any

import pytest
from xdist.scheduler.loadfile import LoadFileScheduling

# They drive browsers or start whole shops, and mostly wait: while one worker does, others compute.
LONGEST = ("tests/journeys/", "tests/sandbox/test_demo.py", "tests/chaos/", "tests/attacks/")


class OneDemoForAllJourneys(LoadFileScheduling):
    """A file stays with a worker; all journeys are one, as they share a demo and a browser."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return LONGEST[0] if file.startswith(LONGEST[0]) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneDemoForAllJourneys:
    """xdist would begin with the files of most tests; we with those that take longest."""
    config.option.loadscopereorder = False
    return OneDemoForAllJourneys(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the longest to the front; the others stay as they are."""
    items.sort(key=lambda item: _place(item.nodeid))


def _place(nodeid: str) -> int:
    for place, start in enumerate(LONGEST):
        if nodeid.startswith(start):
            return place
    return len(LONGEST)
