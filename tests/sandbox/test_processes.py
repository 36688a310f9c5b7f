"""Children of the demo are started, remembered and ended without leaving any."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from sandbox.ports import wait_until
from sandbox.processes import (
    OWNER_VARIABLE,
    Account,
    FolderLock,
    Ledger,
    SandboxError,
    launcher,
    spawn,
    tail,
    wait_for_exit,
    write_atomically,
)

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True);"
    "time.sleep(600)",
]
# A parent that starts a child of its own and shows its pid.
FAMILY = [
    sys.executable,
    "-c",
    "import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c',"
    " 'import time; time.sleep(600)']); print(child.pid, flush=True); time.sleep(600)",
]
PARENT = """
import sys, time
from pathlib import Path
from sandbox.processes import spawn
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
child = spawn("child", sleep, log=Path(sys.argv[1]))
print(child.pid, flush=True)
time.sleep(600)
"""


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    child = spawn("stubborn", STUBBORN, log=tmp_path / "log")
    assert wait_until(lambda: "up" in child.last_words(), 60)
    child.stop(seconds=0.2)
    assert not psutil.pid_exists(child.pid)


def test_a_childs_children_end_with_it(tmp_path: Path) -> None:
    child = spawn("family", FAMILY, log=tmp_path / "log")
    assert wait_until(lambda: child.last_words().isdigit(), 60)
    grandchild = int(child.last_words())
    child.stop()
    assert wait_for_exit(grandchild, 5)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a parent's death")
def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    assert wait_for_exit(child, 10)


def test_the_next_start_ends_what_was_recorded_or_marked(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "processes.json")
    recorded = subprocess.Popen(SLEEP)
    marked = subprocess.Popen(SLEEP, env={**os.environ, OWNER_VARIABLE: ledger.owner})
    ledger.record("worker", recorded.pid)
    found = Ledger(tmp_path / "processes.json").end_orphans()
    assert found == ["a child process", "worker"]
    assert not psutil.pid_exists(recorded.pid)
    assert not psutil.pid_exists(marked.pid)
    assert not (tmp_path / "processes.json").exists()


def test_a_pid_given_to_somebody_else_is_left_alone(tmp_path: Path) -> None:
    innocent = subprocess.Popen(SLEEP)
    ledger = tmp_path / "processes.json"
    write_atomically(ledger, f'{{"worker": [{innocent.pid}, {time.time() - 3600}]}}')
    assert Ledger(ledger).end_orphans() == []
    assert innocent.poll() is None
    innocent.kill()
    innocent.wait()


def test_a_folder_has_one_owner_at_a_time(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path / "lock"), FolderLock(tmp_path / "lock")
    first.acquire()
    with pytest.raises(SandboxError, match=f"in use by process {os.getpid()}"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()
    assert not (tmp_path / "lock").exists()


def test_a_file_is_replaced_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.json"
    write_atomically(path, "one")
    write_atomically(path, "two")
    assert path.read_text() == "two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_the_tail_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("\n".join(f"line {number}" for number in range(10_000)))
    assert tail(log, 2) == "line 9998\nline 9999"
    assert tail(tmp_path / "missing") == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs to become somebody else")
@pytest.mark.skipif(sys.platform != "linux", reason="rests on Linux' capabilities")
def test_an_unprivileged_child_of_root_reaches_into_closed_folders(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    program = closed / "program"
    program.write_text("#!/bin/sh\nid -u\n")
    program.chmod(0o755)
    # `test` asks access(2), the shell opens and execs: all three have to agree.
    script = f"test -r {program} && test -x {program} && {program}"
    nobody = Account(65534, 65534)
    command = launcher(["/bin/sh", "-c", script], account=nobody)
    answer = subprocess.run(command, check=False, capture_output=True, text=True)
    assert answer.stdout == "65534\n", answer.stderr
