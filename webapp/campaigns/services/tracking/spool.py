"""Events on this disk: each process writes a file of its own, and locks it for as long as it does.

Whoever finds a file without a lock may take it: its process has closed it, or was killed. What a
process wrote outlives it; only a machine that loses power loses what the disk hadn't got yet.
"""

import fcntl
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from webapp.core.state import spool_folder

PATTERN = "*.jsonl"


class Notebook:
    """The file that one process appends to. Threads take turns, which is the caller's care."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # Sorted by name, the files are sorted by age.
        path = folder / f"{time.time_ns()}-{uuid.uuid4().hex[:12]}.jsonl"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
        self._file = os.open(path, flags, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self.lines = 0

    def append(self, line: bytes) -> None:
        """Add one line in one write. Raises OSError."""
        # Begun with a new line, so that what a full disk cut off spoils only itself.
        data = b"\n" + line + b"\n"
        if os.write(self._file, data) != len(data):
            raise OSError("the disk is full")
        self.lines += 1

    def close(self) -> None:
        """Leave the file to whoever takes it."""
        os.close(self._file)


def folder() -> Path:
    return spool_folder() / "clicks"


@contextmanager
def taken(path: Path) -> Iterator[bool]:
    """Say whether the file could be taken; nobody else does within the block."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        yield _lock(file) and path.exists()
    finally:
        os.close(file)


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def list_files() -> list[Path]:
    """Return all files there are, the oldest first; some of them are still written to."""
    return sorted(folder().glob(PATTERN))


def read(path: Path, limit: int) -> Iterator[list[bytes]]:
    """Yield the lines of a file in batches."""
    batch: list[bytes] = []
    with path.open("rb") as file:
        for line in file:
            if line := line.strip():
                batch.append(line)
            if len(batch) >= limit:
                yield batch
                batch = []
    if batch:
        yield batch
