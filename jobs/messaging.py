"""Delivers mails: the transactions around the network, which is never used within one."""

import logging

from webapp.core.db import db
from webapp.core.errors import RetryLater
from webapp.messaging import services
from webapp.messaging.gateway import Outcome, current_gateway
from webapp.messaging.models import MailState
from webapp.messaging.services import Letter, Settled

logger = logging.getLogger(__name__)


def deliver(mail_id: int) -> None:
    """Send one mail at most once; raises RetryLater when it surely was not accepted yet."""
    letter = services.claim(mail_id)
    db.session.commit()
    if letter is None:
        return
    handover = current_gateway().hand_over(letter.envelope, lambda: _begin(letter))
    state = services.conclude(letter, handover)
    db.session.commit()
    facts = {"mail_id": mail_id, "attempt": letter.attempt, "outcome": handover.outcome.value}
    if handover.outcome is Outcome.ACCEPTED:
        logger.info("mail sent", extra=facts)
        return
    # The reply may repeat the address; it is kept with the mail and stays out of the log.
    logger.warning("mail not sent", extra=facts)
    if state is MailState.PENDING:
        raise RetryLater(f"The mail server did not take mail {mail_id} yet: {handover.status}.")


def _begin(letter: Letter) -> bool:
    begun = services.begin(letter)
    db.session.commit()
    return begun


def settle_stale() -> Settled:
    """The clock's sweep: no mail stays open without a job that cares for it."""
    settled = services.settle_stale()
    db.session.commit()
    if settled != Settled():
        logger.warning(
            "stale mails settled",
            extra={
                "promised": settled.promised,
                "failed": settled.failed,
                "unknown": settled.unknown,
            },
        )
    return settled
