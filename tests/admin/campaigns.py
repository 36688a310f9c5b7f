"""Mails in the back office, as its tests make and find them."""

from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.admin.conftest import act
from tests.admin.people import add_consent, make_prospect
from tests.factories.emails import make_draft
from webapp.campaigns.models import (
    Email,
    EmailState,
)
from webapp.campaigns.services.populating import populate
from webapp.core.db import db
from webapp.core.models import AuditEntry

ALICE, BOB = "alice@example.com", "bob@example.com"


def page_of(email: Email) -> str:
    return f"/admin/emails/details/?id={email.id}"


def readers(*addresses: str) -> None:
    for number, address in enumerate(addresses):
        make_prospect(address, name=f"Charlie {number}")
        add_consent(address)


def ready(owner: FlaskClient, *addresses: str) -> Email:
    """Return a mail that was made ready by its button, for those prospects."""
    readers(*(addresses or (ALICE,)))
    email = make_draft(body="Hello {{ first_name | there }}, look at https://example.com/hat")
    assert "is ready" in act(owner, "/admin/emails/make-ready/", id=email.id)
    populate(email.id)
    db.session.commit()
    return email


def done_to(session: Session, email: Email) -> list[str]:
    about = AuditEntry.subject == f"email:{email.id}"
    return list(session.scalars(select(AuditEntry.action).where(about).order_by(AuditEntry.id)))


def state_of(session: Session, email: Email) -> EmailState:
    session.expire_all()
    return session.get_one(Email, email.id).state
