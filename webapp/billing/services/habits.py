"""How this fork bills, changed by its staff: one row, made by whoever changes it first."""

from dataclasses import asdict, dataclass
from zoneinfo import available_timezones

from sqlalchemy.dialects.postgresql import insert

from webapp.billing.errors import InvalidBillingSettings
from webapp.billing.models import BillingSettings, CancelOffer
from webapp.core.audit import Actor, record
from webapp.core.db import db


@dataclass(frozen=True, slots=True)
class Habits:
    """What whoever leaves is offered, when leaving takes effect, and by which clock mails go."""

    offer: CancelOffer = CancelOffer.PAUSE
    offer_percent: int = 30
    offer_months: int = 3
    pause_months: int = 1
    cancel_at_period_end: bool = True
    time_zone: str = "UTC"


def edit_settings(habits: Habits, by: Actor) -> BillingSettings:
    """Change the settings; flushes. Raises InvalidBillingSettings."""
    if habits.time_zone not in available_timezones():
        raise InvalidBillingSettings("A time zone has a name like Europe/Berlin or UTC.")
    # Two who save the first settings at once: the second waits here and finds the row.
    defaults = {"id": 1, **asdict(Habits())}
    db.session.execute(insert(BillingSettings).values(defaults).on_conflict_do_nothing())
    row = db.session.get_one(BillingSettings, 1, with_for_update=True, populate_existing=True)
    wanted = asdict(habits)
    changed = [field for field, value in wanted.items() if getattr(row, field) != value]
    for field in changed:
        setattr(row, field, wanted[field])
    if changed:
        record(by, "billing_settings.edited", "billing_settings:1", fields=changed)
    db.session.flush()
    return row
