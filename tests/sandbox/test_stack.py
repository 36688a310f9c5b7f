"""One-off commands of the demo are waited for, whenever they end."""

from pathlib import Path
from typing import Any, cast

import pytest

from sandbox.processes import Child, SandboxError
from sandbox.stack import Stack
from sandbox.steps import Steps


class EndsWhenLookedAtTwice:
    """A process that is alive at the first look and has ended at the next."""

    def __init__(self, status: int) -> None:
        self.statuses: list[int | None] = [status, None]
        self.returncode = status

    def poll(self) -> int | None:
        return self.statuses.pop() if len(self.statuses) > 1 else self.statuses[0]


def finish(folder: Path, status: int) -> Stack:
    stack = Stack(folder, Steps())
    child = Child("seed-a", cast(Any, EndsWhenLookedAtTwice(status)), folder / "seed-a.log")
    child.log.write_text("No more room.\n")
    stack.children[child.name] = child
    stack._finish([child], "The shops failed")
    return stack


def test_a_command_may_end_between_two_looks(tmp_path: Path) -> None:
    assert finish(tmp_path, 0).children == {}


def test_one_that_failed_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"The shops failed\.(.|\n)*No more room\."):
        finish(tmp_path, 1)
