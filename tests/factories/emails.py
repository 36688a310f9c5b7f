"""Campaigns' mails: drafts, and mails whose words and recipients are frozen."""

import secrets
from collections.abc import Sequence

from sqlalchemy import select

from webapp.campaigns.codes import write_code, write_leaving
from webapp.campaigns.models import (
    Email,
    EmailLink,
    EmailRecipient,
    EmailState,
    EmailVariant,
)
from webapp.campaigns.services.unsubscribing import leaving_key
from webapp.core import clock
from webapp.core.db import db

FROZEN_HTML = (
    "<html><body><p>Hello {{first_name|there}}</p>"
    '<p><a href="{{@click:1}}">The shop</a> <a href="{{@leave}}">Unsubscribe</a></p>'
    "{{@pixel}}</body></html>"
)
FROZEN_TEXT = "Hello {{first_name|there}}\n\nThe shop: {{@click:1}}\n\nUnsubscribe: {{@leave}}\n"


def make_draft(subject: str = "News from the shop", body: str = "Hello, world.") -> Email:
    """Return a committed draft in Markdown."""
    email = Email(name=subject, variants=[EmailVariant(number=1, subject=subject, body=body)])
    db.session.add(email)
    db.session.commit()
    return email


def make_frozen(
    addresses: Sequence[str] = (),
    *,
    state: EmailState = EmailState.SENDING,
    url: str = "http://localhost/products",
) -> Email:
    """Return a committed mail as ``make_ready`` and ``populate`` leave it, link 1 to ``url``."""
    now = clock.now()
    variant = EmailVariant(
        number=1, subject="News", body="Hello", html=FROZEN_HTML, text=FROZEN_TEXT
    )
    email = Email(
        name="News",
        state=state,
        variants=[variant],
        links=[
            EmailLink(number=1, url=url),
            EmailLink(number=2, url="http://localhost/", trap=True),
        ],
        population=len(addresses),
        populated_at=now,
        ready_at=now,
        started_at=now,
    )
    db.session.add(email)
    db.session.flush()
    for address in addresses:
        db.session.add(
            EmailRecipient(
                email_id=email.id,
                secret=secrets.randbits(63),
                address=address,
                fields={},
                due_at=now,
            )
        )
    db.session.commit()
    return email


def recipient_of(email: Email, address: str) -> EmailRecipient:
    """Return the row of one recipient as it is now."""
    return db.session.scalars(
        select(EmailRecipient)
        .where(EmailRecipient.email_id == email.id, EmailRecipient.address == address)
        .execution_options(populate_existing=True)
    ).one()


def code_of(recipient: EmailRecipient) -> str:
    """Return the public code in the recipient's links."""
    return write_code(recipient.email_id, recipient.id, recipient.secret)


def leaving_token(email_id: int, recipient_id: int) -> str:
    """Return the token that lets one recipient of a mail leave without a login."""
    return write_leaving(leaving_key(), email_id, recipient_id)
