"""A mail with six links and a trap that alice was sent, and whoever comes by to fetch them."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from jobs.campaigns import drain_tracking, judge_tracking
from tests.factories.emails import code_of, leaving_token, make_frozen, recipient_of
from webapp.campaigns.models import (
    Email,
    EmailLink,
    EmailRecipient,
    RecipientState,
    TrackingEvent,
)
from webapp.campaigns.services.tracking import holding
from webapp.campaigns.services.tracking.holding import carry
from webapp.core import clock
from webapp.core.db import db
from webapp.core.redis import redis_client
from webapp.core.state import spool_folder

ALICE = "alice@example.com"
SENT_AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SHOP = "http://localhost/products"
ELSEWHERE = "https://elsewhere.example/a?b=c&utm_campaign=news"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
READER = "203.0.113.9"


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: ``what`` is open, trap, leave or link:<number>; ``after`` in seconds."""

    after: float
    what: str
    method: str = "GET"
    agent: str = FIREFOX
    address: str = READER


@dataclass
class Sent:
    """The mail, and its way to one recipient."""

    email: Email
    client: FlaskClient

    def path(self, what: str, address: str = ALICE) -> str:
        recipient = recipient_of(self.email, address)
        code = code_of(recipient)
        if what == "open":
            return f"/o/{code}.gif"
        if what == "leave":
            return f"/u/{leaving_token(recipient.email_id, recipient.id)}"
        return f"/c/{code}/{2 if what == 'trap' else what.removeprefix('link:')}"

    def ask(self, ask: Ask, address: str = ALICE, **headers: str) -> TestResponse:
        """Send one request at its time."""
        with clock.frozen(SENT_AT + timedelta(seconds=ask.after)):
            return self.client.open(
                self.path(ask.what, address),
                method=ask.method,
                headers={"User-Agent": ask.agent, **headers},
                environ_overrides={"REMOTE_ADDR": ask.address},
            )


@pytest.fixture
def sent(
    app: Flask, client: FlaskClient, session: Session, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sent]:
    # The thread that carries events over is called by the tests themselves.
    monkeypatch.setattr(holding, "carry_soon", lambda: None)
    carry()
    redis_client().delete(holding.stream_key())
    email = make_frozen([ALICE, "bob@example.com"], url=SHOP)
    for number in range(3, 8):
        email.links.append(EmailLink(number=number, url=f"{ELSEWHERE}{number}"))
    deliver(email)
    yield Sent(email, client)
    carry()
    shutil.rmtree(spool_folder(), ignore_errors=True)


def deliver(email: Email) -> None:
    for recipient in db.session.scalars(
        select(EmailRecipient).where(EmailRecipient.email_id == email.id)
    ):
        recipient.state, recipient.sent_at = RecipientState.SENT, SENT_AT
    db.session.commit()


def settle(after: timedelta) -> None:
    """Drain and judge, ``after`` the mail was sent."""
    with clock.frozen(SENT_AT + after):
        drain()
    with clock.frozen(SENT_AT + after + timedelta(minutes=1)):
        judge_tracking()


def drain() -> None:
    """Bring what was noted from the web's process through Redis to Postgres."""
    carry()
    drain_tracking()


def events_of(session: Session) -> list[TrackingEvent]:
    session.expire_all()
    return list(session.scalars(select(TrackingEvent).order_by(TrackingEvent.at)))
