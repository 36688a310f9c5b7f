"""A mail being sent: readers who want it, and a mail server that fails on cue."""

from collections import Counter
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import pytest
from flask import Flask
from sqlalchemy import select

from tests.factories.emails import make_frozen
from tests.messaging.sink import Sink
from webapp.campaigns.models import Email, EmailRecipient, EmailState
from webapp.campaigns.services.sending import dispatch
from webapp.core.db import db
from webapp.messaging.gateway import PipelinedGateway
from webapp.messaging.gateway.servers import read_server
from webapp.messaging.models import MailConsent, MailTopic


@pytest.fixture
def sink(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sink]:
    """The mail server of campaigns."""
    server = Sink(extensions=("PIPELINING",)).start()
    door = PipelinedGateway(read_server(urlsplit(server.url)))
    monkeypatch.setattr(dispatch, "current_bulk_gateway", lambda: door)
    yield server
    door.close()
    server.stop()


def readers(count: int, domain: str = "example.com") -> list[str]:
    return [f"reader{number}@{domain}" for number in range(count)]


def let_want(addresses: Sequence[str], topic: MailTopic = MailTopic.NEWSLETTER) -> None:
    """Have these people want the mails of a topic."""
    for address in addresses:
        db.session.add(MailConsent(email=address, topic=topic, wanted=True, source="test"))
    db.session.commit()


def make_sending(addresses: Sequence[str], state: EmailState = EmailState.SENDING) -> Email:
    """Return a mail on its way to people who want it."""
    let_want(addresses)
    return make_frozen(addresses, state=state)


def states_of(email: Email) -> Counter[str]:
    db.session.expire_all()
    found = select(EmailRecipient.state).where(EmailRecipient.email_id == email.id)
    return Counter(state.value for state in db.session.scalars(found))


def arrived(sink: Sink) -> list[str]:
    return [each.recipient for each in sink.messages]
