"""Stripe's own pages for customers, and the coupons that make somebody stay."""

from typing import TYPE_CHECKING, Any, cast

from webapp.payments.gateway.client import Errors, client

if TYPE_CHECKING:
    from stripe.params import CouponCreateParams
    from stripe.params.billing_portal import SessionCreateParams


def create_portal_session(
    customer_id: str, return_url: str, flow: dict[str, Any] | None = None
) -> str:
    """Return the address of the billing portal for a customer; it opens for a short time."""
    params: dict[str, Any] = {"customer": customer_id, "return_url": return_url}
    if flow:
        params["flow_data"] = flow
    with Errors():
        made = client().v1.billing_portal.sessions.create(cast("SessionCreateParams", params))
    return made.url


def create_percent_coupon(percent: int, months: int | None, name: str, key: str) -> str:
    """Make a coupon of ``percent`` off for ``months``, or for one invoice; returns its id."""
    terms: dict[str, Any] = {"duration": "once"}
    if months is not None:
        terms = {"duration": "repeating", "duration_in_months": months}
    params = {"percent_off": percent, "max_redemptions": 1, "name": name[:40], **terms}
    with Errors():
        made = client().v1.coupons.create(
            cast("CouponCreateParams", params), {"idempotency_key": key}
        )
    return made.id
