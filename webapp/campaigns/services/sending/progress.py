"""How far a mail has come, summed over its leases: cheap however many recipients there are."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select

from webapp.campaigns.errors import NoSuchEmail
from webapp.campaigns.models import Email, EmailState, SendLease
from webapp.core import clock
from webapp.core.db import db

LATELY = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Progress:
    """``rate`` is mails a second of late; ``seconds_left`` None when nothing moves.

    ``pending`` are all without a fate: waiting, put off, or in a worker's hands.
    """

    state: EmailState
    population: int
    sent: int
    failed: int
    unknown: int
    suppressed: int
    rate: float
    seconds_left: int | None

    @property
    def pending(self) -> int:
        return max(self.population - self.sent - self.failed - self.unknown - self.suppressed, 0)


@dataclass(frozen=True, slots=True)
class Minute:
    """What was handed over in one minute."""

    at: datetime
    sent: int
    failed: int


def progress(email_id: int) -> Progress:
    """Return how far a mail has come. Raises NoSuchEmail."""
    email = db.session.get(Email, email_id)
    if email is None:
        raise NoSuchEmail
    sums = [
        func.coalesce(func.sum(column), 0)
        for column in (SendLease.sent, SendLease.failed, SendLease.unknown, SendLease.suppressed)
    ]
    found = db.session.execute(select(*sums).where(SendLease.email_id == email_id)).one()
    sent, failed, unknown, suppressed = (int(each) for each in found)
    rate = _rate(email) if email.state is EmailState.SENDING else 0.0
    left = max(email.population - sent - failed - unknown - suppressed, 0)
    return Progress(
        state=email.state,
        population=email.population,
        sent=sent,
        failed=failed,
        unknown=unknown,
        suppressed=suppressed,
        rate=round(rate, 1),
        seconds_left=round(left / rate) if rate else None,
    )


def _rate(email: Email) -> float:
    now = clock.now()
    since = max(now - LATELY, email.started_at or now)
    handed_over = select(func.coalesce(func.sum(SendLease.sent + SendLease.failed), 0)).where(
        SendLease.email_id == email.id, SendLease.ended_at > since, SendLease.size > 0
    )
    seconds = (now - since).total_seconds()
    return float(db.session.scalar(handed_over) or 0) / max(seconds, 1.0)


def rates(email_id: int) -> list[Minute]:
    """Return what was handed over in each minute that anything was, oldest first."""
    minute = func.date_trunc("minute", SendLease.ended_at)
    rows = db.session.execute(
        select(minute, func.sum(SendLease.sent), func.sum(SendLease.failed))
        .where(SendLease.email_id == email_id, SendLease.ended_at.is_not(None), SendLease.size > 0)
        .group_by(minute)
        .order_by(minute)
    )
    return [Minute(at, int(sent), int(failed)) for at, sent, failed in rows]
