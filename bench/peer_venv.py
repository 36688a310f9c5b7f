"""The rivals' Python: a .venv of their own, made when their lock is another."""

import hashlib
import subprocess
import sys
from pathlib import Path

from sandbox.processes import ROOT, SandboxError

PEERS = ROOT / "bench" / "peers"
VENVS = ROOT / ".local"
INSTALL_SECONDS = 600


def peers_python() -> Path:
    """Return the Python that has the rivals. Raises SandboxError if they can't be installed."""
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
