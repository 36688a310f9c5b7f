"""What tests of accounts ask for: Alice, her browser and the mails that accounts wrote."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.factories.people import browser_of, make_user
from webapp.accounts.models import User
from webapp.core.models import Job
from webapp.core.queue import due_job_ids, perform
from webapp.core.state import current_fork
from webapp.messaging.models import Mail

Mails = Callable[[], list[Mail]]


@pytest.fixture
def alice(client: FlaskClient) -> User:
    """A member; forms need no CSRF token."""
    return make_user()


@pytest.fixture
def browser(app: Flask, alice: User) -> FlaskClient:
    """Her browser, in which she has just logged in."""
    return browser_of(app, alice)


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
