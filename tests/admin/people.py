"""People and what they leave behind, for the rooms about them."""

import uuid
from datetime import datetime

from webapp.accounts.models import (
    ContactMessage,
    ContactState,
    Member,
    Prospect,
    ProspectSource,
    User,
)
from webapp.accounts.queries import find_member
from webapp.campaigns.models import ClientEvent, ClientEventKind
from webapp.core import clock
from webapp.core.db import db
from webapp.messaging.models import MailConsent, MailTopic


def member_of(user: User) -> Member:
    member = find_member(user.id)
    assert member
    return member


def make_prospect(email: str = "bob@example.com", **values: object) -> Prospect:
    prospect = Prospect(email=email, **({"source": ProspectSource.CONTACT} | values))
    db.session.add(prospect)
    db.session.commit()
    return prospect


def make_message(
    subject: str = "Where is my hat?",
    state: ContactState = ContactState.NEW,
    email: str = "bob@example.com",
    **values: object,
) -> ContactMessage:
    known = db.session.query(Prospect).filter_by(email=email).one_or_none()
    prospect = known or make_prospect(email)
    message = ContactMessage(
        prospect_id=prospect.id,
        email=email,
        subject=subject,
        state=state,
        **({"name": "Bob Baker", "text": "I ordered it last week.\n\nBob"} | values),
    )
    db.session.add(message)
    db.session.commit()
    return message


def add_consent(email: str, wanted: bool = True) -> None:
    topic = MailTopic.NEWSLETTER
    db.session.add(MailConsent(email=email, topic=topic, wanted=wanted, source="account"))
    db.session.commit()


def add_visit(
    kind: ClientEventKind = ClientEventKind.PAGE_VIEW,
    *,
    visitor: uuid.UUID | None = None,
    path: str = "/products",
    at: datetime | None = None,
    **values: object,
) -> None:
    db.session.add(
        ClientEvent(
            event_id=uuid.uuid4(),
            kind=kind,
            visitor_id=visitor or uuid.uuid4(),
            path=path,
            at=at or clock.now(),
            **values,
        )
    )
    db.session.commit()
