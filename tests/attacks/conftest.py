"""The ground attacks are fought on: the app with everybody in it, and apps set up otherwise."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Connection, Engine

from tests.attacks.cast import Cast, gather
from tests.attacks.intruder import Intruder
from tests.attacks.siege import Siege, lay
from tests.conftest import connect_through, make_config
from tests.services import Addresses, Database, cloned
from webapp.core.db import db
from webapp.core.security import limiter
from wsgi import create_app

MakeApp = Callable[..., Flask]


@pytest.fixture
def cast(app: Flask) -> Cast:
    """Everybody, in the app of the tests; tokens against forgery are asked for."""
    app.config["WTF_CSRF_ENABLED"] = True
    return gather(app)


@pytest.fixture
def make_app(
    app: Flask,
    connection: Connection,
    addresses: Addresses,
    database: Database,
    redis_url: str,
    tmp_path: Path,
) -> Iterator[MakeApp]:
    """Make apps with other settings on the test's own connection."""
    engines: list[Engine] = []

    def make(**changes: object) -> Flask:
        handlers = logging.getLogger().handlers[:]
        redis = str(changes.pop("redis_url", redis_url))
        other = create_app(make_config(addresses, database, redis, tmp_path, **changes))
        logging.getLogger().handlers[:] = handlers
        other.test_client_class = Intruder
        with other.app_context():
            engines.append(db.engine)
            connect_through(other, connection)
        return other

    yield make
    limiter.enabled = False
    for engine in engines:
        engine.dispose()


@pytest.fixture(scope="module")
def siege(
    addresses: Addresses,
    worker: str,
    redis_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Siege]:
    """The app on a database of its own, for thousands of requests that really commit."""
    with cloned(addresses, f"{addresses.database(worker)}_siege") as database:
        # Stripe isn't there, and says so at once.
        changes = {"stripe_api_base": "http://127.0.0.1:1", "stripe_timeout_seconds": 1}
        uploads = tmp_path_factory.mktemp("siege")
        app = create_app(make_config(addresses, database, redis_url, uploads, **changes))
        yield lay(app)
        with app.app_context():
            db.engine.dispose()
