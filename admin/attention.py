"""What waits for a person, counted in one statement for the menu and the start page."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ScalarSelect, func, literal_column, select

from webapp.accounts.models import ContactMessage, ContactState
from webapp.core.db import db
from webapp.core.models import Job, JobState
from webapp.messaging.models import Mail, MailState
from webapp.orders.models import Order, OrderState
from webapp.payments.models import EventState, StripeEvent

# Counted no further: past it the number only says "very many".
LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Attention:
    """How many of each, up to LIMIT."""

    orders: int
    jobs: int
    events: int
    mails: int
    messages: int

    def by_endpoint(self) -> dict[str, int]:
        return {
            "admin_orders": self.orders,
            "admin_jobs": self.jobs,
            "admin_events": self.events,
            "admin_mails": self.mails,
            "admin_contact": self.messages,
        }


def _up_to_limit(condition: Any) -> ScalarSelect[int]:
    some = select(literal_column("1")).where(condition).limit(LIMIT).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


# Literals, so that the partial indexes over these states can serve.
def _is(column: Any, *states: str) -> Any:
    return column.in_([literal_column(f"'{state}'") for state in states])


_STATEMENT = select(
    _up_to_limit(_is(Order.status, OrderState.NEEDS_ACTION)),
    _up_to_limit(Job.state == literal_column(f"'{JobState.FAILED}'")),
    _up_to_limit(StripeEvent.state == literal_column(f"'{EventState.PARKED}'")),
    _up_to_limit(_is(Mail.state, MailState.FAILED, MailState.UNKNOWN)),
    _up_to_limit(ContactMessage.state == literal_column(f"'{ContactState.NEW}'")),
)


def count_attention() -> Attention:
    return Attention(*db.session.execute(_STATEMENT).one())
