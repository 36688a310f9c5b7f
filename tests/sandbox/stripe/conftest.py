"""One sandbox for most tests, an account for each; every call is checked against the wheel."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.stripe import contract
from sandbox.stripe.machine import Exchange
from sandbox.stripe.server import StripeSandbox, start
from tests.sandbox.stripe.desk import Ear, Shop, broken

_calls: list[Exchange] = []


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StripeSandbox]:
    folder = tmp_path_factory.mktemp("stripe")
    with start(folder, on_exchange=_calls.append, retry_base=0.05) as sandbox:
        yield sandbox


@pytest.fixture
def checked_calls() -> Iterator[list[Exchange]]:
    """The test's API calls; after it, all of them must keep to the wheel's types."""
    _calls.clear()
    yield _calls
    assert broken(list(_calls)) == []


@pytest.fixture
def shop(shared: StripeSandbox, checked_calls: list[Exchange]) -> Shop:
    return Shop(shared, seen=checked_calls)


@pytest.fixture
def own(tmp_path: Path, checked_calls: list[Exchange]) -> Iterator[Shop]:
    """A sandbox for the test alone, for whoever moves its clock or brings chaos."""
    with start(tmp_path / "state", on_exchange=checked_calls.append, retry_base=0.05) as sandbox:
        yield Shop(sandbox, seen=checked_calls)


@pytest.fixture
def ear() -> Iterator[Ear]:
    """A webhook receiver; every event it hears must keep to the wheel's types."""
    with Ear() as listening:
        yield listening
    assert [text for e in listening.events for text in contract.object_violations(e)] == []


@pytest.fixture
def start_again(tmp_path: Path) -> Iterator[Callable[[], StripeSandbox]]:
    """Starts a sandbox on the test's folder, ending the one before."""
    running: list[StripeSandbox] = []

    def begin() -> StripeSandbox:
        if running:
            running.pop().stop()
        running.append(start(tmp_path / "state", retry_base=0.05))
        return running[0]

    yield begin
    for sandbox in running:
        sandbox.stop()
