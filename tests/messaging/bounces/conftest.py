"""An app whose database is rolled back: what these tests ask for needs no real commit."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from sqlalchemy import Connection

from webapp.core.db import db
from webapp.core.models import Shop
from webapp.core.state import bind


@pytest.fixture
def app(session_app: Flask, connection: Connection, clean_redis: str) -> Flask:
    db.session.add(Shop(name="Northwind Goods", sender_email="hello@shop.example"))
    db.session.commit()
    return session_app


@pytest.fixture
def configured(app: Flask) -> Iterator[Callable[..., None]]:
    """Change settings for the length of a test."""
    config, fork = app.extensions["startupwebapp"]
    yield lambda **changed: bind(app, config.model_copy(update=changed), fork)
    bind(app, config, fork)
