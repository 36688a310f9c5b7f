"""What a Checkout Session became: the one way from Stripe's facts to an order or to released stock.

Webhook, success page, sweep and clock all come here with a session id; whoever comes first does
the work under the checkout's lock, the others find it done. Callers commit.
"""

import logging
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, or_, select

from webapp.core import clock
from webapp.core.db import db, take_turns
from webapp.core.state import current_config, current_fork
from webapp.messaging.errors import InvalidAddress, InvalidHeader
from webapp.messaging.services import post
from webapp.orders.errors import NoSuchOrder, PaymentFailed
from webapp.orders.models import (
    Checkout,
    CheckoutState,
    Order,
    OrderPayment,
)
from webapp.orders.pricing import Quote
from webapp.orders.queries import LIVE, find_order_by_session
from webapp.orders.services.codes import give_codes_back
from webapp.orders.services.history import release_held
from webapp.orders.services.placing import place_order
from webapp.orders.services.session import create_stripe_session
from webapp.payments import gateway
from webapp.payments.errors import NoSuchStripeObject, StripeRefused

logger = logging.getLogger(__name__)

ASK_AGAIN = timedelta(days=1)


def settle_session(session_id: str) -> str | None:
    """Refetch a session and do what follows from it; returns the subject touched.

    None when the session is another fork's or not ours at all. Begins with network, so the
    caller must not hold a transaction; ends with flushed changes to commit.
    """
    db.session.commit()
    session = gateway.get_session(session_id)
    if session.metadata.get("fork") != current_fork().name:
        return None
    return apply(session, _fetch_unknown_lines(session))


def _fetch_unknown_lines(session: gateway.Session) -> list[gateway.SessionLine]:
    """Ask Stripe what was bought where our own checkout can't say it, before any lock is taken."""
    if not session.paid or _find_checkout(session) is not None:
        return []
    db.session.commit()
    return gateway.list_session_lines(session.id)


def apply(session: gateway.Session, unknown_lines: list[gateway.SessionLine]) -> str | None:
    """Write what a freshly fetched session means. Flushes; older facts change nothing."""
    checkout = _lock_checkout(session)
    if session.paid:
        return f"order:{place_order(session, checkout, unknown_lines).id}"
    if checkout is None:
        return None
    if session.processing:
        _await_payment(checkout)
    elif session.payment_failed:
        give_up(checkout.id, CheckoutState.EXPIRED)
        _tell_payment_failed(checkout, session)
    elif session.status == "expired":
        give_up(checkout.id, CheckoutState.EXPIRED)
    return f"checkout:{checkout.id}"


def find_or_place_order(session_id: str) -> Order | None:
    """Return the order of a session for the success page, making it if the webhook is late.

    None while the money has not arrived. Flushes. Raises NoSuchOrder for a session that isn't
    ours, PaymentFailed for one that will not be paid any more.
    """
    order = find_order_by_session(session_id)
    if order is not None:
        return order
    if settle_session(session_id) is None:
        raise NoSuchOrder("We don't know this payment.")
    ended = Checkout.state.in_((CheckoutState.EXPIRED, CheckoutState.FAILED))
    if db.session.scalar(select(Checkout.id).where(_of(session_id), ended)):
        raise PaymentFailed("This payment did not go through, and nothing was charged.")
    return find_order_by_session(session_id)


def _of(session_id: str) -> ColumnElement[bool]:
    return Checkout.stripe_session_id == session_id


def _find_checkout(session: gateway.Session) -> Checkout | None:
    """Return the row a session was opened for; its id may not have been written there yet."""
    mark = session.metadata.get("checkout", "")
    if not mark.isdigit():
        return None
    mine = or_(Checkout.stripe_session_id.is_(None), _of(session.id))
    return db.session.scalar(select(Checkout).where(Checkout.id == int(mark), mine))


def _lock_checkout(session: gateway.Session) -> Checkout | None:
    checkout = _find_checkout(session)
    if checkout is not None:
        db.session.refresh(checkout, with_for_update=True)
        # The webhook may be faster than the request that opened the session.
        checkout.stripe_session_id = session.id
        return checkout
    # No row to lock: two deliveries of one unknown payment still have to take turns.
    take_turns(session.id)
    return None


def _await_payment(checkout: Checkout) -> None:
    """A slow payment method: keep the stock, and ask Stripe each day what became of it."""
    if checkout.state not in LIVE:
        return
    if checkout.state is not CheckoutState.PROCESSING:
        checkout.state = CheckoutState.PROCESSING
        checkout.release_at = clock.now() + ASK_AGAIN
    elif checkout.release_at <= clock.now():
        checkout.release_at = clock.now() + ASK_AGAIN
    db.session.flush()


def _tell_payment_failed(checkout: Checkout, session: gateway.Session) -> None:
    """A slow payment that didn't arrive: the buyer has long left and hears of it by mail."""
    lines = [
        f"{line.item.quantity} x {line.item.title}"
        for line in Quote.from_json(checkout.quote).lines
    ]
    context = {
        "lines": lines,
        "amount": checkout.total_amount,
        "currency": checkout.currency,
        "shop_url": current_config().base_url.rstrip("/") + "/",
    }
    try:
        post(
            "payment_failed",
            session.email,
            context,
            dedupe_key=f"payment_failed:{checkout.id}",
            subject_ref=f"checkout:{checkout.id}",
        )
    except (InvalidAddress, InvalidHeader) as error:
        logger.warning("mail not posted", extra={"checkout": checkout.id, "why": error.code})


def give_up(checkout_id: int, state: CheckoutState) -> None:
    """End a live checkout without an order: its stock and its codes go back. Flushes."""
    checkout = db.session.scalar(
        select(Checkout)
        .where(Checkout.id == checkout_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if checkout is None or checkout.state not in LIVE:
        return
    checkout.state = state
    checkout.ended_at = clock.now()
    release_held(checkout.id)
    give_codes_back(Quote.from_json(checkout.quote))
    db.session.flush()


def close_checkout(checkout_id: int) -> str | None:
    """Make a live checkout unpayable, or learn that it was paid: then its order is made.

    Returns the order's subject or None. Network first, then flushed changes; raises
    StripeUnavailable when nothing could be learned, and then nothing has changed.
    """
    checkout = db.session.get_one(Checkout, checkout_id)
    session_id = checkout.stripe_session_id
    if session_id is None:
        session_id = _find_opened(checkout)
    db.session.commit()
    if session_id is None:
        give_up(checkout_id, CheckoutState.FAILED)
        return None
    try:
        session = gateway.expire_session(session_id)
    except NoSuchStripeObject:
        give_up(checkout_id, CheckoutState.FAILED)
        return None
    except StripeRefused:
        session = gateway.get_session(session_id)
    apply(session, [])
    return f"order:{order.id}" if (order := find_order_by_session(session_id)) else None


def _find_opened(checkout: Checkout) -> str | None:
    """Learn from the idempotency key whether a session was opened; None: it never was."""
    try:
        return create_stripe_session(checkout).id
    except StripeRefused:
        return None


def list_overdue_checkouts(limit: int = 100) -> list[int]:
    """Return live checkouts past their release time, and those stuck while opening."""
    now = clock.now()
    stuck = (Checkout.state == CheckoutState.OPENING) & (
        Checkout.created_at < now - timedelta(minutes=2)
    )
    overdue = Checkout.state.in_(LIVE) & (Checkout.release_at <= now)
    return list(
        db.session.scalars(
            select(Checkout.id).where(stuck | overdue).order_by(Checkout.release_at).limit(limit)
        )
    )


def find_unordered_sessions(since: datetime) -> list[str]:
    """Ask Stripe for our paid sessions made after ``since``; return those without an order.

    Network: the caller must not hold a transaction. Raises StripeUnavailable.
    """
    ours = current_fork().name
    db.session.commit()
    paid = [
        session.id
        for session in gateway.list_sessions(since)
        # A subscription's money makes no order.
        if session.mode == "payment" and session.paid and session.metadata.get("fork") == ours
    ]
    known: set[str] = set()
    for start in range(0, len(paid), 500):
        part = OrderPayment.stripe_session_id.in_(paid[start : start + 500])
        known.update(db.session.scalars(select(OrderPayment.stripe_session_id).where(part)))
    return [session_id for session_id in paid if session_id not in known]
