"""The cart follows its member: it is found again on login, and stays with them on logout."""

import uuid

from flask import after_this_request, flash, has_request_context
from flask_login import current_user
from werkzeug.wrappers import Response

from webapp.accounts.models import User
from webapp.accounts.signals import logged_in, logged_out
from webapp.core.shop import get_shop
from webapp.orders.queries import find_cart, is_anothers_cart
from webapp.orders.services import cart as carts
from webapp.orders.services.cart_merging import (
    Settled,
    find_member_cart,
    open_member_cart,
    settle_cart,
)
from webapp.storefront.cart_cookie import forget_cart, keep_cart, read_cart_id


@logged_in.connect
def bring_carts_together(_sender: object, user: User) -> None:
    if not has_request_context():
        return
    settled = settle_cart(user.id, read_cart_id())
    _tell(settled)
    _point_cookie_at(settled.cart_id)


@logged_out.connect
def leave_no_cart_behind(_sender: object, **_about: object) -> None:
    if has_request_context():
        _point_cookie_at(None)


def find_visitors_cart() -> uuid.UUID | None:
    """Return the cart of the cookie; None where it is a member's who isn't logged in here.

    A login may end without a logout: unused for too long, or from another device. Whoever sits
    at the browser then neither sees that cart nor buys in the member's name.
    """
    cart_id = read_cart_id()
    user_id = current_user.id if current_user.is_authenticated else None
    return None if cart_id is not None and is_anothers_cart(cart_id, user_id) else cart_id


def open_visitors_cart() -> uuid.UUID:
    """Return the cart that this visitor puts something into, a new one where there is none."""
    if current_user.is_authenticated:
        settled = open_member_cart(current_user.id, read_cart_id(), get_shop())
        _tell(settled)
        if settled.cart_id is not None:
            return settled.cart_id
    found = find_cart(find_visitors_cart())
    return found.id if found is not None else carts.open_cart(get_shop()).id


def find_cart_elsewhere() -> uuid.UUID | None:
    """Return the cart that the member filled on another device; None for a mere visitor."""
    return find_member_cart(current_user.id) if current_user.is_authenticated else None


def _tell(settled: Settled) -> None:
    for sentence in settled.notices:
        flash(sentence, "warning")


def _point_cookie_at(cart_id: uuid.UUID | None) -> None:
    @after_this_request
    def change(response: Response) -> Response:
        if cart_id is None:
            forget_cart(response)
        else:
            keep_cart(response, cart_id)
        return response
