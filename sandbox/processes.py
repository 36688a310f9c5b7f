"""Starts, watches and ends the processes of the demo and the tests, and cleans up after a crash."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

ROOT = Path(__file__).resolve().parent.parent
LAUNCHER = Path(__file__).with_name("launch.py")
OWNER_VARIABLE = "SANDBOX_OWNER"


class SandboxError(Exception):
    """Something a person can act on; its text is one plain sentence (or a few)."""


@dataclass(frozen=True, slots=True)
class Account:
    """The system user a child runs as, when it isn't ours."""

    uid: int
    gid: int


@dataclass(slots=True)
class Child:
    """One running part and where its output goes."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def stop(self, *, how: signal.Signals = signal.SIGTERM, seconds: float = 10) -> None:
        """Ask with `how`, insist with SIGKILL after `seconds`, and leave none of its group."""
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(how)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        # The child led a session of its own: what it left behind is in its group.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def last_words(self, lines: int = 15) -> str:
        """The end of its log."""
        return tail(self.log, lines)


def tail(path: Path, lines: int = 15) -> str:
    """The last `lines` of a text file, or nothing if there is none."""
    try:
        with path.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - 16384))
            text = log.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def launcher(
    command: Sequence[str],
    *,
    account: Account | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
) -> list[str]:
    """`command`, wrapped so that it dies with this process and runs as `account`."""
    wrapped = [sys.executable, "-I", "-S", str(LAUNCHER), "--parent", str(os.getpid())]
    wrapped += ["--death-signal", str(int(death_signal))]
    if account:
        wrapped += ["--uid", str(account.uid), "--gid", str(account.gid)]
    return [*wrapped, "--", *command]


def spawn(
    name: str,
    command: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    account: Account | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
    stdout: IO[bytes] | None = None,
) -> Child:
    """Start `command` in a session of its own, its output appended to `log`.

    Call it from the main thread: Linux sends the death signal when the *thread* that forked ends.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            launcher(command, account=account, death_signal=death_signal),
            stdin=subprocess.DEVNULL,
            stdout=stdout or output,
            stderr=output,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            start_new_session=True,
        )
    return Child(name, process, log)


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace `path` so that a reader sees the old text or the new, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.touch(mode=mode)
    draft.write_text(text)
    draft.replace(path)


class FolderLock:
    """One process at a time uses a folder; the kernel lets go when that process dies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Take it or raise SandboxError naming the process that has it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self._open_locked()
        while not self._is_current(file):
            # Its last holder removed the file between our opening and our locking it.
            file.close()
            file = self._open_locked()
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def _open_locked(self) -> IO[str]:
        file = self.path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise SandboxError(
                f"{self.path.parent} is in use by process {holder}. Stop that one first, "
                "or choose another folder."
            ) from None
        return file

    def _is_current(self, file: IO[str]) -> bool:
        try:
            return os.path.samestat(os.fstat(file.fileno()), self.path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        if self._file is None:
            return
        self.path.unlink(missing_ok=True)
        self._file.close()
        self._file = None


class Ledger:
    """Which processes belong to a state folder, on disk, so that the next start can end orphans."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.owner = str(path.resolve())
        self._entries: dict[str, tuple[int, float]] = {}

    def record(self, name: str, pid: int) -> None:
        """Remember a process by pid and start time: a pid alone may have been given away since."""
        try:
            started = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            return
        self._entries[name] = (pid, started)
        write_atomically(self.path, json.dumps(self._entries))

    def clear(self) -> None:
        self._entries.clear()
        self.path.unlink(missing_ok=True)

    def end_orphans(self) -> list[str]:
        """End what an earlier, killed run left behind; returns the names of what was found."""
        found = dict(self._recorded())
        for process in psutil.process_iter():
            if process.pid != os.getpid() and process.pid not in found and self._owns(process):
                found[process.pid] = "a child process"
        end_all(found)
        self.clear()
        return sorted(set(found.values()))

    def _recorded(self) -> Iterable[tuple[int, str]]:
        try:
            entries = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return
        for name, (pid, started) in entries.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                if abs(psutil.Process(pid).create_time() - started) < 1:
                    yield pid, name

    def _owns(self, process: psutil.Process) -> bool:
        try:
            environment: dict[str, str] = process.environ()
            return environment.get(OWNER_VARIABLE) == self.owner
        except (psutil.Error, OSError):
            return False


def end_all(pids: Iterable[int], seconds: float = 5) -> None:
    """SIGTERM to all, SIGKILL to those left after `seconds`."""
    processes: list[psutil.Process] = []
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            process.terminate()
            processes.append(process)
    _, stubborn = psutil.wait_procs(processes, timeout=seconds)
    for process in stubborn:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(stubborn, timeout=seconds)


def wait_for_exit(pid: int, seconds: float) -> bool:
    """Whether a process that may not be our child is gone within `seconds`."""
    deadline = time.monotonic() + seconds
    while psutil.pid_exists(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
