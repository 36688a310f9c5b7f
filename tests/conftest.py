"""What every test may ask for: the app on real Postgres and Redis, and neighbours at its edges."""

import logging
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import requests
from flask import Flask, g
from flask.testing import FlaskClient
from hypothesis import HealthCheck, settings
from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from sandbox.stripe.contract import Recorder, record
from sandbox.stripe.server import StripeSandbox, start
from tests.factories.sales import StripeDesk
from tests.services import Addresses, Database
from webapp.core.config import Config, Env
from webapp.core.db import db
from webapp.core.models import Shop
from webapp.core.queue import due_job_ids, perform
from webapp.core.state import bind, current_fork
from wsgi import create_app

# The same examples each time, however slow the machine is.
settings.register_profile(
    "suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")
pytest_plugins = ["tests.services", "tests.other_apps", "tests.turns"]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: for browsers and dying processes the rest mostly waits."""
    return (os.cpu_count() or 1) + 1


def make_config(
    addresses: Addresses, database: Database, redis_url: str, uploads: Path, **changes: object
) -> Config:
    """Return the settings of an app on this worker's database."""
    values: dict[str, object] = {
        "app_env": Env.TEST,
        "secret_key": "only-for-tests-" + "x" * 32,
        "database_url": addresses.postgres,
        "database_name": database.name,
        "redis_url": redis_url,
        "base_url": "http://localhost",
        "upload_folder": uploads,
        "spool_folder": uploads / "spool",
        "stripe_secret_key": "sk_test_sandbox",
        "stripe_webhook_secret": "whsec_tests",
        "smtp_url": "null://",
        "argon2_time_cost": 1,
        "argon2_memory_kib": 64,
        "argon2_parallelism": 1,
    }
    return Config.model_validate(values | changes)


class Visitor(FlaskClient):
    """A browser. A test holds one app context open, so requests would share ``g``: forget it."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        vars(g._get_current_object()).clear()
        return super().open(*args, **kwargs)


@pytest.fixture(scope="session")
def session_app(
    addresses: Addresses,
    database: Database,
    redis_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Flask]:
    """One app per worker; tests use ``app``, which also isolates the database."""
    uploads = tmp_path_factory.mktemp("uploads")
    app = create_app(make_config(addresses, database, redis_url, uploads))
    app.testing = True
    app.test_client_class = Visitor
    logging.getLogger().handlers[:] = []
    yield app
    with app.app_context():
        db.engine.dispose()


def connect_through(app: Flask, source: Engine | Connection) -> None:
    """Make the app's sessions use ``source``: a session binds to a connection as to an engine."""
    db._app_engines[app][None] = cast(Engine, source)


@pytest.fixture
def connection(session_app: Flask) -> Iterator[Connection]:
    """The test's one connection: everything on it is rolled back at the end."""
    with session_app.app_context():
        engine = db.engine
        connection = engine.connect()
        transaction = connection.begin()
        connect_through(session_app, connection)
        factory = db.session.session_factory
        before = dict(factory.kw)
        factory.configure(join_transaction_mode="create_savepoint")
        try:
            yield connection
        finally:
            db.session.remove()
            factory.kw.clear()
            factory.kw.update(before)
            connect_through(session_app, engine)
            transaction.rollback()
            connection.close()


@pytest.fixture
def app(session_app: Flask, connection: Connection, clean_redis: str) -> Flask:
    """The app within a transaction that the end of the test rolls back, with an open shop."""
    db.session.add(
        Shop(
            name="Northwind Goods",
            tagline="Made to last",
            sender_email="hello@northwind.example",
            support_email="help@northwind.example",
            sender_name="Northwind Goods",
        )
    )
    db.session.commit()
    return session_app


@pytest.fixture
def session(app: Flask) -> Session:
    """The session of the test's own app context."""
    return db.session()


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    """A visitor; forms need no CSRF token here, tests of CSRF switch it on again."""
    app.config["WTF_CSRF_ENABLED"] = False
    yield app.test_client()
    app.config["WTF_CSRF_ENABLED"] = True


@pytest.fixture
def run_jobs(app: Flask) -> Callable[[], int]:
    """Run all due jobs until none is left, as a worker would; returns how many ran."""

    def run() -> int:
        ran = 0
        while ids := due_job_ids():
            for job_id in ids:
                perform(current_fork().name, job_id)
                ran += 1
        return ran

    return run


@pytest.fixture(scope="session")
def stripe_calls() -> Recorder:
    """Every call to the worker's Stripe sandbox."""
    return record()


@pytest.fixture(scope="session")
def stripe_sandbox(
    tmp_path_factory: pytest.TempPathFactory, stripe_calls: Recorder
) -> Iterator[StripeSandbox]:
    """One Stripe sandbox per worker."""
    with start(tmp_path_factory.mktemp("stripe"), on_exchange=stripe_calls) as sandbox:
        yield sandbox


@pytest.fixture
def stripe_desk(
    app: Flask, stripe_sandbox: StripeSandbox, stripe_calls: Recorder
) -> Iterator[StripeDesk]:
    """Stripe's side of a sale: an account of the test's own, which the app is connected to.

    Whatever the app asked of it, and got, must be as Stripe's own types say.
    """
    stripe_calls.exchanges.clear()
    key = f"sk_test_{uuid.uuid4().hex}"
    account = stripe_sandbox.machine.ensure_key(key)
    config, fork = app.extensions["startupwebapp"]
    changed = {"stripe_api_base": stripe_sandbox.url, "stripe_secret_key": key}
    bind(app, config.model_copy(update=changed), fork)
    app.extensions.pop("stripe", None)
    yield StripeDesk(stripe_sandbox.url, key)
    bind(app, config, fork)
    app.extensions.pop("stripe", None)
    requests.delete(f"{stripe_sandbox.url}/_sandbox/fail", timeout=60)
    # Else every later test that moves the clock would live through this one's subscriptions too.
    stripe_sandbox.machine.store.run("DELETE FROM timers WHERE account=?", (account,))
    requests.post(f"{stripe_sandbox.url}/_sandbox/clock", json={"reset": True}, timeout=60)
    assert stripe_calls.violations() == []
