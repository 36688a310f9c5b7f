"""One Postgres and one Redis per test run, and for each parallel worker a database of its own.

A pytest plugin (tests/conftest.py names it). The process that starts the run, alone or as xdist's
controller, starts the servers, migrates one template database and clones it for whoever asks.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask
from redis.backoff import NoBackoff
from redis.retry import Retry

from sandbox.postgres import Postgres, PostgresServer, external_postgres
from sandbox.processes import SandboxError
from sandbox.redis import Redis, external_redis

ROOT = Path(__file__).resolve().parent.parent
RAM_DISK = Path("/dev/shm")
RAM_NEEDED = 1 << 30


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the run's servers are; small and plain, as it travels to xdist's workers."""

    postgres: str
    redis: str
    prefix: str

    @property
    def template(self) -> str:
        return f"{self.prefix}_template"

    def database(self, worker: str) -> str:
        return f"{self.prefix}_{worker}"

    def redis_database(self, worker: str) -> str:
        """A numbered database for a worker; the one named by the address itself stays untouched."""
        number = 2 + int(worker.removeprefix("gw")) if worker.startswith("gw") else 1
        base, _, first = self.redis.rpartition("/")
        return f"{base}/{int(first) + number}"


@dataclass(frozen=True, slots=True)
class Database:
    """One migrated Postgres database."""

    name: str
    url: str


class Servers:
    """Starts what the run needs, in a folder that goes when the run ends."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tests-", dir=fast_folder()))
        self._postgres: PostgresServer | None = None
        self._redis: Redis | None = None
        self.addresses: Addresses | None = None

    def start(self) -> Addresses:
        """Servers up and the template migrated; SandboxError with a sentence if not."""
        redis_url = os.environ.get("REDIS_URL")
        if redis_url:
            external_redis(redis_url)
            if not redis_url.rsplit("/", 1)[-1].isdigit():
                redis_url = f"{redis_url.rstrip('/')}/0"
        else:
            self._redis = Redis(self.folder / "redis")
            self._redis.begin()
        database_url = os.environ.get("DATABASE_URL")
        prefix = "test"
        if database_url:
            self._postgres = external_postgres(database_url)
            prefix = f"test_{os.getpid()}"
        else:
            embedded = Postgres(self.folder / "postgres", durable=False)
            self._postgres = embedded
            embedded.start()
        if self._redis:
            self._redis.wait()
            redis_url = self._redis.url
        assert redis_url
        self.addresses = Addresses(self._postgres.url(), redis_url, prefix)
        make_template(self._postgres, self.addresses)
        return self.addresses

    def stop(self) -> None:
        if isinstance(self._postgres, Postgres):
            self._postgres.stop()
        elif self._postgres and self.addresses:
            for name in self._postgres.database_names():
                if name.startswith(f"{self.addresses.prefix}_"):
                    self._postgres.drop_database(name)
        if self._redis:
            self._redis.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def fast_folder() -> Path | None:
    """A RAM disk with room enough, where the machine has one."""
    try:
        if os.access(RAM_DISK, os.W_OK) and shutil.disk_usage(RAM_DISK).free > RAM_NEEDED:
            return RAM_DISK
    except OSError:
        pass
    return None


def app_environment(postgres: str, database: str, redis_url: str) -> dict[str, str]:
    """The environment of a process of the app that a test starts: nothing of the caller's leaks."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("FLASK_", "STRIPE_", "SMTP_"))
    }
    return {
        **kept,
        "APP_ENV": "test",
        "DATABASE_URL": postgres,
        "DATABASE_NAME": database,
        "REDIS_URL": redis_url,
        "SECRET_KEY": "only-for-tests-" + "x" * 32,
    }


def make_template(server: PostgresServer, addresses: Addresses) -> None:
    """Create and migrate the database that every clone is made from."""
    server.create_database(addresses.template)
    if not (ROOT / "wsgi.py").exists():
        return
    migrated = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"],
        check=False,
        cwd=ROOT,
        env=app_environment(addresses.postgres, addresses.template, addresses.redis),
        capture_output=True,
        text=True,
    )
    if migrated.returncode != 0:
        raise SandboxError(
            f"The migrations failed on an empty database:\n{migrated.stdout}{migrated.stderr}"
        )


SERVERS = pytest.StashKey[Servers]()


def servers_of(config: pytest.Config) -> Addresses:
    """Start the servers at the first call in this process."""
    if SERVERS not in config.stash:
        servers = Servers()
        config.stash[SERVERS] = servers
        try:
            servers.start()
        except SandboxError as error:
            pytest.exit(str(error), returncode=4)
    addresses = config.stash[SERVERS].addresses
    if addresses is None:
        pytest.exit("The test servers didn't start.", returncode=4)
    return addresses


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist's controller hands the addresses to each worker it starts."""
    node.workerinput["services"] = asdict(servers_of(node.config))


def pytest_unconfigure(config: pytest.Config) -> None:
    if SERVERS in config.stash:
        config.stash[SERVERS].stop()


@pytest.fixture(scope="session")
def addresses(request: pytest.FixtureRequest) -> Addresses:
    """Where this run's Postgres and Redis are."""
    handed: dict[str, Any] | None = getattr(request.config, "workerinput", {}).get("services")
    return Addresses(**handed) if handed else servers_of(request.config)


@pytest.fixture(scope="session")
def worker(request: pytest.FixtureRequest) -> str:
    """xdist's name for this process (`gw0`), `main` without it."""
    return str(getattr(request.config, "workerinput", {}).get("workerid", "main"))


@pytest.fixture(scope="session")
def database(addresses: Addresses, worker: str) -> Iterator[Database]:
    """This worker's database, migrated; tests that roll back may share it."""
    with cloned(addresses, addresses.database(worker)) as database:
        yield database


@contextlib.contextmanager
def cloned(addresses: Addresses, name: str) -> Iterator[Database]:
    """A copy of the template that lasts as long as the block."""
    server = PostgresServer(addresses.postgres)
    server.drop_database(name)  # a worker that crashed is replaced under its name
    server.create_database(name, template=addresses.template)
    try:
        yield Database(name, server.url(name))
    finally:
        server.drop_database(name)


@pytest.fixture
def fresh_database(addresses: Addresses, worker: str) -> Iterator[Database]:
    """A clone for one test that commits for real or connects from many processes."""
    name = f"{addresses.database(worker)}_{os.urandom(4).hex()}"
    with cloned(addresses, name) as database:
        yield database


@pytest.fixture(scope="session")
def redis_url(addresses: Addresses, worker: str) -> str:
    """This worker's numbered Redis database. On a foreign server it must have been empty."""
    url = addresses.redis_database(worker)
    with redis.Redis.from_url(url) as client:
        if os.environ.get("REDIS_URL") and client.dbsize():
            pytest.exit(f"{url} holds data and the tests would delete it.", returncode=4)
    return url


@pytest.fixture
def clean_redis(redis_url: str) -> Iterator[str]:
    """The worker's Redis address, emptied before and after the test."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
        yield redis_url
        client.flushdb()


@contextlib.contextmanager
def redis_away(app: Flask) -> Iterator[None]:
    """Within the block the app's Redis answers nothing."""
    real = app.extensions["redis"]
    nowhere = redis.Redis(port=1, socket_connect_timeout=0.1, retry=Retry(NoBackoff(), 0))
    app.extensions["redis"] = nowhere
    try:
        yield
    finally:
        app.extensions["redis"] = real


@pytest.fixture
def app_env(addresses: Addresses, database: Database, redis_url: str) -> dict[str, str]:
    """The environment for a subprocess of the app on this worker's database."""
    return app_environment(addresses.postgres, database.name, redis_url)
