"""Runs the rivals: the bare connection in a process of ours, Django's in a .venv of their own."""

import hashlib
import subprocess
import sys
from pathlib import Path

from bench.ground import Ground
from sandbox.processes import ROOT, SandboxError

PEERS = ROOT / "bench" / "peers"
VENVS = ROOT / ".local"
INSTALL_SECONDS, SEND_SECONDS = 600, 600


def time_raw(way: str, port: int, count: int, message: Path) -> float:
    """Return the seconds a bare connection takes for ``count`` times the same message."""
    command = [sys.executable, "-m", "bench.mail.raw", way]
    return _seconds([*command, *_common(port, count, message)])


def time_django(way: str, ground: Ground, port: int, count: int, message: Path) -> float:
    """Return the seconds ``post-office`` or ``mailer`` takes to send ``count`` queued mails."""
    database = f"bench_peer_{way.replace('-', '_')}"
    if database in ground.postgres.database_names():
        ground.postgres.drop_database(database)
    ground.postgres.create_database(database)
    command = [str(_peers_python()), str(PEERS / "django_mail.py"), way]
    url = ["--database", ground.postgres.url(database)]
    return _seconds([*command, *url, *_common(port, count, message)])


def _common(port: int, count: int, message: Path) -> list[str]:
    return ["--port", str(port), "--count", str(count), "--message", str(message)]


def _seconds(command: list[str]) -> float:
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=SEND_SECONDS, check=False
    )
    if done.returncode:
        raise SandboxError(f"A rival couldn't be measured: {done.stderr.strip()[-1000:]}")
    return float(done.stdout.split()[-1])


def _peers_python() -> Path:
    """Return the Python that has the rivals; its .venv is made when the lock is another."""
    lock = PEERS / "requirements.txt"
    mark = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:12]
    venv = VENVS / f"peers-{mark}"
    python = venv / "bin" / "python"
    if (venv / "complete").exists():
        return python
    install = "-m pip install --quiet --disable-pip-version-check --require-hashes"
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(venv)],
        [str(python), *install.split(), "--only-binary", ":all:", "-r", str(lock)],
    ):
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
        if done.returncode:
            raise SandboxError(f"The rivals couldn't be installed: {done.stderr.strip()[-600:]}")
    (venv / "complete").touch()
    return python
