"""A whole business in processes of its own, for tests that race, flood and kill it."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest
import requests
from flask import Flask

from sandbox.browser import Browser, Page
from sandbox.ports import free_port
from sandbox.postgres import PostgresServer
from sandbox.processes import ROOT, Child, spawn
from sandbox.procfile import read_procfile, shell_command
from sandbox.readiness import clock_is_ready, web_is_ready, worker_is_ready
from sandbox.redis import Redis
from tests.factories.catalog import make_sku
from tests.factories.sales import StripeDesk, make_shipping
from tests.services import Addresses, app_environment, cloned
from webapp.core.config import load_config
from webapp.core.db import db
from webapp.core.fork import Fork
from webapp.core.models import Shop
from webapp.core.redis import init_redis
from webapp.core.state import bind
from webapp.doctor import examine

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 90
BUYER = {
    "name": "Alice Example",
    "line1": "1 Market Street",
    "city": "San Francisco",
    "state": "CA",
    "postal_code": "94105",
    "country": "US",
    "phone": "+14155550100",
    "card_number": "4242424242424242",
    "expiry": "12/34",
    "cvc": "123",
}
Seen = TypeVar("Seen")


def eventually(
    look: Callable[[], Seen | None], what: str, seconds: float = PATIENCE_SECONDS
) -> Seen:
    """Return the first thing ``look`` sees; fails with ``what`` when it never comes."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.02)
    return seen


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Stripe's stand-in and a mailbox, each a process, shared by all businesses of a run."""

    stripe_url: str
    smtp_url: str
    mailbox_url: str

    def control(self, path: str, **body: object) -> dict[str, Any]:
        """Ask Stripe's stand-in for what no Stripe offers."""
        answer = requests.post(f"{self.stripe_url}/_sandbox/{path}", json=body, timeout=60)
        assert answer.ok, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def pay(self, session_id: str, email: str) -> None:
        self.control(f"sessions/{session_id}/pay", email=email)

    def list_mails(self, domain: str) -> list[dict[str, Any]]:
        """Return the caught mails to anybody at ``domain``, oldest first."""
        answer = requests.get(f"{self.mailbox_url}/api/messages", timeout=60)
        return [mail for mail in answer.json() if mail["to"][0].endswith(f"@{domain}")]


@contextmanager
def run_neighbours(folder: Path) -> Iterator[Neighbours]:
    """Start both and stop them after the block."""
    stripe = [sys.executable, "-m", "sandbox.stripe", "--state", str(folder / "stripe")]
    mailbox = [sys.executable, "-m", "sandbox.mailbox", "--state", str(folder / "mailbox")]
    children = [
        spawn("stripe", [*stripe, "--retry-base", "0.3"], log=folder / "stripe.log", cwd=ROOT),
        spawn("mailbox", mailbox, log=folder / "mailbox.log", cwd=ROOT),
    ]
    try:
        told = [eventually(partial(_introduction, child), child.name) for child in children]
        yield Neighbours(told[0]["url"], told[1]["smtp"], told[1]["url"])
    finally:
        _end(children)


def _introduction(child: Child) -> dict[str, str] | None:
    """The line of JSON in which a neighbour says where it listens."""
    assert child.is_alive(), child.last_words()
    with suppress(FileNotFoundError):
        for line in child.log.read_text().splitlines(keepends=True):
            if line.startswith("{") and line.endswith("\n"):
                found: dict[str, str] = json.loads(line)
                return found
    return None


def _end(children: list[Child]) -> None:
    """At once: how processes end by themselves is for other tests."""
    for child in children:
        child.stop(how=signal.SIGKILL)


@pytest.fixture(scope="session")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis that FLUSHALL may hit without hurting anybody else."""
    server = Redis(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbours]:
    with run_neighbours(tmp_path_factory.mktemp("neighbours")) as running:
        yield running


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
        _end(list(self.children.values()))
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


class Buyer:
    """A visitor without JavaScript, with cookies and an address of their own."""

    def __init__(self, business: Business, number: int, email: str | None = None) -> None:
        self.business = business
        self.email = email or f"buyer-{number}@{business.domain}"
        self.browser = Browser()
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        self.browser.session.headers["X-Forwarded-For"] = address
        self.cart: Page | None = None

    def fill_cart(self, product_url: str) -> None:
        """Look at a product and put one in; the cart page is what comes back."""
        page = self.browser.open(product_url)
        self.cart = self.browser.submit(page, page.form("/cart/add"))

    def press_pay(self) -> Page:
        """Send the cart page's form: Stripe's page comes back, or the cart with a sentence."""
        assert self.cart
        return self.browser.submit(self.cart, self.cart.form("/checkout"))

    def is_at_stripe(self, page: Page) -> bool:
        return page.url.startswith(self.business.neighbours.stripe_url)

    def pay(self, hosted: Page) -> Page:
        """Fill in Stripe's page and come back to the shop's."""
        return self.browser.submit(hosted, self._form(hosted), {**BUYER, "email": self.email})

    def pay_and_leave(self, hosted: Page) -> None:
        """Fill in Stripe's page and close the window instead of coming back."""
        form = self._form(hosted)
        data = {**form.fields, **BUYER, "email": self.email}
        session = self.browser.session
        answer = session.post(form.action, data=data, timeout=60, allow_redirects=False)
        assert answer.status_code == 303, answer.text

    def _form(self, hosted: Page) -> Any:
        return hosted.form(hosted.url.partition("?")[0].rpartition("/")[2])


def sentences(page: Page) -> list[str]:
    """What the shop told the visitor above the page."""
    return [" ".join(node.text().split()) for node in page.html.css(".notices .notice")]


def all_at_once(count: int, do: Callable[[int], Seen]) -> list[Seen]:
    """Call ``do(0)`` ... ``do(count - 1)``, each in a thread, all let go at the same moment."""
    gate = threading.Barrier(count)
    results: list[Any] = [None] * count
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            gate.wait(PATIENCE_SECONDS)
            results[number] = do(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results
