"""Rules over mails need no server that fails on cue: these tests are rolled back like others."""

import pytest
from flask import Flask
from sqlalchemy import Connection
from sqlalchemy.orm import Session

from webapp.core.db import db
from webapp.core.models import Shop


@pytest.fixture
def app(session_app: Flask, connection: Connection, clean_redis: str) -> Flask:
    db.session.add(
        Shop(
            name="Birch & Wool",
            sender_email="hello@birch.example",
            support_email="help@birch.example",
        )
    )
    db.session.commit()
    return session_app


@pytest.fixture
def session(app: Flask) -> Session:
    return db.session()
