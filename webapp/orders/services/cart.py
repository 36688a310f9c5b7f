"""Filling a cart: every change is checked against what is sold now, and says what it refuses."""

import uuid
from datetime import datetime, timedelta

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from webapp.accounts.models import ProspectSource
from webapp.catalog.queries import Offer, list_offers
from webapp.core import clock
from webapp.core.db import db
from webapp.core.models import Shop
from webapp.orders.errors import (
    CartError,
    EmailNeeded,
    EmptyCart,
    InvalidDiscount,
    NoSuchSku,
    NotDeliverable,
    SoldOut,
)
from webapp.orders.models import Cart, CartDiscount, CartSku, CartState, DiscountCode
from webapp.orders.queries import (
    MAX_QUANTITY,
    count_uses,
    find_cart,
    view_open_cart,
    why_not,
)
from webapp.orders.services.joining import find_guest_buyer

KEEP_DAYS = 30
MAX_LINES = 50


def open_cart(shop: Shop) -> Cart:
    """Start an empty cart in the shop's currency."""
    cart = Cart(currency=shop.currency, expires_at=expiry())
    db.session.add(cart)
    db.session.flush()
    return cart


def expiry() -> datetime:
    """Return until when a cart that was used just now is kept."""
    return clock.now() + timedelta(days=KEEP_DAYS)


def lock_cart(cart_id: uuid.UUID) -> Cart:
    """Return the open cart, locked: two tabs of one visitor take turns. Raises EmptyCart."""
    cart = db.session.scalar(
        select(Cart)
        .where(Cart.id == cart_id, Cart.state == CartState.OPEN, Cart.expires_at > clock.now())
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if cart is None:
        raise EmptyCart("Your cart is empty.")
    return cart


def _touch(cart: Cart) -> None:
    cart.expires_at = expiry()
    db.session.flush()
    db.session.expire(cart)


def add_to_cart(cart_id: uuid.UUID, sku_id: int, quantity: int) -> Offer:
    """Put ``quantity`` more pieces in; returns what was put in.

    Raises NoSuchSku, SoldOut, or CartError when a limit is reached.
    """
    if not 1 <= quantity <= MAX_QUANTITY:
        raise CartError(f"Choose a quantity from 1 to {MAX_QUANTITY}.")
    cart = lock_cart(cart_id)
    offer = _offer(sku_id)
    line = next((each for each in cart.lines if each.sku_id == sku_id), None)
    if line is None and len(cart.lines) >= MAX_LINES:
        raise CartError(f"A cart holds {MAX_LINES} different items at the most.")
    wanted = quantity + (line.quantity if line else 0)
    _check_quantity(offer, wanted)
    statement = insert(CartSku).values(
        cart_id=cart.id, sku_id=sku_id, quantity=wanted, seen_unit_amount=offer.unit_amount
    )
    db.session.execute(
        statement.on_conflict_do_update(
            index_elements=[CartSku.cart_id, CartSku.sku_id],
            set_={"quantity": wanted, "seen_unit_amount": offer.unit_amount},
        )
    )
    _touch(cart)
    return offer


def set_quantity(cart_id: uuid.UUID, sku_id: int, quantity: int) -> None:
    """Set a line's quantity; 0 removes it. A line that isn't there is left alone."""
    if not 0 <= quantity <= MAX_QUANTITY:
        raise CartError(f"Choose a quantity from 0 to {MAX_QUANTITY}.")
    cart = lock_cart(cart_id)
    line = next((each for each in cart.lines if each.sku_id == sku_id), None)
    if line is None:
        return
    if quantity == 0:
        cart.lines.remove(line)
    elif quantity != line.quantity:
        offer = _offer(sku_id)
        if quantity > line.quantity:
            _check_quantity(offer, quantity)
        line.quantity = quantity
        line.seen_unit_amount = offer.unit_amount
    _touch(cart)


def _offer(sku_id: int) -> Offer:
    offer = list_offers([sku_id]).get(sku_id)
    if offer is None or not offer.published:
        raise NoSuchSku("This item is not sold here (any more).")
    return offer


def _check_quantity(offer: Offer, wanted: int) -> None:
    if wanted > MAX_QUANTITY:
        raise CartError(f"You can order {MAX_QUANTITY} of one item at the most.")
    if offer.available is None or wanted <= offer.available:
        return
    if offer.available <= 0:
        raise SoldOut(f"{offer.title} is sold out.")
    raise SoldOut(f"Only {offer.available} of {offer.title} left.")


def choose_shipping(cart_id: uuid.UUID, country: str, code: str | None, shop: Shop) -> None:
    """Set where to and how. Raises NotDeliverable for a country no method goes to."""
    cart = lock_cart(cart_id)
    cart.country = country.upper() or None
    view = view_open_cart(cart, shop)
    if view.country != cart.country:
        raise NotDeliverable("We can't deliver these items to that country.")
    codes = {choice.code for choice in view.shipping_methods}
    cart.shipping_code = code if code in codes else None
    _touch(cart)


def apply_discount(cart_id: uuid.UUID, text: str, email: str | None = None) -> None:
    """Add a code. Raises InvalidDiscount with the reason.

    A code with a limit per customer needs the buyer's address first (EmailNeeded), which the
    payment is then bound to.
    """
    cart = lock_cart(cart_id)
    code = db.session.scalar(select(DiscountCode).where(DiscountCode.code == text.strip().upper()))
    if code is None:
        raise InvalidDiscount("We don't know this code.")
    offers = list_offers([line.sku_id for line in cart.lines])
    amounts = [
        offers[line.sku_id].unit_amount * line.quantity
        for line in cart.lines
        if line.sku_id in offers
    ]
    why = why_not(code, sum(amounts))
    if why:
        raise InvalidDiscount(why)
    _check_stacking(cart, code)
    if code.customer_limit is not None:
        _check_customer(cart, code, (email or cart.email or "").strip().lower())
    statement = insert(CartDiscount).values(cart_id=cart.id, discount_code_id=code.id)
    db.session.execute(statement.on_conflict_do_nothing())
    _touch(cart)


def _check_stacking(cart: Cart, code: DiscountCode) -> None:
    others = [each.discount_code_id for each in cart.discounts if each.discount_code_id != code.id]
    if not others:
        return
    rows = db.session.scalars(select(DiscountCode).where(DiscountCode.id.in_(others))).all()
    if not code.stackable or not all(row.stackable for row in rows):
        raise InvalidDiscount("Only one code per order; remove the other one first.")


def _check_customer(cart: Cart, code: DiscountCode, typed: str) -> None:
    try:
        email = validate_email(typed, check_deliverability=False).normalized.lower()
    except EmailNotValidError:
        sentence = f"{code.code} is limited per customer: enter your email with it."
        raise EmailNeeded(sentence) from None
    if count_uses(code.id, email) >= (code.customer_limit or 0):
        raise InvalidDiscount(f"You have used the code {code.code} already.")
    cart.email = email
    if cart.user_id is None:
        find_guest_buyer(email, "", ProspectSource.CART)


def remove_discount(cart_id: uuid.UUID, text: str) -> None:
    """Take a code out again; one that isn't there is left alone."""
    cart = lock_cart(cart_id)
    ids = select(DiscountCode.id).where(DiscountCode.code == text.strip().upper())
    found = set(db.session.scalars(ids))
    cart.discounts = [each for each in cart.discounts if each.discount_code_id not in found]
    cart.email = None
    _touch(cart)


def acknowledge_prices(cart_id: uuid.UUID) -> None:
    """Remember the prices just shown, so that each change is told once."""
    cart = find_cart(cart_id)
    if cart is None:
        return
    offers = list_offers([line.sku_id for line in cart.lines])
    for line in cart.lines:
        offer = offers.get(line.sku_id)
        if offer and line.seen_unit_amount != offer.unit_amount:
            line.seen_unit_amount = offer.unit_amount
    db.session.flush()
