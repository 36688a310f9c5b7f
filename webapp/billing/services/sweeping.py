"""Finds events whose webhook never came in Stripe's own list, from where it was read last."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import select

from webapp.billing.models import StripeList
from webapp.billing.services import readings
from webapp.billing.services.reconciling import pages_of
from webapp.core import clock
from webapp.core.db import db
from webapp.core.state import current_config
from webapp.payments import gateway
from webapp.payments.models import StripeEvent
from webapp.payments.services import BILLED, record_event

# A page to subscribe or to leave a card may have been closed before its way back was taken.
SWEPT = BILLED | {"checkout.session.completed", "checkout.session.expired"}
TYPES_A_REQUEST = 20
# The three days for which Stripe retries a webhook, and a few hours.
FIRST_REACH = timedelta(hours=80)
# What is swept before it is noted: a sweep over weeks that dies goes on where it stood.
STRETCH = timedelta(days=3)


def sweep_events(overlap: timedelta) -> int:
    """Put events of Stripe's list that never reached us into the inbox; returns how many.

    Begins ``overlap`` before the last time that it succeeded, however long ago: Stripe keeps its
    list for 30 days. Ends with flushed rows to commit.
    """
    began = clock.now()
    last = readings.find(StripeList.EVENTS) or began - FIRST_REACH
    since = min(last, began) - overlap
    new = 0
    while since + STRETCH < began:
        new += _sweep(since, since + STRETCH)
        since += STRETCH
        readings.note(StripeList.EVENTS, since)
        db.session.commit()
    # No end for the last: what is listed meanwhile is welcome.
    new += _sweep(since, None)
    readings.note(StripeList.EVENTS, began)
    return new


def _sweep(since: datetime, before: datetime | None) -> int:
    live = current_config().stripe_secret_key.startswith(("sk_live_", "rk_live_"))
    types = sorted(SWEPT)
    new = 0
    for start in range(0, len(types), TYPES_A_REQUEST):
        # Oldest first, as they would have come.
        listed = gateway.list_events(types[start : start + TYPES_A_REQUEST], since, before)
        for event in _without_known(listed)[::-1]:
            new += record_event(event, ours=event.livemode == live)
    return new


def _without_known(listed: Iterable[gateway.Event]) -> list[gateway.Event]:
    unknown: list[gateway.Event] = []
    for events in pages_of(listed):
        ids = [event.id for event in events]
        known = set(db.session.scalars(select(StripeEvent.id).where(StripeEvent.id.in_(ids))))
        db.session.commit()
        unknown += [event for event in events if event.id not in known]
    return unknown
