"""Debian's smtp-sink, the fastest mail server that keeps nothing: it isn't what a bench measures.

It is taken from the PATH, or out of Debian's postfix package, which needs no root. Elsewhere our
own sink stands in, and a note says so.
"""

import contextlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.ground import Ground
from bench.report import Notes
from sandbox.ports import HOST, answers, free_port

BACKLOG = "100"
ELSEWHERE = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")


@contextlib.contextmanager
def mail_server(ground: Ground, notes: Notes) -> Iterator[str]:
    """Run a mail server that takes everything; yields its SMTP address."""
    port = free_port()
    program = find_smtp_sink(ground.folder)
    if program is None:
        notes.add("Debian's smtp-sink was not to be had: mails went to our own sink, in Python.")
        child = ground.spawn("mail-server", ["-m", "bench.sink", "--port", str(port)])
        try:
            ground.wait(child, lambda: answers(port))
            yield f"smtp://{HOST}:{port}"
        finally:
            ground.end(child)
        return
    with _running(program, port):
        notes.add("Mails went to Debian's smtp-sink.")
        yield f"smtp://{HOST}:{port}"


@contextlib.contextmanager
def _running(program: Path, port: int) -> Iterator[None]:
    libraries = program.parents[1] / "lib" / "postfix"
    command = [str(program), f"{HOST}:{port}", BACKLOG]
    if os.geteuid() == 0:
        # It refuses to run as root.
        command[1:1] = ["-u", pwd.getpwnam("nobody").pw_name]
    process = subprocess.Popen(
        command,
        env={**os.environ, "LD_LIBRARY_PATH": str(libraries)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(100):
            if answers(port):
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


def find_smtp_sink(folder: Path) -> Path | None:
    """Return the program, unpacked into ``folder`` where it isn't installed; None without it."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *ELSEWHERE])
    installed = shutil.which("smtp-sink", path=path)
    if installed:
        return Path(installed)
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        return None
    unpacked = folder / "postfix"
    unpacked.mkdir(parents=True, exist_ok=True)
    try:
        _quietly(["apt-get", "download", "postfix"], unpacked)
        _quietly(["dpkg", "-x", next(unpacked.glob("postfix_*.deb")).name, "."], unpacked)
    except (subprocess.SubprocessError, OSError, StopIteration):
        return None
    # Whoever it runs as must be able to get there.
    for each in (folder, unpacked):
        each.chmod(0o755)
    program = unpacked / "usr" / "sbin" / "smtp-sink"
    return program if program.is_file() else None


def _quietly(command: list[str], folder: Path) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=120, cwd=folder)
