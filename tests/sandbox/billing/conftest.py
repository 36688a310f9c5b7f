"""A desk for each test; whatever it asked and heard must keep to the wheel's types."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.billing.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "stripe")
    yield desk
    try:
        assert desk.violations() == []
    finally:
        desk.close()
