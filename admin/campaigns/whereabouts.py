"""What is known of an address: its mails, its people, and whether it may be written to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import url_for
from sqlalchemy import select

from admin.base import Link
from webapp.accounts.models import Member, User
from webapp.accounts.queries.naming import find_prospect_id
from webapp.campaigns.models import Email, EmailRecipient, RecipientState
from webapp.core.db import db
from webapp.messaging.models import MailSuppression, SuppressionScope

SHOWN = 30


@dataclass(frozen=True, slots=True)
class SentMail:
    """One campaign's mail to an address, as a list of them shows it."""

    email_id: int
    name: str
    url: str
    state: RecipientState
    recipient: Any

    @property
    def at(self) -> Any:
        return self.recipient.sent_at


@dataclass(frozen=True, slots=True)
class Suppressed:
    """That an address is suppressed, and the way to where that can be changed."""

    url: str
    everything: bool
    reason: str
    at: Any


def typed_address(text: str) -> str:
    """Return an address as it is kept, of what was typed or pasted."""
    return text.replace("\0", "").strip().lower()[:320]


def list_sent(address: str) -> Sequence[SentMail]:
    """Return the newest mails of campaigns to an address, the newest first."""
    rows = db.session.execute(
        select(EmailRecipient, Email.name)
        .join(Email, Email.id == EmailRecipient.email_id)
        .where(EmailRecipient.address == address)
        .order_by(EmailRecipient.email_id.desc())
        .limit(SHOWN)
    )
    return [
        SentMail(
            row.email_id,
            name,
            url_for("admin_recipients.details_view", id=f"{row.email_id}-{row.id}"),
            row.state,
            row,
        )
        for row, name in rows
    ]


def people_links(address: str) -> list[Link]:
    """Return the ways to the rooms of whoever has the address."""
    members = select(Member.id).join(User, User.id == Member.user_id).where(User.email == address)
    links = [
        Link("Their account", url_for("admin_members.details_view", id=key))
        for key in db.session.scalars(members)
    ]
    prospect = find_prospect_id(address)
    if prospect is not None:
        links.append(
            Link("What is known of them", url_for("admin_prospects.details_view", id=prospect))
        )
    return links


def suppression_of(address: str) -> Suppressed | None:
    row = db.session.scalar(select(MailSuppression).where(MailSuppression.email == address))
    if row is None:
        return None
    url = url_for("admin_suppressions.details_view", id=row.id)
    return Suppressed(url, row.scope is SuppressionScope.ALL, row.reason.value, row.at)
