"""What waits for a person, counted in one statement for the menu and the start page."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ScalarSelect, bindparam, exists, func, literal_column, select

from webapp.accounts.models import ContactMessage, ContactState
from webapp.billing.models import BillingDifference, Plan
from webapp.billing.queries.belated import paid_yet_ended
from webapp.campaigns.models import Email, EmailRecipient, EmailState, RecipientState
from webapp.core import clock
from webapp.core.db import db
from webapp.core.models import Job, JobState
from webapp.messaging.models import Mail, MailReport, MailState, ReportState
from webapp.orders.models import Order, OrderState
from webapp.payments.models import EventState, StripeEvent

# Counted no further: past it the number only says "very many".
LIMIT = 1000
# Recipients who were not reached stay so for good: after that long nobody looks at them again.
LATELY = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Attention:
    """How many of each, up to LIMIT."""

    orders: int
    jobs: int
    events: int
    mails: int
    messages: int
    campaigns: int
    reports: int
    differences: int
    plans: int
    belated: int

    def by_endpoint(self) -> dict[str, int]:
        return {
            "admin_orders": self.orders,
            "admin_jobs": self.jobs,
            "admin_events": self.events,
            "admin_mails": self.mails,
            "admin_contact": self.messages,
            "admin_recipients": self.campaigns,
            "admin_reports": self.reports,
            "admin_differences": self.differences,
            "admin_plans": self.plans,
            "admin_cases": self.belated,
        }


def _up_to_limit(condition: Any) -> ScalarSelect[int]:
    some = select(literal_column("1")).where(condition).limit(LIMIT).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


# Literals, so that the partial indexes over these states can serve.
def _is(column: Any, *states: str) -> Any:
    return column.in_([literal_column(f"'{state}'") for state in states])


_UNREACHED = exists().where(
    EmailRecipient.email_id == Email.id,
    _is(EmailRecipient.state, RecipientState.FAILED, RecipientState.UNKNOWN),
)
_STARTED = (EmailState.SENDING, EmailState.PAUSED, EmailState.SENT, EmailState.CANCELLED)
_STATEMENT = select(
    _up_to_limit(_is(Order.status, OrderState.NEEDS_ACTION)),
    _up_to_limit(Job.state == literal_column(f"'{JobState.FAILED}'")),
    _up_to_limit(StripeEvent.state == literal_column(f"'{EventState.PARKED}'")),
    _up_to_limit(_is(Mail.state, MailState.FAILED, MailState.UNKNOWN)),
    _up_to_limit(ContactMessage.state == literal_column(f"'{ContactState.NEW}'")),
    _up_to_limit(
        _is(Email.state, *_STARTED) & (Email.started_at > bindparam("lately")) & _UNREACHED
    ),
    _up_to_limit(MailReport.state == literal_column(f"'{ReportState.UNREADABLE}'")),
    _up_to_limit(BillingDifference.repaired_at.is_(None)),
    _up_to_limit(Plan.sync_error.is_not(None) | (Plan.drift != {})),
    _up_to_limit(paid_yet_ended()),
)


def count_attention() -> Attention:
    lately = clock.now() - LATELY
    counted = db.session.execute(_STATEMENT, {"lately": lately}).one()
    return Attention(*map(int, counted))
