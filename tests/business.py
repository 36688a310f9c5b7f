"""A whole business in processes of its own, for tests that race, flood and kill it."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from flask import Flask

from sandbox.ports import free_port
from sandbox.postgres import PostgresServer
from sandbox.processes import ROOT, Child, spawn
from sandbox.procfile import read_procfile, shell_command
from sandbox.readiness import clock_is_ready, web_is_ready, worker_is_ready
from tests.commands import run_flask
from tests.factories.catalog import make_sku
from tests.factories.sales import StripeDesk, make_shipping
from tests.neighbours import Neighbours, end_all
from tests.services import Addresses, app_environment, cloned
from tests.waiting import PATIENCE_SECONDS, eventually
from webapp.core.config import load_config
from webapp.core.db import db
from webapp.core.fork import Fork
from webapp.core.models import Shop
from webapp.core.redis import init_redis
from webapp.core.state import bind
from webapp.doctor import examine


@dataclass
class Business:
    """One fork's processes, started from the Procfile's commands and killed at will.

    Use it from the main thread: Linux ends a child with the thread that started it. Limits are in
    force, so every visitor needs an address of its own (``TRUSTED_HOPS`` and X-Forwarded-For).
    """

    name: str
    postgres: str
    redis_url: str
    folder: Path
    neighbours: Neighbours
    settings: Mapping[str, str] = field(default_factory=dict)
    children: dict[str, Child] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.port = free_port()
        self.stripe_key = self.settings.get("STRIPE_SECRET_KEY") or f"sk_test_{uuid.uuid4().hex}"
        self.env = app_environment(self.postgres, self.name, self.redis_url)
        self.env |= {
            "APP_ENV": "development",
            "TRUSTED_HOPS": "1",
            "FLASK_APP": "wsgi",
            "FLASK_SKIP_DOTENV": "1",
            "PORT": str(self.port),
            "WEB_CONCURRENCY": "2",
            "BASE_URL": self.web_url,
            "STRIPE_API_BASE": self.neighbours.stripe_url,
            "STRIPE_SECRET_KEY": self.stripe_key,
            "SMTP_URL": self.neighbours.smtp_url,
            "UPLOAD_FOLDER": str(self.uploads),
            "SPOOL_FOLDER": str(self.uploads / "spool"),
            "JOB_LEASE_SECONDS": "2",
            "RELAY_AFTER_SECONDS": "1",
            "PATH": f"{Path(sys.executable).parent}:{self.env['PATH']}",
            **self.settings,
        }
        self.app = self._make_app()

    def _make_app(self) -> Flask:
        """Only what services need: the real factory would also turn this process's limits on."""
        config = load_config(self.env)
        app = Flask("tests.inside")
        app.config["SQLALCHEMY_DATABASE_URI"] = config.fork_database_url
        app.secret_key = config.secret_key
        bind(app, config, Fork(self.name, config.upload_folder))
        db.init_app(app)
        init_redis(app, config.redis_url)
        return app

    @property
    def uploads(self) -> Path:
        return self.folder / "uploads"

    @property
    def web_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def domain(self) -> str:
        """Where this business's buyers have their mail."""
        return f"{self.name.replace('_', '-')}.example"

    # --- processes

    def start(self, *names: str) -> None:
        """Start ``web``, ``clock``, ``worker``, ``worker-2``...; return when all do their work."""
        for name in names:
            self.begin(name)
        for name in names:
            self.wait_for(name)

    def begin(self, name: str, **env: str) -> None:
        command = shell_command(read_procfile()[name.partition("-")[0]])
        log = self.folder / f"{self.name}-{name}.log"
        self.children[name] = spawn(name, command, log=log, env={**self.env, **env}, cwd=ROOT)

    def wait_for(self, name: str) -> None:
        eventually(lambda: self.is_ready(name), f"{self.name} {name}")

    def is_ready(self, name: str) -> bool:
        self.assert_alive()
        child = self.children[name]
        match name.partition("-")[0]:
            case "web":
                return web_is_ready(self.web_url)
            case "clock":
                return clock_is_ready(self.database_url)
        return worker_is_ready(self.redis_url, child.pid)

    def assert_alive(self) -> None:
        for child in self.children.values():
            assert child.is_alive(), f"{child.name} ended by itself:\n{child.last_words(30)}"

    def kill(self, name: str) -> None:
        """SIGKILL, as the kernel does when memory runs out."""
        child = self.children.pop(name)
        child.process.send_signal(signal.SIGKILL)
        child.process.wait()

    def stop(self) -> None:
        end_all(list(self.children.values()))
        self.children.clear()
        with self.app.app_context():
            db.engine.dispose()

    def examine(self) -> None:
        """The doctor's invariants, asked in this process."""
        with self.app.app_context():
            report = examine(ask_stripe=False)
        assert report["healthy"], [check for check in report["checks"] if not check["ok"]]

    def flask(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return run_flask({**self.env, **env}, *arguments)

    def doctor(self) -> dict[str, Any]:
        """Return the report of `flask doctor`, which must have found nothing."""
        ran = self.flask("doctor")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        report: dict[str, Any] = json.loads(ran.stdout)
        assert report["healthy"]
        return report

    # --- data

    @property
    def database_url(self) -> str:
        return PostgresServer(self.postgres).url(self.name)

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with PostgresServer(self.postgres).connect(self.name) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def count(self, table: str, where: str = "true") -> int:
        return int(self.ask(f'SELECT count(*) FROM "{table}" WHERE {where}')[0][0])

    def open_shop(self) -> None:
        """Give the fork its settings and one way of shipping, and let Stripe call it.

        Comes before the processes start: they are told the new endpoint's secret.
        """
        with self.app.app_context():
            db.session.add(Shop(name="Northwind Goods", sender_email=f"hello@{self.domain}"))
            make_shipping()
        self.neighbours.control("keys", key=self.stripe_key)
        stripe = StripeDesk(self.neighbours.stripe_url, self.stripe_key).client
        endpoint = stripe.v1.webhook_endpoints.create(
            {"url": f"{self.web_url}/webhooks/stripe", "enabled_events": ["*"]}
        )
        assert endpoint.secret
        self.env["STRIPE_WEBHOOK_SECRET"] = endpoint.secret

    def make_sku(
        self, stock: int | None, title: str = "Oak Bowl", **values: Any
    ) -> tuple[int, str]:
        """Return a new sku's id and the address of its page."""
        with self.app.app_context():
            sku_id = make_sku(title, stock=stock, **values).id
        slug = self.ask(
            "SELECT slug FROM product p JOIN product_sku ps ON ps.product_id = p.id"
            " WHERE ps.sku_id = %s",
            sku_id,
        )[0][0]
        return sku_id, f"{self.web_url}/products/{slug}"

    def list_mails(self) -> list[dict[str, Any]]:
        return self.neighbours.list_mails(self.domain)

    def is_at_rest(self) -> bool:
        """Whether nothing is left to do: no event, job, order or mail is on its way."""
        busy = """
            SELECT (SELECT count(*) FROM stripe_event WHERE state = 'pending')
                 + (SELECT count(*) FROM job WHERE state IN ('queued', 'running'))
                 + (SELECT count(*) FROM "order" WHERE status = 'accepted')
                 + (SELECT count(*) FROM mail WHERE state IN ('pending', 'claimed', 'sending'))"""
        self.assert_alive()
        with suppress(psycopg.OperationalError):
            return bool(self.ask(busy)[0][0] == 0)
        return False

    def wait_for_rest(self, seconds: float = PATIENCE_SECONDS) -> None:
        eventually(self.is_at_rest, f"{self.name} at rest", seconds)


@contextmanager
def run_business(
    addresses: Addresses, redis_url: str, neighbours: Neighbours, folder: Path, **settings: str
) -> Iterator[Business]:
    """A business on a database of its own, none of its processes started yet; all end with it."""
    name = f"{addresses.prefix}_{os.urandom(4).hex()}"
    with cloned(addresses, name):
        business = Business(name, addresses.postgres, redis_url, folder, neighbours, settings)
        try:
            yield business
        finally:
            business.stop()
