"""What the start page tells of campaigns: the newest mails, and how far those under way are."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import url_for
from sqlalchemy import select
from sqlalchemy.orm import load_only

from admin.campaigns.outcomes import Outcome, outcomes_of
from webapp.campaigns.models import Email, EmailState
from webapp.core.db import db

UNDER_WAY = (EmailState.SENDING, EmailState.PAUSED)
SHOWN = 4


@dataclass(frozen=True, slots=True)
class Campaign:
    """One mail that went out, or is just going."""

    name: str
    url: str
    state: EmailState
    outcome: Outcome

    @property
    def is_under_way(self) -> bool:
        return self.state in UNDER_WAY

    @property
    def done(self) -> float:
        """The part of its recipients that it was sent to."""
        return self.outcome.sent / self.outcome.population if self.outcome.population else 0.0


def latest() -> Sequence[Campaign]:
    """Return the newest mails, those under way first."""
    shown = (Email.id, Email.name, Email.state, Email.population)
    times = (Email.started_at, Email.finished_at)
    emails = db.session.scalars(
        select(Email)
        .where(Email.state.in_((*UNDER_WAY, EmailState.SENT)))
        .options(load_only(*shown, *times, raiseload=True))
        .order_by(Email.state.in_(UNDER_WAY).desc(), Email.id.desc())
        .limit(SHOWN)
    ).all()
    found = outcomes_of(emails)
    return [Campaign(email.name, _url(email), email.state, found[email.id]) for email in emails]


def _url(email: Email) -> str:
    return url_for("admin_results.details_view", id=email.id)
