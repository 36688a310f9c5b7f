"""A newsletter that was sent to alice and bob, who both wanted it."""

from dataclasses import dataclass

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tests.factories.emails import leaving_token, make_frozen, recipient_of
from webapp.campaigns.models import Email, EmailRecipient, EmailUnsubscribe
from webapp.core.db import db
from webapp.messaging.models import MailConsent, MailTopic
from webapp.messaging.services.consent import consents_of, give_consent

ALICE, BOB = "alice@example.com", "bob@example.com"


@dataclass
class Sent:
    """A mail and the way out of it for alice."""

    email: Email
    alice: EmailRecipient
    path: str


@pytest.fixture
def sent(app: Flask, session: Session) -> Sent:
    email = make_frozen([ALICE, BOB])
    for address in (ALICE, BOB):
        give_consent(address, MailTopic.NEWSLETTER, True, "newsletter form")
    session.commit()
    alice = recipient_of(email, ALICE)
    return Sent(email, alice, f"/u/{leaving_token(email.id, alice.id)}")


def wanted(address: str) -> set[MailTopic]:
    return {topic for topic, said in consents_of(address).items() if said.wanted}


def goodbyes() -> list[EmailUnsubscribe]:
    db.session.expire_all()
    return list(db.session.scalars(select(EmailUnsubscribe).order_by(EmailUnsubscribe.id)))


def count_consents() -> int:
    return db.session.scalar(select(func.count()).select_from(MailConsent)) or 0
