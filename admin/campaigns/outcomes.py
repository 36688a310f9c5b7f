"""What came of mails in figures, kept for a while: to count a million recipients takes a second."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import TypeAdapter, ValidationError
from redis import RedisError
from sqlalchemy import func, select

from webapp.campaigns.models import Email, EmailState, SendLease
from webapp.campaigns.services import worth
from webapp.core import clock
from webapp.core.db import db
from webapp.core.money import format_money
from webapp.core.redis import redis_client
from webapp.core.shop import get_shop
from webapp.core.state import current_fork

# A mail's figures move while it is fresh, and hardly ever later.
FRESH = timedelta(days=3)
KEPT_FRESH, KEPT = timedelta(seconds=30), timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One mail's figures as they were ``at`` that moment; money in minor units.

    ``opened``, ``clicked`` and the like count people, once each.
    """

    at: datetime
    population: int
    sent: int
    trouble: int
    opened: int
    clicked: int
    machine_opens: int
    machine_clicks: int
    left: int
    bounced: int
    complained: int
    orders: int
    revenue: int
    assisted_orders: int
    assisted_revenue: int

    @property
    def delivered(self) -> int:
        return max(0, self.sent - self.bounced)

    @property
    def per_recipient(self) -> float:
        return self.revenue / self.delivered if self.delivered else 0.0


_JSON = TypeAdapter(Outcome)


def outcomes_of(emails: Sequence[Email]) -> dict[int, Outcome]:
    """Return the figures of the mails by id; those not kept are counted, all at once."""
    found = _kept(emails)
    missing = [email for email in emails if email.id not in found]
    if missing:
        counted = _count(missing)
        _keep(missing, counted)
        found |= counted
    return found


def percent(part: int, whole: int) -> str:
    """Return a rate as people read it: ``32.1%``, ``<0.1%``, or a dash where there is none."""
    if not whole:
        return "–"
    if 0 < part / whole < 0.001:
        return "<0.1%"
    return f"{part / whole:.1%}"


def each_in_words(outcome: Outcome, currency: str) -> str:
    """Return the revenue per recipient, which is often less than the smallest coin."""
    if 0 < outcome.per_recipient < 1:
        return f"<{format_money(1, currency)}"
    return format_money(round(outcome.per_recipient), currency)


def _kept(emails: Sequence[Email]) -> dict[int, Outcome]:
    found: dict[int, Outcome] = {}
    if not emails:
        return found
    with suppress(RedisError):
        kept = redis_client().mget([_key(email) for email in emails])
        for email, text in zip(emails, kept, strict=True):
            if isinstance(text, bytes):
                with suppress(ValidationError):
                    found[email.id] = _JSON.validate_json(text)
    return found


def _keep(emails: Sequence[Email], counted: Mapping[int, Outcome]) -> None:
    with suppress(RedisError):
        pipe = redis_client().pipeline(transaction=False)
        for email in emails:
            pipe.set(_key(email), _JSON.dump_json(counted[email.id]), ex=lifetime(email))
        pipe.execute()


def lifetime(email: Email) -> timedelta:
    """Return how long what was counted of a mail is good enough."""
    since = email.finished_at or email.started_at
    moves = email.state is EmailState.SENDING or since is None or since > clock.now() - FRESH
    return KEPT_FRESH if moves else KEPT


def _key(email: Email) -> str:
    return current_fork().redis_key("outcome", str(email.id))


def _count(emails: Sequence[Email]) -> dict[int, Outcome]:
    now, currency = clock.now(), get_shop().currency
    by_id = {email.id: email for email in emails}
    trouble = _trouble(list(by_id))
    return {
        each.email_id: Outcome(
            at=now,
            population=by_id[each.email_id].population,
            sent=each.sent,
            trouble=trouble.get(each.email_id, 0),
            opened=each.opened,
            clicked=each.clicked,
            machine_opens=each.machine_opens,
            machine_clicks=each.machine_clicks,
            left=each.left,
            bounced=each.bounced,
            complained=each.complained,
            orders=each.orders,
            revenue=each.revenue.get(currency, 0),
            assisted_orders=each.assisted_orders,
            assisted_revenue=each.assisted_revenue.get(currency, 0),
        )
        for each in worth.compare(list(by_id))
    }


def _trouble(ids: Sequence[int]) -> dict[int, int]:
    """Return how many recipients of each mail were refused or are in doubt."""
    lost = func.sum(SendLease.failed + SendLease.unknown)
    rows = db.session.execute(
        select(SendLease.email_id, lost)
        .where(SendLease.email_id.in_(ids))
        .group_by(SendLease.email_id)
    )
    return {key: int(count) for key, count in rows}
