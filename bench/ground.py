"""The servers a bench runs on: Postgres as durable as in production, Redis, web, worker, clock.

All of it in a folder of its own on free loopback ports, all of it gone at the end.
"""

import contextlib
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import requests
from flask import Flask

from sandbox.ports import HOST, answers, free_port
from sandbox.postgres import Postgres
from sandbox.processes import ROOT, Child, SandboxError, spawn
from sandbox.readiness import clock_is_ready, worker_is_ready
from sandbox.redis import Redis
from sandbox.seed import DATA

TEMPLATE = "bench_template"
WEBHOOK_SECRET = "whsec_bench"
# As long as Stripe's own: others check the form.
STRIPE_KEY = "sk_test_bench0123456789bench0123456789"
CATALOGUES = ("shopify-apparel.csv", "shopify-jewelery.csv")
START_SECONDS = 90
STOCK = 1_000_000


class Ground:
    """Starts what benches share; a bench takes a copy of the filled shop for itself."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        # On a port of its own, so that it comes back there when a bench has killed it.
        self.postgres = Postgres(self.folder / "postgres", port=free_port())
        self.redis = Redis(self.folder / "redis")
        self.children: list[Child] = []
        self.stripe_url = ""

    def __enter__(self) -> "Ground":
        try:
            self.redis.begin()
            self.postgres.start()
            self.redis.wait()
            self._fill_template()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End every process in the order that breaks nothing, and remove the folder."""
        for child in reversed(self.children):
            child.stop()
        self.children.clear()
        self.redis.stop()
        self.postgres.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _fill_template(self) -> None:
        """Make the shop that every bench sells from, with the commands a founder has."""
        site = Site(self, TEMPLATE)
        with site.app() as app:
            create = ["--title", "Bench", "--email", "hello@bench.example"]
            run_command(app, "fork", "create", TEMPLATE, *create)
            for name in CATALOGUES:
                run_command(app, "catalog", "import", str(DATA / name))
            run_command(app, "shop", "seed-shipping")
        with self.postgres.connect(TEMPLATE) as connection:
            connection.execute("UPDATE sku_inventory SET tracked = true, on_hand = %s", (STOCK,))
            connection.execute("VACUUM ANALYZE")

    def site(self, name: str) -> "Site":
        """Return a shop for one bench: nothing it does is seen by the next."""
        database = f"bench_{name}"
        self.postgres.create_database(database, template=TEMPLATE)
        return Site(self, database)

    def copy_site(self, original: "Site", name: str) -> "Site":
        """Return a shop like ``original``, in place of an earlier copy of that name."""
        self.copy_database(original.database, name)
        return Site(self, name, original.changes)

    def copy_database(self, original: str, name: str) -> None:
        if name in self.postgres.database_names():
            self.postgres.drop_database(name)
        self.postgres.create_database(name, template=original)

    def start_stripe(self) -> None:
        """Start the Stripe sandbox; it sends no webhooks by itself, a bench delivers them."""
        if self.stripe_url:
            return
        port = free_port()
        command = ["-m", "sandbox.stripe", "--port", str(port), "--key", STRIPE_KEY]
        child = self.spawn("stripe", [*command, "--state", str(self.folder / "stripe")])
        self.wait(child, lambda: answers(port))
        self.stripe_url = f"http://{HOST}:{port}"

    def spawn(
        self,
        name: str,
        command: list[str],
        env: dict[str, str] | None = None,
        python: str = sys.executable,
    ) -> Child:
        """Start a Python process of the project, or of a rival's, that ends with this one."""
        child = spawn(
            name,
            [python, *command],
            log=self.folder / "logs" / f"{name}.log",
            env=env,
            cwd=ROOT,
        )
        self.children.append(child)
        return child

    def end(self, child: Child) -> None:
        child.stop()
        self.children.remove(child)

    def wait(self, child: Child, is_ready: Callable[[], bool]) -> None:
        """Return when ``is_ready``; SandboxError with the child's last words if it never is."""
        deadline = time.monotonic() + START_SECONDS
        while not is_ready():
            if not child.is_alive() or time.monotonic() > deadline:
                raise SandboxError(f"{child.name} didn't start:\n{child.last_words()}")
            time.sleep(0.05)

    def durability(self) -> str:
        """Say what Postgres promises, asked of Postgres itself."""
        with self.postgres.connect() as connection:
            names = ("fsync", "synchronous_commit", "full_page_writes")
            shown = [connection.execute(f"SELECT current_setting('{n}')").fetchall() for n in names]
        return ", ".join(f"{name} {rows[0][0]}" for name, rows in zip(names, shown, strict=True))


@dataclass(frozen=True, slots=True)
class Site:
    """One fork under load and the processes that serve it, with production's settings."""

    ground: Ground
    database: str
    changes: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        ours = ("FLASK_", "STRIPE_", "SMTP_", "DATABASE_", "REDIS_", "SECRET_", "GUNICORN_", "WEB_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {
            **kept,
            "APP_ENV": "production",
            "BASE_URL": "https://bench.example",
            "SECRET_KEY": "only-for-benches-" + "x" * 32,
            "DATABASE_URL": self.ground.postgres.url(),
            "DATABASE_NAME": self.database,
            "REDIS_URL": self.ground.redis.url,
            "STRIPE_SECRET_KEY": STRIPE_KEY,
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "STRIPE_API_BASE": self.ground.stripe_url or "http://127.0.0.1:9",
            "SMTP_URL": "null://",
            "UPLOAD_FOLDER": str(self.ground.folder / "uploads"),
            "SPOOL_FOLDER": str(self.ground.folder / "spool"),
            # The limiter counts every request as in production; only its end is out of reach.
            "REQUEST_LIMIT": "1000000000 per minute",
            "FLASK_APP": "wsgi",
            "FLASK_SKIP_DOTENV": "1",
            **self.changes,
        }

    @contextlib.contextmanager
    def app(self) -> Iterator[Flask]:
        """The shop within this process, to set things up and to look inside."""
        from webapp.core.config import load_config
        from webapp.core.db import db
        from wsgi import create_app

        app = create_app(load_config({**self.environment(), "LOG_LEVEL": "ERROR"}))
        try:
            yield app
        finally:
            with app.app_context():
                db.engine.dispose()

    @contextlib.contextmanager
    def web(self, workers: int | None = None, options: tuple[str, ...] = ()) -> Iterator[str]:
        """Serve ``bench.wsgi`` as the Procfile serves the shop; yields the address.

        Without ``workers`` it is as many as gunicorn.conf.py takes on this machine.
        """
        count = workers or os.cpu_count() or 1
        port = free_port()
        env = {**self.environment(), "HOST": HOST, "PORT": str(port)}
        env["WEB_CONCURRENCY"] = str(count)
        command = ["-m", "gunicorn", "bench.wsgi:create()", "--config", "gunicorn.conf.py"]
        child = self.ground.spawn(f"web-{self.database}", [*command, *options], env)
        url = f"http://{HOST}:{port}"
        try:
            self.ground.wait(child, lambda: workers_answer(url, count))
            yield url
        finally:
            self.ground.end(child)

    @contextlib.contextmanager
    def workers(self, count: int) -> Iterator[None]:
        """Run ``count`` workers and the clock, as the Procfile does."""
        with self.workers_alone(count):
            env = self.environment()
            clock = self.ground.spawn(f"clock-{self.database}", ["-m", "flask", "clock"], env)
            try:
                self.ground.wait(clock, lambda: clock_is_ready(self.url))
                yield
            finally:
                self.ground.end(clock)

    @contextlib.contextmanager
    def workers_alone(self, count: int) -> Iterator[None]:
        """Run ``count`` workers where no clock calls them away for what it has to catch up with."""
        env = self.environment()
        started: list[Child] = []
        try:
            for number in range(count):
                name = f"worker-{self.database}-{number}"
                started.append(self.ground.spawn(name, ["-m", "flask", "worker"], env))
            for child in started:
                is_ready = partial(worker_is_ready, env["REDIS_URL"], child.pid)
                self.ground.wait(child, is_ready)
            yield
        finally:
            for child in started:
                self.ground.end(child)

    @property
    def url(self) -> str:
        return self.ground.postgres.url(self.database)


def run_command(app: Flask, *arguments: str) -> None:
    """Call one of the shop's commands, as a founder would. Raises SandboxError."""
    done = app.test_cli_runner().invoke(args=list(arguments))
    if done.exit_code != 0:
        raise SandboxError(f"flask {' '.join(arguments[:2])} failed:\n{done.output}")


def workers_answer(url: str, count: int) -> bool:
    """Say whether ``count`` worker processes are up: asked often and at once, each answers some."""
    seen: set[str] = set()

    def ask() -> None:
        with contextlib.suppress(requests.RequestException):
            for _ in range(8):
                answer = requests.get(f"{url}/bench/worker", timeout=5)
                seen.add(answer.text)

    threads = [threading.Thread(target=ask) for _ in range(2 * count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(seen) >= count


def machine() -> str:
    """Say what it was measured on."""
    python = ".".join(map(str, sys.version_info[:3]))
    return f"Python {python}, {os.cpu_count()} cores shared by all processes of the run."
