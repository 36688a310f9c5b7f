"""Hands somebody over to Stripe's page for a card, the same one again while it is open.

Any process may die between two steps: the key in the committed row finds the same page again.
"""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update

from webapp.billing.errors import PaymentPageAway
from webapp.billing.models import (
    BillingCheckout,
    BillingCustomer,
    CardLink,
    CheckoutPurpose,
    CheckoutState,
    Subscription,
)
from webapp.billing.services.customers import marks
from webapp.billing.services.sync import Ref, RefKind, sync_now
from webapp.core import clock
from webapp.core.db import db
from webapp.core.shop import get_shop
from webapp.core.state import current_config, current_fork
from webapp.payments import gateway
from webapp.payments.errors import StripeRefused, StripeUnavailable

# Stripe keeps a page open for a day at the most.
LASTS = timedelta(hours=23)
STILL_USABLE = timedelta(minutes=5)
# For how long whoever came back from Stripe's page may go there again, if that card was refused.
RETRY_WITHIN = timedelta(hours=1)
# The address of the page that tells what came of it stays in a browser's history.
SHOWN_FOR = timedelta(days=1)
AWAY = "The page for your card does not answer just now. Nothing was charged; please try again."


def open_card_page(customer_id: int, note: Callable[[], None] = lambda: None) -> str:
    """Return the address of Stripe's page for a new card; commits around its calls to Stripe.

    ``note`` writes down by which way somebody came, in the same transaction. Where a card was left
    meanwhile it returns the address that tells what came of it. Raises PaymentPageAway.
    """
    db.session.get_one(BillingCustomer, customer_id, with_for_update=True)
    note()
    checkout = _find_open(customer_id) or _promise(customer_id)
    db.session.commit()
    try:
        return _still_open(checkout) or _hand_over(checkout)
    except StripeUnavailable as error:
        db.session.rollback()
        raise PaymentPageAway(AWAY) from error
    except StripeRefused as error:
        db.session.rollback()
        raise PaymentPageAway(f"The page for your card is closed: {error.sentence}") from error


def mark_opened(link_id: int) -> None:
    """Note that somebody came by a link; flushes."""
    statement = update(CardLink).where(CardLink.id == link_id, CardLink.opened_at.is_(None))
    db.session.execute(statement.values(opened_at=clock.now()))


def find_finished(session_id: str) -> BillingCheckout | None:
    """Return the checkout of a page for a card by its session, which only its visitor knows."""
    return db.session.scalar(
        select(BillingCheckout)
        .where(
            BillingCheckout.stripe_session_id == session_id,
            BillingCheckout.purpose == CheckoutPurpose.SETUP,
        )
        .execution_options(populate_existing=True)
    )


def may_retry(checkout: BillingCheckout) -> bool:
    """Whether whoever left this card may leave another without a link: just now they were here."""
    finished = checkout.finished_at
    return finished is not None and clock.now() - finished < RETRY_WITHIN


def may_look(checkout: BillingCheckout) -> bool:
    """Whether what came of a card is still shown to whoever has the session's id, and no more."""
    finished = checkout.finished_at
    return finished is None or clock.now() - finished < SHOWN_FOR


def done_url(session_id: str) -> str:
    return f"{current_config().base_url.rstrip('/')}/card/done?session_id={session_id}"


def _find_open(customer_id: int) -> BillingCheckout | None:
    found = db.session.scalar(
        select(BillingCheckout)
        .where(
            BillingCheckout.customer_id == customer_id,
            BillingCheckout.purpose == CheckoutPurpose.SETUP,
            BillingCheckout.state == CheckoutState.OPEN,
        )
        .execution_options(populate_existing=True)
    )
    if found is not None and found.expires_at - clock.now() <= STILL_USABLE:
        found.state, found.finished_at = CheckoutState.EXPIRED, clock.now()
        db.session.flush()
        return None
    return found


def _promise(customer_id: int) -> BillingCheckout:
    checkout = BillingCheckout(
        customer_id=customer_id,
        purpose=CheckoutPurpose.SETUP,
        idempotency_key=f"{current_fork().name}-card-{uuid.uuid4()}",
        expires_at=(clock.now() + LASTS).replace(microsecond=0),
    )
    db.session.add(checkout)
    db.session.flush()
    return checkout


def _still_open(checkout: BillingCheckout) -> str | None:
    """Return where a page opened before leads now: to itself, or to what came of it."""
    checkout_id, session_id, customer_id = (
        checkout.id,
        checkout.stripe_session_id,
        checkout.customer_id,
    )
    db.session.commit()
    if session_id is None:
        return None
    session = gateway.get_session(session_id)
    if session.status == "open":
        return session.url
    if session.status == "complete":
        sync_now(Ref(RefKind.SESSION, session_id))
        db.session.commit()
        return done_url(session_id)
    _mark_expired(checkout_id)
    db.session.get_one(BillingCustomer, customer_id, with_for_update=True)
    return _hand_over(_find_open(customer_id) or _promise(customer_id))


def _hand_over(checkout: BillingCheckout) -> str:
    """Open the session of a row, or get the one opened before, and keep its address; commits."""
    checkout_id, key, params = checkout.id, checkout.idempotency_key, _params(checkout)
    db.session.commit()
    try:
        session = gateway.create_session(params, key)
    except StripeRefused as error:
        _mark_expired(checkout_id)
        raise PaymentPageAway(f"The page for your card is closed: {error.sentence}") from error
    db.session.execute(
        update(BillingCheckout)
        .where(BillingCheckout.id == checkout_id)
        .values(stripe_session_id=session.id, url=session.url)
    )
    db.session.commit()
    return session.url or done_url(session.id)


def _mark_expired(checkout_id: int) -> None:
    db.session.execute(
        update(BillingCheckout)
        .where(BillingCheckout.id == checkout_id, BillingCheckout.state == CheckoutState.OPEN)
        .values(state=CheckoutState.EXPIRED, finished_at=clock.now())
    )
    db.session.commit()


def _currency(customer: BillingCustomer) -> str:
    """Return what the customer pays in: it decides which kinds of cards and debits are offered."""
    first = select(Subscription.currency).where(Subscription.customer_id == customer.id)
    return db.session.scalar(first.order_by(Subscription.id).limit(1)) or get_shop().currency


def _params(checkout: BillingCheckout) -> dict[str, Any]:
    """https://docs.stripe.com/api/checkout/sessions/create, from the row and its customer."""
    base, fork = current_config().base_url.rstrip("/"), current_fork().name
    customer = db.session.get_one(BillingCustomer, checkout.customer_id)
    return {
        "mode": "setup",
        "customer": customer.stripe_customer_id,
        "currency": _currency(customer),
        "metadata": marks(fork, customer.id) | {"billing_checkout": str(checkout.id)},
        "success_url": f"{base}/card/done?session_id={{CHECKOUT_SESSION_ID}}",
        "cancel_url": f"{base}/card/left",
        "expires_at": int(checkout.expires_at.timestamp()),
    }
