"""Events on this disk: each process writes a file of its own, and locks it for as long as it does.

Whoever finds a file without a lock may take it: its process has closed it, or was killed. What a
process wrote outlives it; only a machine that loses power loses what the disk hadn't got yet.

Files are written through memory: a system call would let go of the interpreter, and get it back
only after every other thread that waits for it.
"""

import fcntl
import mmap
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from webapp.core.state import spool_folder

PATTERN = "*.jsonl"
# Some thousand events; twice a second a new file is begun anyhow.
SIZE = 1 << 20


class Notebook:
    """The file that one process writes to. Threads take turns, which is the caller's care.

    Its room is taken from the disk beforehand, so that a full one is told here. Raises OSError.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # Sorted by name, the files are sorted by age.
        path = folder / f"{time.time_ns()}-{uuid.uuid4().hex[:12]}.jsonl"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            _take_room(self._file)
            self._page = mmap.mmap(self._file, SIZE)
        except OSError:
            path.unlink()
            os.close(self._file)
            raise
        self._written = 0

    def append(self, line: bytes) -> bool:
        """Add one line; False if there is no room for it any more."""
        end = self._written + len(line) + 1
        if end > SIZE:
            return False
        self._page[self._written : end] = line + b"\n"
        self._written = end
        return True

    def close(self) -> None:
        """Leave the file to whoever takes it."""
        self._page.close()
        os.ftruncate(self._file, self._written)
        os.close(self._file)


def _take_room(file: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, SIZE)
    else:
        os.write(file, bytes(SIZE))


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
            # After the last event of a killed process nothing but zeros is left.
            if line := line.strip(b"\0\n"):
                batch.append(line)
            if len(batch) >= limit:
                yield batch
                batch = []
    if batch:
        yield batch
