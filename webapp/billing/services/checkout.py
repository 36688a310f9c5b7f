"""Subscribing: whoever has no live subscription is handed over to one page of Stripe's.

Never two at once: the customer's row is locked while the one open page is looked up or promised,
Stripe itself is asked whether it knows of a subscription that we don't, and a page that was
outgrown is closed before the next one opens. Any process may die between two steps: the same key
finds the same page at the next press.
"""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update

from webapp.billing.errors import AlreadySubscribed, NotForSale, PaymentPageAway
from webapp.billing.models import (
    ENDED,
    BillingCheckout,
    BillingCustomer,
    CheckoutPurpose,
    CheckoutState,
    PlanPrice,
    PlanState,
)
from webapp.billing.queries.home import find_live_subscription, has_had_trial
from webapp.billing.services.customers import customer_of, ensure_at_stripe, marks
from webapp.billing.services.mirroring import sync_plan
from webapp.billing.services.sync import Ref, RefKind, sync_now
from webapp.core import clock
from webapp.core.db import db
from webapp.core.state import current_config, current_fork
from webapp.payments import gateway
from webapp.payments.errors import StripeRefused, StripeUnavailable

STILL_PAYABLE = timedelta(minutes=3)
AWAY = "The payment page does not answer just now. Nothing was charged; please try again."


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Who wants to subscribe, as Stripe is to know them."""

    user_id: uuid.UUID
    email: str
    name: str


def open_checkout(who: Subscriber, price_id: int) -> str:
    """Return Stripe's address to send the subscriber to; commits around its calls to Stripe.

    Raises NotForSale, PaymentPageAway, and AlreadySubscribed for one who is to change what they
    have instead.
    """
    customer_id = customer_of(who.user_id, who.email).id
    db.session.commit()
    try:
        _ensure_price(price_id)
        _refuse_unheard_of(customer_id)
        ensure_at_stripe(customer_id, who.name)
        checkout = _promise(customer_id, price_id)
        return _still_open(checkout) or _hand_over(_promise(customer_id, price_id))
    except StripeUnavailable as error:
        db.session.rollback()
        raise PaymentPageAway(AWAY) from error
    except StripeRefused as error:
        db.session.rollback()
        raise PaymentPageAway(f"The payment could not begin: {error.sentence}") from error


def find_own_checkout(user_id: uuid.UUID, session_id: str) -> BillingCheckout | None:
    """Return what a session of Stripe's was opened for, if it was for this member."""
    return db.session.scalar(
        select(BillingCheckout)
        .join(BillingCustomer, BillingCustomer.id == BillingCheckout.customer_id)
        .where(
            BillingCustomer.user_id == user_id,
            BillingCheckout.stripe_session_id == session_id,
            BillingCheckout.purpose == CheckoutPurpose.SUBSCRIPTION,
        )
    )


def _ensure_price(price_id: int) -> None:
    """See to it that Stripe knows the price: a job tells it, which may not have run yet."""
    price = _sellable(price_id)
    plan_id, known = price.plan_id, price.stripe_price_id
    db.session.commit()
    if known is None:
        sync_plan(plan_id)
        if _sellable(price_id).stripe_price_id is None:
            raise NotForSale("This plan can't be bought just now. Please try again later.")
        db.session.commit()


def _sellable(price_id: int) -> PlanPrice:
    price = db.session.get(PlanPrice, price_id, populate_existing=True)
    if price is None or price.retired_at or price.plan.state is not PlanState.PUBLISHED:
        raise NotForSale("This price is no longer offered. Here is what you can choose from now.")
    return price


def _refuse_unheard_of(customer_id: int) -> None:
    """Ask Stripe for a live subscription whose events haven't reached us yet."""
    customer = db.session.get_one(BillingCustomer, customer_id)
    stripe_id = None if customer.deleted_at else customer.stripe_customer_id
    known = find_live_subscription(customer_id)
    db.session.commit()
    if known is not None:
        raise AlreadySubscribed
    if stripe_id is None:
        return
    live = [each.id for each in gateway.list_subscriptions(stripe_id) if each.status not in ENDED]
    if live:
        sync_now(*(Ref(RefKind.SUBSCRIPTION, each) for each in live))
        db.session.commit()
        raise AlreadySubscribed


def _promise(customer_id: int, price_id: int) -> BillingCheckout:
    """Return the customer's one open checkout, for this price; committed."""
    open_one = _lock_and_find(customer_id)
    if open_one is not None and not _serves(open_one, price_id):
        _close(open_one)
        open_one = _lock_and_find(customer_id)
        if open_one is not None and not _serves(open_one, price_id):
            raise PaymentPageAway("Another payment page was opened just now. Please try again.")
    if open_one is None:
        open_one = _new_checkout(customer_id, price_id)
    db.session.commit()
    return open_one


def _lock_and_find(customer_id: int) -> BillingCheckout | None:
    db.session.get_one(BillingCustomer, customer_id, with_for_update=True)
    if find_live_subscription(customer_id) is not None:
        db.session.rollback()
        raise AlreadySubscribed
    return db.session.scalar(
        select(BillingCheckout)
        .where(
            BillingCheckout.customer_id == customer_id,
            BillingCheckout.purpose == CheckoutPurpose.SUBSCRIPTION,
            BillingCheckout.state == CheckoutState.OPEN,
        )
        .execution_options(populate_existing=True)
    )


def _serves(checkout: BillingCheckout, price_id: int) -> bool:
    fresh = checkout.expires_at - clock.now() > STILL_PAYABLE
    return fresh and checkout.plan_price_id == price_id


def _new_checkout(customer_id: int, price_id: int) -> BillingCheckout:
    _sellable(price_id)
    lasts = timedelta(minutes=current_config().checkout_minutes)
    checkout = BillingCheckout(
        customer_id=customer_id,
        purpose=CheckoutPurpose.SUBSCRIPTION,
        plan_price_id=price_id,
        idempotency_key=f"{current_fork().name}-subscribe-{uuid.uuid4()}",
        expires_at=(clock.now() + lasts).replace(microsecond=0),
    )
    db.session.add(checkout)
    db.session.flush()
    return checkout


def _still_open(checkout: BillingCheckout) -> str | None:
    """Return the address of a page opened before, while Stripe keeps it open."""
    checkout_id, session_id, url = checkout.id, checkout.stripe_session_id, checkout.url
    if session_id is None:
        return _hand_over(checkout)
    db.session.commit()
    session = gateway.get_session(session_id)
    if session.status == "open":
        return url
    _settle(checkout_id, session)
    return None


def _hand_over(checkout: BillingCheckout) -> str:
    """Open the session of a committed row, or get the one opened before, and keep its address."""
    checkout_id = checkout.id
    try:
        session = _session_of(checkout)
    except StripeRefused as error:
        _mark(checkout_id, CheckoutState.EXPIRED)
        raise PaymentPageAway(f"The payment could not begin: {error.sentence}") from error
    if session.url is None:
        _settle(checkout_id, session)
        raise PaymentPageAway("This payment page is closed. Please try again.")
    return session.url


def _session_of(checkout: BillingCheckout) -> gateway.Session:
    checkout_id, key, params = checkout.id, checkout.idempotency_key, _params(checkout)
    db.session.commit()
    session = gateway.create_session(params, key)
    db.session.execute(
        update(BillingCheckout)
        .where(BillingCheckout.id == checkout_id)
        .values(stripe_session_id=session.id, url=session.url)
    )
    db.session.commit()
    return session


def _close(checkout: BillingCheckout) -> None:
    """Close a page that was outgrown, so that only one can be paid; commits."""
    checkout_id, session_id = checkout.id, checkout.stripe_session_id
    try:
        session_id = session_id or _session_of(checkout).id
        db.session.commit()
        session = gateway.expire_session(session_id)
    except StripeRefused:
        db.session.commit()
        if session_id is None:
            _mark(checkout_id, CheckoutState.EXPIRED)
            return
        session = gateway.get_session(session_id)
    _settle(checkout_id, session)


def _settle(checkout_id: int, session: gateway.Session) -> None:
    """Write what became of a page; raises AlreadySubscribed when somebody subscribed by it."""
    if session.status == "complete":
        sync_now(Ref(RefKind.SESSION, session.id))
        db.session.commit()
        _mark(checkout_id, CheckoutState.COMPLETE)
        raise AlreadySubscribed
    if session.status == "expired":
        _mark(checkout_id, CheckoutState.EXPIRED)


def _mark(checkout_id: int, state: CheckoutState) -> None:
    db.session.execute(
        update(BillingCheckout)
        .where(BillingCheckout.id == checkout_id, BillingCheckout.state == CheckoutState.OPEN)
        .values(state=state, finished_at=clock.now())
    )
    db.session.commit()


def _params(checkout: BillingCheckout) -> dict[str, Any]:
    """https://docs.stripe.com/api/checkout/sessions/create, from the row and what it points at."""
    base, fork = current_config().base_url.rstrip("/"), current_fork().name
    customer = db.session.get_one(BillingCustomer, checkout.customer_id)
    price = db.session.get_one(PlanPrice, checkout.plan_price_id)
    ours = marks(fork, customer.id)
    subscription: dict[str, Any] = {"metadata": ours}
    if price.plan.trial_days and not has_had_trial(customer):
        subscription["trial_period_days"] = price.plan.trial_days
    return {
        "mode": "subscription",
        "customer": customer.stripe_customer_id,
        "client_reference_id": str(checkout.id),
        "metadata": ours | {"billing_checkout": str(checkout.id)},
        "line_items": [{"price": price.stripe_price_id, "quantity": checkout.quantity}],
        "subscription_data": subscription,
        "payment_method_collection": "always",
        "success_url": f"{base}/billing/welcome?session_id={{CHECKOUT_SESSION_ID}}",
        "cancel_url": f"{base}/pricing",
        "expires_at": int(checkout.expires_at.timestamp()),
    }
