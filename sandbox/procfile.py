"""Reads the Procfile, so that the demo runs the very commands a host would."""

import re
from pathlib import Path

from sandbox.processes import ROOT, SandboxError

LINE = re.compile(r"^([A-Za-z0-9_-]+):\s*(.+?)\s*$")


def read_procfile(path: Path = ROOT / "Procfile") -> dict[str, str]:
    """Commands by process type; blank lines and comments are skipped."""
    commands: dict[str, str] = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        matched = LINE.match(line)
        if matched is None:
            raise SandboxError(f"Line {number} of the Procfile isn't `name: command`.")
        commands[matched[1]] = matched[2]
    return commands


def shell_command(command: str) -> list[str]:
    """Run through sh for its $VARIABLES; exec keeps the pid and the signals the command's own."""
    return ["/bin/sh", "-c", f"exec {command}"]
