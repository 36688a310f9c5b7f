"""What tests of accounts ask for: an app that counts requests, and the mails it wrote."""

import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from tests.conftest import Visitor, connect_through, make_config
from tests.services import Addresses, Database
from webapp.core.config import Env
from webapp.core.db import db
from webapp.core.models import Job
from webapp.core.queue import due_job_ids, perform
from webapp.core.security import limiter
from webapp.core.state import current_fork
from webapp.messaging.models import Mail
from wsgi import create_app

Mails = Callable[[], list[Mail]]


@pytest.fixture
def limited(
    app: Flask, connection: Connection, addresses: Addresses, database: Database, redis_url: str
) -> Iterator[FlaskClient]:
    """A visitor of an app that counts requests, as every app but the tests' does."""
    config = make_config(
        addresses, database, redis_url, Path(app.instance_path), app_env=Env.DEVELOPMENT
    )
    handlers = logging.getLogger().handlers[:]
    counting = create_app(config)
    logging.getLogger().handlers[:] = handlers
    counting.config["WTF_CSRF_ENABLED"] = False
    with counting.app_context():
        engine = db.engine
        connect_through(counting, connection)
    counting.test_client_class = Visitor
    yield counting.test_client()
    limiter.enabled = False
    engine.dispose()


@pytest.fixture
def mails(app: Flask, session: Session) -> Mails:
    """Run what accounts have promised and return the mails written since, before they are sent."""
    seen = 0

    def written() -> list[Mail]:
        nonlocal seen
        theirs = select(Job.id).where(Job.path.like("jobs.accounts.%"))
        while ids := session.scalars(theirs.where(Job.id.in_(due_job_ids()))).all():
            for job_id in ids:
                perform(current_fork().name, job_id)
        new = list(session.scalars(select(Mail).where(Mail.id > seen).order_by(Mail.id)))
        seen = max([seen, *(mail.id for mail in new)])
        return new

    return written


def link_in(mail: Mail, start: str) -> str:
    """Return the path of the link in a mail that begins with ``start``."""
    found = re.search(rf"http://localhost({start}\S+)", mail.text)
    assert found, mail.text
    assert found.group() in mail.html
    return found.group(1)
