"""The cart of somebody who logs in: what they chose as a visitor joins what they chose before.

A cart that is being paid is left as it is: what were added to it would be gone with the payment,
and what were taken from it could be bought twice. Both carts then stay the member's, and become
one the next time, when that payment is over.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select

from webapp.accounts.models import User
from webapp.catalog.queries import Offer, list_offers
from webapp.core import clock
from webapp.core.db import db
from webapp.core.models import Shop
from webapp.orders.models import Cart, CartDiscount, CartSku, CartState, Checkout, DiscountCode
from webapp.orders.queries import LIVE, MAX_QUANTITY, why_not
from webapp.orders.services.cart import MAX_LINES, expiry, open_cart

# Enough for every code's minimum: whether the cart reaches it is told by the cart itself.
_ANY_AMOUNT = 2**62


@dataclass(slots=True)
class Settled:
    """The cart to go on with, None for none; and in words what could not be kept."""

    cart_id: uuid.UUID | None
    notices: list[str] = field(default_factory=list)


def settle_cart(user_id: uuid.UUID, visitor_cart_id: uuid.UUID | None) -> Settled:
    """Make the browser's cart and the member's one; twice does what once does. Flushes.

    Another member's cart, left in a shared browser, is not touched and not shown.
    """
    _take_turns(user_id)
    carts = _lock_carts(user_id, visitor_cart_id)
    visitor = next((cart for cart in carts if cart.id == visitor_cart_id), None)
    if visitor is not None and visitor.user_id not in (None, user_id):
        visitor = None
    kept = next((c for c in carts if c.user_id == user_id and c is not visitor), None)
    if visitor is None:
        return Settled(kept.id if kept else None)
    visitor.user_id = user_id
    if kept is None:
        db.session.flush()
        return Settled(visitor.id)
    if _is_paying(visitor.id, kept.id):
        db.session.flush()
        return Settled(visitor.id)
    return Settled(kept.id, _merge(visitor, kept))


def open_member_cart(user_id: uuid.UUID, visitor_cart_id: uuid.UUID | None, shop: Shop) -> Settled:
    """Return the cart that a member puts something into, a new one if there is none. Flushes."""
    settled = settle_cart(user_id, visitor_cart_id)
    if settled.cart_id is None:
        cart = open_cart(shop)
        cart.user_id = user_id
        db.session.flush()
        settled.cart_id = cart.id
    return settled


def find_member_cart(user_id: uuid.UUID) -> uuid.UUID | None:
    """Return the member's open cart, the last used if there are two."""
    return db.session.scalar(
        select(Cart.id)
        .where(Cart.user_id == user_id, Cart.state == CartState.OPEN, Cart.expires_at > clock.now())
        .order_by(Cart.updated_at.desc(), Cart.id)
        .limit(1)
    )


def _take_turns(user_id: uuid.UUID) -> None:
    """Two devices of one person may log in at once: the second finds what the first left."""
    db.session.execute(select(User.id).where(User.id == user_id).with_for_update(key_share=True))


def _lock_carts(user_id: uuid.UUID, visitor_cart_id: uuid.UUID | None) -> Sequence[Cart]:
    """Return the carts it is about, the last used first, locked in the order of their ids.

    Opening a checkout locks its cart too, so none can begin in between.
    """
    mine = Cart.user_id == user_id
    if visitor_cart_id is not None:
        mine = mine | (Cart.id == visitor_cart_id)
    carts = db.session.scalars(
        select(Cart)
        .where(mine, Cart.state == CartState.OPEN, Cart.expires_at > clock.now())
        .order_by(Cart.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    return sorted(carts, key=lambda cart: cart.updated_at, reverse=True)


def _is_paying(*cart_ids: uuid.UUID) -> bool:
    live = select(Checkout.id).where(Checkout.cart_id.in_(cart_ids), Checkout.state.in_(LIVE))
    return db.session.scalar(live.limit(1)) is not None


def _merge(visitor: Cart, kept: Cart) -> list[str]:
    """Move everything over; the emptied cart ends, so that doing it again changes nothing."""
    notices = _merge_lines(visitor, kept) + _merge_discounts(visitor, kept)
    if visitor.country is not None:
        kept.country, kept.shipping_code = visitor.country, visitor.shipping_code
    visitor.lines.clear()
    visitor.discounts.clear()
    visitor.expires_at = clock.now()
    kept.expires_at = expiry()
    db.session.flush()
    db.session.expire(kept)
    return notices


def _merge_lines(visitor: Cart, kept: Cart) -> list[str]:
    there = {line.sku_id: line for line in kept.lines}
    offers = list_offers([line.sku_id for line in visitor.lines])
    notices = []
    left_out = 0
    for line in list(visitor.lines):
        offer = offers.get(line.sku_id)
        same = there.get(line.sku_id)
        if same is None and len(there) >= MAX_LINES:
            left_out += 1
        elif same is None:
            there[line.sku_id] = _copy(line)
            kept.lines.append(there[line.sku_id])
        else:
            notices += _add_up(same, line, offer)
    if left_out:
        what = "1 item was" if left_out == 1 else f"{left_out} items were"
        notices.append(f"A cart holds {MAX_LINES} different items: {what} left out.")
    return notices


def _copy(line: CartSku) -> CartSku:
    return CartSku(
        sku_id=line.sku_id, quantity=line.quantity, seen_unit_amount=line.seen_unit_amount
    )


def _add_up(same: CartSku, line: CartSku, offer: Offer | None) -> list[str]:
    """Add two quantities as far as stock and the limit go, but never below what was there."""
    wanted = same.quantity + line.quantity
    most = MAX_QUANTITY
    if offer is not None and offer.available is not None:
        most = min(most, max(offer.available, 0))
    floor = max(same.quantity, line.quantity)
    same.quantity = max(floor, min(wanted, most))
    same.seen_unit_amount = line.seen_unit_amount
    if offer is None or same.quantity == wanted or most < floor:
        return []  # what can't be sent at all is told by the cart itself
    return [f"{offer.title}: {same.quantity} instead of {wanted}, as many as we can send."]


def _merge_discounts(visitor: Cart, kept: Cart) -> list[str]:
    """Take codes over where they may stand beside those that are there."""
    there = {each.discount_code_id for each in kept.discounts}
    wanted = [each.discount_code_id for each in visitor.discounts]
    ids = there.union(wanted)
    if not wanted:
        return []
    rows = db.session.scalars(select(DiscountCode).where(DiscountCode.id.in_(ids)))
    codes = {code.id: code for code in rows}
    notices = []
    for code in (codes[id_] for id_ in wanted if id_ not in there):
        valid = [codes[id_] for id_ in there if why_not(codes[id_], _ANY_AMOUNT) is None]
        if not _fits(code, valid, visitor, kept):
            notices.append(f"The code {code.code} can't be combined with what was in your cart.")
            continue
        if code.customer_limit is not None:
            kept.email = visitor.email
        kept.discounts.append(CartDiscount(discount_code_id=code.id))
        there.add(code.id)
    return notices


def _fits(code: DiscountCode, others: list[DiscountCode], visitor: Cart, kept: Cart) -> bool:
    if others and not (code.stackable and all(other.stackable for other in others)):
        return False
    # A code per customer binds the payment to an address, and there can be only one.
    bound = code.customer_limit is not None
    return not bound or kept.email in (None, visitor.email)
