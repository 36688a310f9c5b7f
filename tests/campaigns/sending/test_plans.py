"""How Postgres goes about a lease: by the key, however new the mail is to its statistics."""

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

from tests.campaigns.sending.conftest import let_want
from tests.factories.emails import make_frozen
from tests.plans import explained, measure
from webapp.campaigns.models import Email, EmailState
from webapp.campaigns.services.sending import leases
from webapp.messaging.models import MailTopic

ROWS = 20_000
NEWS = MailTopic.NEWSLETTER


def fill(session: Session, email: Email, state: str) -> None:
    """Give a mail so many readers, without a word to the planner."""
    session.execute(
        text("""
        INSERT INTO email_recipient (email_id, secret, address, fields, variant, state, attempts,
                                     due_at)
        SELECT :id, i, 'reader' || i || '@example.com', '{}', 1, :state, 1, now()
        FROM generate_series(1, :rows) i
        """),
        {"id": email.id, "rows": ROWS, "state": state},
    )


def test_a_lease_of_a_mail_newer_than_the_statistics_is_found_by_its_key(
    app: Flask, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planner expects one row of it, and would compare each of a lease with all of them."""
    fill(session, make_frozen(state=EmailState.SENT), "sent")
    measure(session)
    email = make_frozen()
    fill(session, email, "pending")
    let_want([f"reader{number}@example.com" for number in range(1, 4)])
    with explained(session.connection(), "UPDATE email_recipient") as plans:
        lease = leases.claim(email.id, NEWS, 500)
        assert lease is not None
        leases.end(lease, [leases.untouched(each.id) for each in lease.recipients])
    assert len(plans) == 3  # claimed, the others not wanted, and the end
    for plan in plans:
        assert "Join Filter" not in plan, plan
        assert "Seq Scan on email_recipient" not in plan, plan
