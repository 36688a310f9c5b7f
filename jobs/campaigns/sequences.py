"""What sequences do outside a request: begin after an event, and send the next mail when due."""

import logging
import time
import uuid
from collections.abc import Callable

from sqlalchemy import select

from webapp.accounts.models import Prospect, User
from webapp.campaigns.models import SequenceTrigger
from webapp.campaigns.services import sequences
from webapp.core.db import db
from webapp.orders.models import Order, OrderState

logger = logging.getLogger(__name__)

BUDGET_SECONDS = 25


def begin_sequences(trigger: str, reference: str | int) -> None:
    """Begin what follows an event; ``reference`` names the member's user, prospect or order.

    No address travels in a job's arguments.
    """
    event = SequenceTrigger(trigger)
    address = _ADDRESS_OF[event](reference)
    if address:
        sequences.begin(event, address)
    db.session.commit()


def _members(reference: str | int) -> str | None:
    proven = User.email_verified_at.is_not(None)
    user = select(User.email).where(User.id == uuid.UUID(str(reference)), proven)
    return db.session.scalar(user.where(User.erased_at.is_(None)))


def _prospects(reference: str | int) -> str | None:
    prospect = select(Prospect.email).where(Prospect.id == int(reference))
    return db.session.scalar(prospect.where(Prospect.erased_at.is_(None)))


def _buyers(reference: str | int) -> str | None:
    order = select(Order.email).where(Order.id == int(reference))
    return db.session.scalar(order.where(Order.status != OrderState.CANCELLED))


_ADDRESS_OF: dict[SequenceTrigger, Callable[[str | int], str | None]] = {
    SequenceTrigger.MEMBER_JOINED: _members,
    SequenceTrigger.NEWSLETTER_JOINED: _prospects,
    SequenceTrigger.ORDER_PLACED: _buyers,
}


def advance_sequences() -> None:
    """Take everybody who is due one step on; one sequence that fails doesn't hold the others up."""
    until = time.monotonic() + BUDGET_SECONDS
    due = sequences.list_due()
    db.session.rollback()
    for sequence_id in due:
        try:
            while sequences.advance(sequence_id) == sequences.BATCH:
                db.session.commit()
                if time.monotonic() > until:
                    return
            db.session.commit()
        except Exception as error:
            db.session.rollback()
            logger.error("sequence not advanced", exc_info=error, extra={"sequence": sequence_id})
