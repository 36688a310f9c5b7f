"""Commands of the app, run as a shopkeeper runs them: in a process of their own."""

import subprocess
import sys
from collections.abc import Callable, Mapping

from sandbox.processes import ROOT
from tests.waiting import PATIENCE_SECONDS


def run_flask(env: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the app to its end."""
    return begin_flask(env, *arguments)()


def begin_flask(
    env: Mapping[str, str], *arguments: str
) -> Callable[[], subprocess.CompletedProcess[str]]:
    """Start a command of the app; what is returned waits for its end."""
    command = [sys.executable, "-m", "flask", "--app", "wsgi", *arguments]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    def finish() -> subprocess.CompletedProcess[str]:
        try:
            out, err = process.communicate(timeout=PATIENCE_SECONDS * 2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    return finish
