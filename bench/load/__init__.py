"""Makes load: wrk where it is installed, as it costs the shared cores least, else our own client.

Both keep ``connections`` requests in flight (a closed loop) and report alike.
"""

import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from sandbox.processes import SandboxError

CONNECTIONS = 8
SCRIPTS = Path(__file__).parent
GRACE_SECONDS = 60
# Every request on a connection of its own, as visitors come: sync workers know nothing else.
CLOSE = "Connection: close"


@dataclass(frozen=True, slots=True)
class Load:
    """What a slice of load saw. Latencies in milliseconds, from sent to answered."""

    requests: int
    seconds: float
    p50: float
    p95: float
    p99: float

    @property
    def rate(self) -> float:
        """Requests answered per second."""
        return self.requests / self.seconds if self.requests else 0.0


def generator() -> str:
    """Say who makes the load."""
    if _wrk():
        return f"Load: wrk, {CONNECTIONS} connections in a closed loop, a new one per request."
    return (
        f"Load: our Python client, {CONNECTIONS} connections in a closed loop, a new one per"
        " request, one process. It takes more of the shared cores than wrk would, most of all from"
        " the fastest contestant."
    )


@cache
def _wrk() -> str | None:
    return shutil.which("wrk")


def press(url: str, seconds: int, connections: int = CONNECTIONS) -> Load:
    """Ask for one address for ``seconds``; SandboxError if any answer isn't a success."""
    wrk = _wrk()
    if wrk:
        command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "-H", CLOSE]
        return _measure([*command, "-s", str(SCRIPTS / "press.lua"), url], seconds, url)
    command = [sys.executable, str(SCRIPTS / "client.py"), url, str(connections), str(seconds)]
    return _measure(command, seconds, url)


def replay(url: str, requests: Path, seconds: int, connections: int = CONNECTIONS) -> Load:
    """Send prepared requests, each once, for ``seconds``. Have more of them than can be sent."""
    wrk = _wrk()
    if not wrk:
        return send_all(url, requests, seconds, connections)
    command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "-H", CLOSE]
    script = ["-s", str(SCRIPTS / "replay.lua"), url, "--", str(requests)]
    return _measure([*command, *script], seconds, url)


def send_all(url: str, requests: Path, seconds: int, connections: int = CONNECTIONS) -> Load:
    """Send each of the prepared requests once and return; give up after ``seconds``."""
    command = [sys.executable, str(SCRIPTS / "client.py"), url, str(connections), str(seconds)]
    return _measure([*command, str(requests)], seconds, url)


def send_counting(
    url: str, requests: Path, seconds: int, connections: int = CONNECTIONS
) -> tuple[Load, int]:
    """Send each of the prepared requests once; returns also how many were refused or broke off."""
    command = [sys.executable, str(SCRIPTS / "client.py"), url, str(connections), str(seconds)]
    found = _run([*command, str(requests)], seconds, url)
    return _load(found), int(found["failed"])


def together(loads: Sequence[Load]) -> Load:
    """Return slices of load as one; its percentiles are those of the slice in the middle."""
    return Load(
        sum(load.requests for load in loads),
        sum(load.seconds for load in loads),
        *(median(getattr(load, part) for load in loads) for part in ("p50", "p95", "p99")),
    )


def write_requests(
    target: Path, url: str, posts: Sequence[tuple[str, dict[str, str], bytes]]
) -> None:
    """Prepare POST requests, ``(path, headers, body)`` each, so that sending costs next to nothing.

    The file's format: length as four bytes, little end first, then the request as on the wire.
    """
    host = urlsplit(url).netloc
    with target.open("wb") as file:
        for path, headers, body in posts:
            lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
            lines.append(CLOSE)
            lines += [f"{name}: {value}" for name, value in headers.items()]
            request = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
            file.write(struct.pack("<I", len(request)) + request)


def _measure(command: list[str], seconds: int, url: str) -> Load:
    found = _run(command, seconds, url)
    if found["failed"]:
        raise SandboxError(
            f"{found['failed']} of {found['requests']} requests to {url} failed:"
            f" {json.dumps(found['errors'])}"
        )
    return _load(found)


def _run(command: list[str], seconds: int, url: str) -> dict[str, Any]:
    limit = seconds + GRACE_SECONDS
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise SandboxError(f"The load on {url} didn't end within {limit} s.") from None
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines or not lines[-1].startswith("{"):
        raise SandboxError(f"The load on {url} failed:\n{done.stdout[-500:]}{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def _load(found: dict[str, Any]) -> Load:
    return Load(found["requests"], found["seconds"], found["p50"], found["p95"], found["p99"])
