"""A browser that reports what its visitor does, as static/js/events.js would."""

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.services import redis_away
from webapp.campaigns.models import ClientEvent

VISITOR = uuid.UUID("3f2b8c1e-9d4a-4c77-8a51-0e6b7f1d2c3a")


def make_event(**changes: Any) -> dict[str, Any]:
    """Return one event as a browser sends it."""
    event = {
        "id": str(uuid.uuid4()),
        "kind": "page_view",
        "visitor": str(VISITOR),
        "at": int(time.time() * 1000),
        "path": "/products",
    }
    return event | changes


def send(browser: FlaskClient, *events: dict[str, Any], **headers: str) -> int:
    """Report events; returns the answer's status."""
    return browser.post("/events", json={"events": list(events)}, headers=headers).status_code


def list_events(session: Session) -> list[ClientEvent]:
    session.expire_all()
    return list(session.scalars(select(ClientEvent).order_by(ClientEvent.received_at)))


@pytest.fixture
def no_redis(app: Flask) -> Iterator[None]:
    """Redis is away."""
    with redis_away(app):
        yield
