"""What stands around every page: a view that has read it already leaves it here for the layout."""

import uuid
from typing import cast

from flask import g, has_request_context

from webapp.core.shop import get_shop
from webapp.orders.queries import count_cart
from webapp.storefront.cart_cookie import read_cart_id
from webapp.storefront.queries import Frame, ShopFace


def put_in_frame(frame: Frame) -> None:
    """Keep what this request's page has read of its frame."""
    g.frame = frame


def get_frame() -> Frame:
    """Return this request's frame, read once; outside a request there is no visitor."""
    if not has_request_context():
        return _read_frame(None)
    frame = g.get("frame")
    if frame is None:
        frame = g.frame = _read_frame(read_cart_id())
    return cast(Frame, frame)


def _read_frame(cart_id: uuid.UUID | None) -> Frame:
    shop = get_shop()
    face = ShopFace(
        name=shop.name,
        tagline=shop.tagline,
        support_email=shop.support_email,
        postal_address=shop.postal_address,
        locale=shop.locale,
        currency=shop.currency,
        accent=shop.accent,
        has_plans=shop.has_plans,
    )
    return Frame(face, count_cart(cart_id) if cart_id is not None else 0)
