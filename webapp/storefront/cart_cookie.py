"""The cookie that remembers an anonymous visitor's cart: signed, and of no meaning elsewhere."""

import uuid

from flask import request
from werkzeug.wrappers import Response

from webapp.core.errors import DomainError
from webapp.core.signing import sign, unsign
from webapp.core.state import current_config, current_fork

KEEP_SECONDS = 30 * 24 * 3600
PURPOSE = "cart"


def cart_cookie_name() -> str:
    return current_fork().cookie_name(PURPOSE, secure=current_config().secure)


def read_cart_id() -> uuid.UUID | None:
    """Return the cart id in the visitor's cookie; None without one, or with one we didn't write."""
    token = request.cookies.get(cart_cookie_name())
    if not token:
        return None
    try:
        return uuid.UUID(unsign(PURPOSE, token, KEEP_SECONDS))
    except (DomainError, ValueError, TypeError, AttributeError):
        return None


def keep_cart(response: Response, cart_id: uuid.UUID) -> None:
    """Remember the cart for another 30 days."""
    response.set_cookie(
        cart_cookie_name(),
        sign(PURPOSE, str(cart_id)),
        max_age=KEEP_SECONDS,
        httponly=True,
        secure=current_config().secure,
        samesite="Lax",
    )


def forget_cart(response: Response) -> None:
    """Let the next purchase begin with a new cart."""
    response.delete_cookie(
        cart_cookie_name(), httponly=True, secure=current_config().secure, samesite="Lax"
    )
