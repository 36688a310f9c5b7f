"""Opening a checkout: promise the stock, open Stripe's session, hand the buyer over.

Three steps, and any process may die between them: the ``checkout`` row (committed with the
promise), the session at Stripe (under the row's idempotency key), the row's session id. What is
left half-way is finished or taken back by ``settlement.settle_checkout``.
"""

import uuid
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import update

from webapp.catalog.services import stock
from webapp.core import clock
from webapp.core.db import db
from webapp.core.shop import get_shop
from webapp.core.state import current_config, current_fork
from webapp.orders.errors import (
    AlreadyPaid,
    CheckoutUnavailable,
    EmptyCart,
    NotDeliverable,
    PaymentUnderWay,
    SoldOut,
    TotalChanged,
)
from webapp.orders.models import (
    Cart,
    Checkout,
    CheckoutState,
    ReservationState,
    StockReservation,
)
from webapp.orders.pricing import Quote
from webapp.orders.queries import LIVE, CartView, find_live_checkout, view_open_cart
from webapp.orders.services import settlement
from webapp.orders.services.cart import lock_cart
from webapp.orders.services.codes import count_codes, list_spent_codes
from webapp.orders.services.session import create_stripe_session
from webapp.payments.errors import StripeRefused, StripeUnavailable

RESERVATION_MARGIN = timedelta(minutes=15)
STILL_PAYABLE = timedelta(minutes=3)


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a checkout comes from: the request, and the mail that led the browser here."""

    request_id: str | None
    email_code: str | None


def open_checkout(
    cart_id: uuid.UUID,
    seen_total: int,
    seen_currency: str,
    request_id: str | None,
    email_code: str | None = None,
) -> str:
    """Return Stripe's address to send the buyer to.

    ``email_code`` is that of the campaign's mail whose link led the buyer's browser here.

    Commits on its own, as Stripe is called between two transactions. Raises a CartError with the
    sentence for the buyer: the total changed, something sold out, Stripe is away, already paid.
    """
    origin = _Origin(request_id, email_code)
    checkout = _promise(cart_id, seen_total, seen_currency, origin)
    if checkout.url is not None:
        return checkout.url
    return hand_over(checkout)


def hand_over(checkout: Checkout) -> str:
    """Open the session of a committed checkout row and keep its address."""
    checkout_id = checkout.id
    try:
        session = create_stripe_session(checkout)
    except StripeUnavailable as error:
        # It may have been opened: the row stays, and the same key finds it at the next press.
        raise CheckoutUnavailable(
            "The payment page does not answer just now. Nothing was charged; please try again."
        ) from error
    except StripeRefused as error:
        settlement.give_up(checkout_id, CheckoutState.FAILED)
        db.session.commit()
        raise CheckoutUnavailable(f"The payment could not begin: {error.sentence}") from error
    db.session.execute(
        update(Checkout)
        .where(Checkout.id == checkout_id, Checkout.state == CheckoutState.OPENING)
        .values(state=CheckoutState.OPEN, stripe_session_id=session.id, url=session.url)
    )
    db.session.commit()
    if session.url is None:
        raise CheckoutUnavailable("This payment page is closed. Please try again.")
    return session.url


def _promise(cart_id: uuid.UUID, seen_total: int, seen_currency: str, origin: _Origin) -> Checkout:
    """Return the cart's checkout as the buyer saw it, reusing a live one; committed."""
    cart = lock_cart(cart_id)
    view = view_open_cart(cart, get_shop())
    _check(view, seen_total, seen_currency)
    live = find_live_checkout(cart_id)
    if live is not None and _still_good(live, view.quote):
        db.session.commit()
        return live
    if live is not None:
        _end(live)
        cart = lock_cart(cart_id)
        view = view_open_cart(cart, get_shop())
        _check(view, seen_total, seen_currency)
    checkout = _new_checkout(cart, view.quote, origin)
    db.session.commit()
    return checkout


def _check(view: CartView, seen_total: int, seen_currency: str) -> None:
    if view.empty:
        raise EmptyCart("Your cart is empty.")
    for line in view.lines:
        if not line.sellable or (line.max_quantity or line.quantity) < line.quantity:
            raise SoldOut(f"{line.title}: {line.notice}")
    if view.needs_shipping and view.quote.shipping is None:
        raise NotDeliverable("We can't deliver these items there. Choose another country.")
    if (view.quote.total_amount, view.quote.currency) != (seen_total, seen_currency):
        raise TotalChanged("The total has changed since you saw it. Check it and pay again.")


def _still_good(live: Checkout, quote: Quote) -> bool:
    if live.state is CheckoutState.PROCESSING:
        raise PaymentUnderWay("A payment for this cart is under way; you'll hear by mail.")
    fresh = live.expires_at - clock.now() > STILL_PAYABLE
    return fresh and Quote.from_json(live.quote) == quote


def _end(live: Checkout) -> None:
    """Close a checkout the cart has outgrown, so that only one can be paid; commits."""
    live_id = live.id
    db.session.commit()
    try:
        subject = settlement.close_checkout(live_id)
    except StripeUnavailable as error:
        db.session.rollback()
        raise CheckoutUnavailable(
            "The payment page does not answer just now. Nothing was charged; please try again."
        ) from error
    db.session.commit()
    ended = db.session.get_one(Checkout, live_id)
    if subject is not None:
        raise AlreadyPaid(ended.stripe_session_id or "")
    if ended.state in LIVE:
        raise PaymentUnderWay("A payment for this cart is under way; you'll hear by mail.")


def _new_checkout(cart: Cart, quote: Quote, origin: _Origin) -> Checkout:
    now = clock.now()
    expires_at = now + timedelta(minutes=current_config().checkout_minutes)
    checkout = Checkout(
        cart_id=cart.id,
        idempotency_key=f"{current_fork().name}-checkout-{uuid.uuid4()}",
        quote=quote.to_json(),
        currency=quote.currency,
        total_amount=quote.total_amount,
        request_id=origin.request_id,
        email_code=origin.email_code,
        expires_at=expires_at.replace(microsecond=0),
        release_at=expires_at + RESERVATION_MARGIN,
    )
    db.session.add(checkout)
    db.session.flush()
    _reserve(checkout, quote)
    _use_codes(checkout, quote, cart.email)
    return checkout


def _reserve(checkout: Checkout, quote: Quote) -> None:
    """Promise every line in sku order, so that two checkouts never wait for each other."""
    for line in sorted(quote.lines, key=lambda line: line.item.sku_id):
        item = line.item
        if not stock.reserve(item.sku_id, item.quantity):
            raise SoldOut(f"{item.title} was just sold to somebody else. Nothing was charged.")
        db.session.add(
            StockReservation(
                checkout_id=checkout.id,
                sku_id=item.sku_id,
                quantity=item.quantity,
                state=ReservationState.HELD,
            )
        )
    db.session.flush()


def _use_codes(checkout: Checkout, quote: Quote, email: str | None) -> None:
    for code in count_codes(quote):
        raise TotalChanged(f"The code {code} has just been used up. Check the new total.")
    for code in list_spent_codes(quote, checkout, email):
        raise TotalChanged(f"You have used the code {code} already. Remove it to go on.")
