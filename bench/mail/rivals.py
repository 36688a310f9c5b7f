"""Runs the rivals: the bare connection in a process of ours, Django's in a .venv of their own."""

import subprocess
import sys
from pathlib import Path

from bench.ground import Ground
from bench.peer_venv import PEERS, peers_python
from sandbox.processes import ROOT, SandboxError

SEND_SECONDS = 600


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
    command = [str(peers_python()), str(PEERS / "django_mail.py"), way]
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
