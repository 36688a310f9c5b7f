"""Works through Stripe's events: the type says what to look at, Stripe itself what is true.

What is about orders is handled one by one; what is about subscriptions comes in crowds and is
fetched and written by the batch.
"""

import logging
import time
from collections.abc import Callable, Sequence

from jobs.billing.sync import handle_facts
from webapp.billing.services.sync import Fact
from webapp.core import logging as log
from webapp.core.db import db
from webapp.core.errors import RetryLater
from webapp.core.queue import ring
from webapp.core.state import current_fork
from webapp.orders.services import refunds, settlement
from webapp.payments.errors import NoSuchStripeObject
from webapp.payments.models import EventState, StripeEvent
from webapp.payments.services import (
    BILLED,
    PAID,
    claim_events,
    finish_event,
    postpone_event,
)

logger = logging.getLogger(__name__)

BATCH = 5
# The more at once, the fewer objects are fetched twice.
BILLED_BATCH = 200
BUDGET_SECONDS = 30

Subject = str | None


def drain_events() -> None:
    """Handle due events in batches until none is left, or hand over after half a minute.

    A batch that isn't full was the last: whatever was written since has rung for itself.
    """
    until = time.monotonic() + BUDGET_SECONDS
    while any([_drain_paid(), _drain_billed()]):
        if time.monotonic() > until:
            ring("jobs.payments.drain_events")
            return


def _drain_paid() -> bool:
    """Handle a batch and say whether it was full; the same below."""
    batch = _claim(PAID, BATCH)
    for event, type_, attempts, request_id in batch:
        with log.request_context(request_id):
            if _is_about_billing(event):
                handle_facts([event], {event.id: attempts})
            else:
                _handle(event.id, type_, dict(event.object), attempts)
    return len(batch) == BATCH


def _drain_billed() -> bool:
    batch = _claim(BILLED, BILLED_BATCH)
    if batch:
        handle_facts([fact for fact, *_ in batch], {fact.id: tries for fact, _, tries, _ in batch})
    return len(batch) == BILLED_BATCH


def _claim(types: frozenset[str], limit: int) -> Sequence[tuple[Fact, str, int, str | None]]:
    events = claim_events(types, limit)
    batch = [(_fact(e), e.type, e.attempts, e.request_id) for e in events]
    db.session.commit()
    return batch


def _fact(event: StripeEvent) -> Fact:
    return Fact(event.id, event.type, event.created, event.payload["data"])


def _is_about_billing(fact: Fact) -> bool:
    """Whether a Checkout Session is one to subscribe or to leave a card; others are orders."""
    about = fact.object
    return about.get("object") == "checkout.session" and about.get("mode") != "payment"


def _handle(event_id: str, type_: str, payload_object: dict[str, object], attempts: int) -> None:
    try:
        subject = HANDLERS[type_](payload_object)
        state = EventState.DONE if subject else EventState.IGNORED
        finish_event(event_id, state, subject)
        db.session.commit()
    except NoSuchStripeObject as gone:
        # Test data that was deleted, or another account's event: nothing can come of it.
        db.session.rollback()
        logger.warning("event about nothing", extra={"event": event_id, "why": gone.sentence})
        finish_event(event_id, EventState.IGNORED, None)
        db.session.commit()
    except Exception as error:
        db.session.rollback()
        logger.warning("event postponed", exc_info=error, extra={"event": event_id})
        postpone_event(event_id, attempts, error)
        db.session.commit()


def _session(payload_object: dict[str, object]) -> Subject:
    return settlement.settle_session(str(payload_object["id"]))


def _refunds(payload_object: dict[str, object]) -> Subject:
    intent = payload_object.get("payment_intent")
    subject = refunds.settle_payment(str(intent)) if intent else None
    if subject is None and _is_marked_ours(payload_object):
        # Given back before its own order was made: it will be, and must learn of this then.
        raise RetryLater("The payment given back has no order yet.")
    return subject


def _is_marked_ours(payload_object: dict[str, object]) -> bool:
    metadata = payload_object.get("metadata")
    return isinstance(metadata, dict) and metadata.get("fork") == current_fork().name


HANDLERS: dict[str, Callable[[dict[str, object]], Subject]] = {
    "checkout.session.completed": _session,
    "checkout.session.expired": _session,
    "checkout.session.async_payment_succeeded": _session,
    "checkout.session.async_payment_failed": _session,
    "charge.refunded": _refunds,
    "refund.created": _refunds,
    "refund.updated": _refunds,
    "refund.failed": _refunds,
}
