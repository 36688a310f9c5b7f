"""The way to one's card without logging in, and what happens when somebody left a new one.

A link is a signed word; the row keeps only its hash. Looking at it changes nothing, so that mail
scanners use nothing up. It ends when a card was left by it, or with its time.
"""

import hashlib
import secrets
from datetime import timedelta

from sqlalchemy import select, update

from webapp.billing.errors import CardLinkOver
from webapp.billing.models import (
    BillingCustomer,
    BillingOperation,
    CardLink,
    Channel,
    OperationKind,
    OperationState,
)
from webapp.billing.queries.payable import list_payable
from webapp.billing.services import operations
from webapp.core import clock
from webapp.core.audit import SYSTEM
from webapp.core.db import db
from webapp.core.signing import ExpiredToken, InvalidToken, sign, unsign
from webapp.core.state import current_config
from webapp.messaging.services.withdrawing import withdraw
from webapp.payments import gateway

LASTS = timedelta(days=14)
PURPOSE = "card-link"


def make(
    customer_id: int, channel: Channel, *, case_id: int | None = None, step_key: str | None = None
) -> str:
    """Return the address of a new link; flushes."""
    word = secrets.token_urlsafe(16)
    _add(customer_id, channel, word, case_id, step_key)
    return f"{current_config().base_url.rstrip('/')}/card/{sign(PURPOSE, word)}"


def find(token: str) -> CardLink:
    """Return the link of a token. Raises InvalidToken, and CardLinkOver for one that ended."""
    try:
        word = unsign(PURPOSE, token, int(LASTS.total_seconds()))
    except ExpiredToken:
        raise CardLinkOver from None
    link = db.session.scalar(select(CardLink).where(CardLink.token_hash == _hash(word)))
    if link is None:
        raise InvalidToken
    if link.used_at is not None or link.expires_at <= clock.now():
        raise CardLinkOver
    return link


def note_visit(customer_id: int, channel: Channel) -> None:
    """Note that a member came by the banner, the wall or the portal; flushes."""
    link = _add(customer_id, channel, secrets.token_urlsafe(16), None, None)
    link.opened_at = link.created_at = clock.now()
    db.session.flush()


def _add(
    customer_id: int, channel: Channel, word: str, case_id: int | None, step_key: str | None
) -> CardLink:
    link = CardLink(
        customer_id=customer_id,
        case_id=case_id,
        token_hash=_hash(word),
        channel=channel,
        step_key=step_key,
        expires_at=clock.now() + LASTS,
    )
    db.session.add(link)
    db.session.flush()
    return link


def _hash(word: object) -> str:
    return hashlib.sha256(str(word).encode()).hexdigest()


def settle_session(session: gateway.Session) -> None:
    """Use a card that was left on Stripe's page: everywhere from now on, and for what is owed.

    The return page and the webhook both come here; whoever is first writes the requests down, the
    other finds them. The caller holds the customer's lock; flushes.
    """
    customer = db.session.scalar(
        select(BillingCustomer).where(BillingCustomer.stripe_customer_id == session.customer)
    )
    method = session.payment_method
    if customer is None or session.mode != "setup" or session.status != "complete" or not method:
        return
    if _was_settled(session.id):
        return
    operations.ask(
        OperationKind.SET_DEFAULT_CARD,
        customer,
        str(session.customer),
        {"payment_method": method},
        actor=SYSTEM,
        key=_card_key(session.id),
    )
    for invoice in list_payable(customer.id):
        operations.ask(
            OperationKind.PAY_INVOICE,
            customer,
            invoice.stripe_id,
            {"payment_method": method},
            actor=SYSTEM,
            key=f"{_pay_prefix(session.id)}{invoice.stripe_id}",
        )
    db.session.execute(
        update(CardLink)
        .where(
            CardLink.customer_id == customer.id,
            CardLink.opened_at.is_not(None),
            CardLink.used_at.is_(None),
        )
        .values(used_at=clock.now())
    )
    # What was to be said of the old card needn't be said any more.
    withdraw(card_subject(customer.id), card_mail_prefix(customer.id))


def list_requests(session_id: str) -> list[BillingOperation]:
    """Return what was asked of Stripe when a card was left: the card first, then the invoices."""
    key = BillingOperation.idempotency_key
    mine = (key == _card_key(session_id)) | key.startswith(_pay_prefix(session_id), autoescape=True)
    found = select(BillingOperation).where(mine).order_by(BillingOperation.id)
    return list(db.session.scalars(found.execution_options(populate_existing=True)))


def list_open_requests(session_id: str) -> list[int]:
    """Return the ids of those that Stripe has not heard of yet."""
    return [each.id for each in list_requests(session_id) if each.state is OperationState.REQUESTED]


def card_subject(customer_id: int) -> str:
    """Return the subject of mails about a customer's card."""
    return f"billing_customer:{customer_id}"


def card_mail_prefix(customer_id: int) -> str:
    """Return how the keys of mails about a customer's card begin."""
    return f"card:{customer_id}:"


def _was_settled(session_id: str) -> bool:
    known = select(BillingOperation.id).where(
        BillingOperation.idempotency_key == _card_key(session_id)
    )
    return db.session.scalar(known) is not None


def _card_key(session_id: str) -> str:
    return f"card:{session_id}"


def _pay_prefix(session_id: str) -> str:
    return f"pay:{session_id}:"
