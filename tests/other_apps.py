"""Apps beside the tests' own: set up otherwise, or counting requests as every real one does.

A pytest plugin (tests/conftest.py names it).
"""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, Engine

from tests.conftest import Visitor, connect_through, make_config
from tests.services import Addresses, Database
from webapp.core.config import Config, Env
from webapp.core.db import db
from webapp.core.limits import limiter
from wsgi import create_app

MakeApp = Callable[..., Flask]


def create_quietly(config: Config) -> Flask:
    """Make an app and leave the log to the tests: a factory would put its own handler there."""
    handlers = logging.getLogger().handlers[:]
    app = create_app(config)
    logging.getLogger().handlers[:] = handlers
    return app


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
        redis = str(changes.pop("redis_url", redis_url))
        other = create_quietly(make_config(addresses, database, redis, tmp_path, **changes))
        other.test_client_class = Visitor
        with other.app_context():
            engines.append(db.engine)
            connect_through(other, connection)
        return other

    yield make
    limiter.enabled = False
    for engine in engines:
        engine.dispose()


@pytest.fixture
def limited_app(make_app: MakeApp) -> Flask:
    """An app that counts requests, as every app but the tests' does."""
    limited = make_app(app_env=Env.DEVELOPMENT)
    limited.config["WTF_CSRF_ENABLED"] = False
    return limited


@pytest.fixture
def limited(limited_app: Flask) -> FlaskClient:
    """A visitor of an app that counts requests."""
    return limited_app.test_client()
