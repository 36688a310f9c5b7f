"""Waiting for what goes on elsewhere, and letting many go at the same moment."""

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

# What is waited for comes within a second or two, and much later on a machine that does much else.
PATIENCE_SECONDS = 120
Seen = TypeVar("Seen")


def eventually(
    look: Callable[[], Seen | None],
    what: str,
    seconds: float = PATIENCE_SECONDS,
    pause: float = 0.02,
) -> Seen:
    """Return the first thing ``look`` sees; fails with ``what`` when it never comes."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:.0f} s")
        time.sleep(pause)
    return seen


def all_at_once(count: int, do: Callable[[int], Seen]) -> list[Seen]:
    """Call ``do(0)`` ... ``do(count - 1)``, each in a thread, all let go at the same moment."""
    gate = threading.Barrier(count)
    results: list[Any] = [None] * count
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            gate.wait(PATIENCE_SECONDS)
            results[number] = do(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results
