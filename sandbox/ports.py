"""Finds loopback ports and waits for what listens on them."""

import contextlib
import random
import socket
import time
from collections.abc import Callable

HOST = "127.0.0.1"
BELOW_EPHEMERAL = range(12_000, 32_000)


def is_free(port: int, host: str = HOST) -> bool:
    """Whether a server could listen on `port` now (sockets in TIME_WAIT don't count)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError):
            return False
    return True


def free_port(preferred: int | None = None) -> int:
    """`preferred` if nobody has it, else any free port.

    Below those that systems give to whoever asks for any: it may be long until it is used.
    """
    if preferred and is_free(preferred):
        return preferred
    for port in random.sample(BELOW_EPHEMERAL, 100):
        if is_free(port):
            return port
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def next_free_port(port: int, tries: int = 100) -> int:
    """The first free port after `port`."""
    for candidate in range(port + 1, min(port + 1 + tries, 65536)):
        if is_free(candidate):
            return candidate
    return free_port()


def answers(port: int, host: str = HOST) -> bool:
    """Whether something accepts a connection on `port`."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def wait_until(ready: Callable[[], bool], seconds: float, pause: float = 0.02) -> bool:
    """Ask `ready` until it says yes; False when `seconds` have passed."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True
