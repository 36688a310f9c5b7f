"""What a customer with an unpaid invoice is written: five mails, told by what the bank said."""

import logging
from datetime import date, timedelta

from webapp.billing.models import (
    Channel,
    DeclineKind,
    DunningCase,
    PaymentAttempt,
    StepState,
)
from webapp.billing.policy import EndAction, Step
from webapp.billing.queries.dunning import CardFace, Owed, Reader, owed_of
from webapp.billing.services.dunning.closing import mail_key, subject_of
from webapp.billing.services.dunning.links import LASTS, make
from webapp.core import clock
from webapp.core.state import current_config
from webapp.messaging.errors import InvalidAddress, InvalidHeader
from webapp.messaging.models import MailState
from webapp.messaging.services import post
from webapp.messaging.services.composing import Words, write

logger = logging.getLogger(__name__)

EXPIRING = "card_expiring"
NO_ADDRESS = "There is no address that a mail could go to."
SUPPRESSED = "The address is on the suppression list."


def post_step(
    case: DunningCase, step: Step, reader: Reader, failure: PaymentAttempt | None
) -> tuple[StepState, str]:
    """Post a step's mail, once for ever; flushes. Returns the step's state and why.

    The mail carries a key to the customer's card, so staff can't read it and it is kept no longer
    than until it is sent; ``preview`` shows what it said.
    """
    if not reader.email:
        return StepState.SUPPRESSED, NO_ADDRESS
    owed = owed_of(case, reader.zone, failure)
    url = make(case.customer_id, Channel.MAIL, case_id=case.id, step_key=step.key)
    try:
        mail = post(
            f"dunning_{step.mail}",
            reader.email,
            _context(owed, url, clock.now().astimezone(reader.zone).date()),
            dedupe_key=mail_key(case.id, step.key),
            subject_ref=subject_of(case.id),
            secret=True,
        )
    except (InvalidAddress, InvalidHeader) as error:
        logger.warning("mail not posted", extra={"case": case.id, "why": error.code})
        return StepState.SUPPRESSED, NO_ADDRESS
    if mail.state is MailState.SUPPRESSED:
        return StepState.SUPPRESSED, SUPPRESSED
    return StepState.DONE, ""


def preview(name: str, kind: DeclineKind = DeclineKind.TRY_AGAIN) -> Words:
    """Return a mail of the policy, or ``card_expiring``, as a made-up customer would read it."""
    today = clock.now().date()
    url = f"{current_config().base_url.rstrip('/')}/card/preview"
    if name == EXPIRING:
        return write(f"dunning_{EXPIRING}", expiring_context(SAMPLE_CARD, "Pro", url, today, 15))
    return write(f"dunning_{name}", _context(_sample(name, kind, today), url, today))


def expiring_context(
    card: CardFace, plan: str, url: str, last_day: date, days: int
) -> dict[str, object]:
    """Return what the mail about a card's last day is written from."""
    return {
        "card": card,
        "plan": plan,
        "card_url": url,
        "last_day": last_day,
        "days": days,
        "link_days": LASTS.days,
    }


def _context(owed: Owed, card_url: str, today: date) -> dict[str, object]:
    days_left = (owed.ends_on - today).days if owed.ends_on else None
    return {
        "owed": owed,
        "card_url": card_url,
        "today": today,
        "days_left": days_left,
        "tried_for": max(1, (today - owed.opened_on).days),
        "link_days": LASTS.days,
    }


SAMPLE_CARD = CardFace("Visa 4242", "03/2031")
_SAMPLE_DAYS = {"failed": 0, "reminder": 3, "walled": 7, "urgent": 10, "last": 13}


def _sample(name: str, kind: DeclineKind, today: date) -> Owed:
    opened_on = today - timedelta(days=_SAMPLE_DAYS.get(name, 0))
    retries = kind is DeclineKind.TRY_AGAIN and name not in ("urgent", "last")
    return Owed(
        case_id=0,
        number="A1B2C3D4-0007",
        plan="Pro",
        amount=1900,
        currency="usd",
        kind=kind,
        has_card=True,
        card="Visa 4242",
        opened_on=opened_on,
        failed_on=today - timedelta(days=min(2, _SAMPLE_DAYS.get(name, 0))),
        retry_on=today + timedelta(days=3) if retries else None,
        walled=name in ("walled", "urgent", "last"),
        wall_on=opened_on + timedelta(days=7),
        end=EndAction.CANCEL,
        ends_on=opened_on + timedelta(days=14),
        invoice_url=None,
    )
