"""An app whose mail server fails on cue, on a database these tests may commit to."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from jinja2 import ChoiceLoader, DictLoader
from sqlalchemy import text

from tests.messaging.sink import Sink
from tests.services import Addresses, Database, cloned
from webapp.core import clock
from webapp.core.config import Config, Env
from webapp.core.db import db
from webapp.core.models import Shop
from webapp.factory import create_app
from webapp.messaging.gateway import current_gateway, open_gateway
from webapp.messaging.models import Mail, MailState
from webapp.messaging.services import post


@pytest.fixture(scope="session")
def mail_database(addresses: Addresses, worker: str) -> Iterator[Database]:
    with cloned(addresses, f"{addresses.database(worker)}_mail") as database:
        yield database


@pytest.fixture
def sink() -> Iterator[Sink]:
    server = Sink().start()
    yield server
    server.stop()


@pytest.fixture
def app(
    mail_database: Database, addresses: Addresses, clean_redis: str, sink: Sink, tmp_path: Path
) -> Iterator[Flask]:
    config = Config(
        app_env=Env.TEST,
        database_url=addresses.postgres,
        database_name=mail_database.name,
        redis_url=clean_redis,
        smtp_url=sink.url,
        upload_folder=tmp_path,
    )
    app = create_app(config)
    with app.app_context():
        db.session.execute(text("TRUNCATE mail, job, job_attempt, shop"))
        db.session.add(
            Shop(
                name="Birch & Wool",
                sender_email="hello@birch.example",
                support_email="help@birch.example",
                postal_address="1 Mill Lane\nLeeds",
            )
        )
        db.session.commit()
        yield app
        close_connection()
        db.session.remove()
        db.engine.dispose()


def close_connection() -> None:
    """Forget the kept connection without a goodbye, as a killed process does."""
    gateway = current_gateway()
    for line in getattr(gateway, "_idle", []):
        line.smtp.close()
    open_gateway.cache_clear()


@pytest.fixture
def templates(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Write a mail's three templates for a test: ``templates("note", subject=...)``."""
    pages: dict[str, str] = {}
    loaders = [DictLoader(pages), app.jinja_env.loader]
    monkeypatch.setattr(app.jinja_env, "loader", ChoiceLoader([each for each in loaders if each]))

    def write(kind: str, subject: str = "Hi", words: str = "Words", html: str = "<p>W</p>") -> None:
        for name, body in {"subject.txt": subject, "txt": words, "html": html}.items():
            pages[f"email/{kind}.{name}"] = body

    return write


@pytest.fixture
def mail_id(app: Flask, templates: Callable[..., None]) -> int:
    """A mail that waits to be delivered."""
    templates("note", subject="A note")
    mail = post("note", "alice@example.org", {}, dedupe_key="note:1", subject_ref="order:42")
    db.session.commit()
    return mail.id


def state_of(mail_id: int) -> MailState:
    db.session.rollback()
    mail = db.session.get_one(Mail, mail_id, populate_existing=True)
    return mail.state


def reply_of(mail_id: int) -> str:
    db.session.rollback()
    return db.session.get_one(Mail, mail_id, populate_existing=True).smtp_reply or ""


def after_the_lease() -> AbstractContextManager[None]:
    """A block in which the leases taken so far have run out."""
    return clock.frozen(clock.now() + timedelta(seconds=121))
