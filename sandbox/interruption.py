"""Turns Ctrl-C and SIGTERM into one exception, and into nothing while the demo stops."""

import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """Leave whatever is being waited for."""


def catch_signals() -> None:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise Interrupted

    for number in SIGNALS:
        signal.signal(number, interrupt)


def ignore_signals() -> None:
    """While stopping: a second Ctrl-C must not leave processes behind."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
