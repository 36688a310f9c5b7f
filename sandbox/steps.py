"""Tells a person what is going on: one line per step, counting seconds while it lasts."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

NAME_WIDTH = 12


class Steps:
    """Writes to a terminal with a line that moves, elsewhere with finished lines only."""

    def __init__(self, out: TextIO | None = None) -> None:
        self.out = out or sys.stdout
        self.moves = self.out.isatty()
        self._name = ""
        self._began = 0.0
        self._note = ""

    @contextmanager
    def step(self, name: str, began: float | None = None) -> Iterator["Steps"]:
        """One step; call `note` inside it for what its line shall end with."""
        self._name, self._note = name, ""
        self._began = time.monotonic() if began is None else began
        self.tick()
        try:
            yield self
        except BaseException:
            self._write("x", end="\n")
            raise
        self._write("+", end="\n")

    def note(self, text: str) -> None:
        self._note = text
        self.tick()

    def tick(self, text: str = "") -> None:
        """Show that time passes, with what the step is busy with."""
        if self.moves:
            self._write(".", end="", busy=text)

    def say(self, text: str = "") -> None:
        print(text, file=self.out, flush=True)

    def _write(self, mark: str, *, end: str, busy: str = "") -> None:
        seconds = time.monotonic() - self._began
        line = f"  {mark} {self._name:{NAME_WIDTH}} {seconds:5.1f} s  {busy or self._note}"
        start = "\r\033[K" if self.moves else ""
        print(start + line.rstrip()[:110], end=end, file=self.out, flush=True)
