"""What a worker was doing when it died: a file that outlives it.

Before the end of a message leaves, its place in the lease is marked, and marked again when the
reply is there. A mark is one write into mapped memory, so it costs nothing and survives SIGKILL;
that it wouldn't survive the machine is why a journal names the boot it was written in.
"""

import fcntl
import mmap
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from pathlib import Path
from struct import Struct

from webapp.core.state import spool_folder
from webapp.messaging.gateway import Handover, Outcome

_HEAD = Struct("<8sQQI16s")
_ENTRY = Struct("<QBH")
MAGIC = b"lease-01"


class Step(IntEnum):
    """How far a message came. ``begun``: its end may have left, nothing was heard."""

    UNTOUCHED = 0
    BEGUN = 1
    ACCEPTED = 2
    DEFERRED = 3
    REFUSED = 4

    @classmethod
    def _missing_(cls, _spoilt: object) -> "Step":
        return cls.BEGUN


@dataclass(frozen=True, slots=True)
class Entry:
    """One recipient of a lease; ``status`` is the reply's code, 0 if there was none."""

    recipient_id: int
    step: Step
    status: int


_STEPS = {
    Outcome.ACCEPTED: Step.ACCEPTED,
    Outcome.DEFERRED: Step.DEFERRED,
    Outcome.REFUSED: Step.REFUSED,
    Outcome.WITHDRAWN: Step.UNTOUCHED,
    Outcome.IN_DOUBT: Step.BEGUN,
}


class LeaseJournal:
    """The journal of one lease; whoever holds its lock is alive."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._memory = mmap.mmap(descriptor, 0)
        magic, self.lease_id, self.email_id, self.size, self.boot = _HEAD.unpack_from(self._memory)
        if magic != MAGIC or len(self._memory) < _HEAD.size + self.size * _ENTRY.size:
            raise ValueError(f"{path.name} is no journal")

    @classmethod
    def create(cls, lease_id: int, email_id: int, recipients: Sequence[int]) -> "LeaseJournal":
        """Write the journal of a lease that is about to be committed, and lock it."""
        folder = _folder()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{lease_id}.journal"
        head = _HEAD.pack(MAGIC, lease_id, email_id, len(recipients), boot_id())
        entries = b"".join(_ENTRY.pack(each, Step.UNTOUCHED, 0) for each in recipients)
        # The lock is taken under a name that nobody looks for: no reader finds it half-written.
        draft = path.with_suffix(f".{os.getpid()}.part")
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(descriptor, head + entries)
            draft.replace(path)
            return cls(path, descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    def begin(self, index: int) -> None:
        """Mark that the message's end is about to leave."""
        self._memory[_step_at(index)] = Step.BEGUN

    def settle(self, index: int, handover: Handover) -> None:
        """Mark what became of the message."""
        at = _HEAD.size + index * _ENTRY.size
        recipient_id = _ENTRY.unpack_from(self._memory, at)[0]
        status = int(handover.status) if handover.status.isdigit() else 0
        _ENTRY.pack_into(self._memory, at, recipient_id, _STEPS[handover.outcome], status)

    def entries(self) -> list[Entry]:
        """Return all recipients of the lease and how far each came."""
        area = self._memory[_HEAD.size : _HEAD.size + self.size * _ENTRY.size]
        return [Entry(each, Step(step), status) for each, step, status in _ENTRY.iter_unpack(area)]

    @property
    def is_of_this_boot(self) -> bool:
        """Whether the machine has stayed up since, so that every mark is there."""
        return bool(self.boot == boot_id())

    @property
    def age_seconds(self) -> float:
        """How long ago it was written to."""
        return time.time() - os.fstat(self._descriptor).st_mtime

    def close(self) -> None:
        """Let go of the journal: from now on it is an orphan."""
        self._memory.close()
        os.close(self._descriptor)

    def remove(self) -> None:
        """Forget the journal: what it says is committed."""
        self.path.unlink(missing_ok=True)
        self.close()


def orphans() -> Iterator[LeaseJournal]:
    """Yield the journals on this machine whose worker is gone, each locked by this process."""
    for path in sorted(_folder().glob("*.journal")):
        journal = _adopt(path)
        if journal is not None:
            yield journal


def _adopt(path: Path) -> LeaseJournal | None:
    with suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another process may have settled and removed it before the lock was ours.
            if os.fstat(descriptor).st_nlink:
                return LeaseJournal(path, descriptor)
        except (BlockingIOError, ValueError):
            pass
        os.close(descriptor)
    return None


def _folder() -> Path:
    return spool_folder() / "leases"


def _step_at(index: int) -> int:
    return _HEAD.size + index * _ENTRY.size + 8


@cache
def boot_id() -> bytes:
    """Return what names this start of this machine, 16 bytes."""
    with suppress(OSError, ValueError):
        return bytes.fromhex(
            Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").replace("-", "")
        )
    # Where nothing names the boot, this process is all that can be trusted.
    return os.urandom(16)
