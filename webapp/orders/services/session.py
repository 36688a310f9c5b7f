"""The Checkout Session at Stripe, made from a committed checkout row and nothing else."""

from typing import Any

from sqlalchemy import select

from webapp.accounts.models import User
from webapp.core.db import db
from webapp.core.state import current_config, current_fork
from webapp.orders.models import Cart, Checkout
from webapp.orders.pricing import Quote, QuoteLine
from webapp.payments import gateway


def create_stripe_session(checkout: Checkout) -> gateway.Session:
    """Open the row's session, or get the one opened before: everything comes from the row."""
    quote = Quote.from_json(checkout.quote)
    key, expires_at = checkout.idempotency_key, checkout.expires_at
    cart = db.session.get_one(Cart, checkout.cart_id)
    params = session_params(checkout, quote, cart.email or _member_email(cart))
    db.session.commit()  # no transaction stays open while Stripe is asked
    if quote.discount_amount:
        codes = ", ".join(each.code for each in quote.discounts)
        coupon = gateway.create_coupon(
            quote.discount_amount, quote.currency, codes, f"{key}-coupon"
        )
        params["discounts"] = [{"coupon": coupon}]
    params["expires_at"] = int(expires_at.timestamp())
    return gateway.create_session(params, key)


def _member_email(cart: Cart) -> str | None:
    """Return the verified address of whose cart it is: Stripe's page has it filled in.

    Should it change between two tries, Stripe refuses the second one's key; that takes the
    checkout back, and nobody has been sent to its page yet.
    """
    if cart.user_id is None:
        return None
    return db.session.scalar(
        select(User.email).where(
            User.id == cart.user_id, User.email_verified_at.is_not(None), User.active
        )
    )


def session_params(checkout: Checkout, quote: Quote, email: str | None) -> dict[str, Any]:
    """https://docs.stripe.com/api/checkout/sessions/create, apart from coupon and expiry."""
    base = current_config().base_url.rstrip("/")
    marks = {"fork": current_fork().name, "checkout": str(checkout.id)}
    lines = [_line_param(line, quote.currency) for line in quote.lines]
    if quote.tax_amount and not quote.tax_included:
        lines.append(_price_param(quote.tax_name or "Tax", quote.tax_amount, 1, quote.currency))
    params: dict[str, Any] = {
        "mode": "payment",
        "client_reference_id": str(checkout.id),
        "metadata": marks,
        "line_items": lines,
        "success_url": f"{base}/checkout/success?session_id={{CHECKOUT_SESSION_ID}}",
        "cancel_url": f"{base}/cart",
    }
    if quote.total_amount:
        params["payment_intent_data"] = {"metadata": marks}
    if email:
        params["customer_email"] = email
    if quote.shipping is not None and quote.country:
        params |= _shipping_params(quote, quote.country)
    return params


def _line_param(line: QuoteLine, currency: str) -> dict[str, Any]:
    item = line.item
    name = f"{item.title} ({item.options_text})" if item.options_text else item.title
    return _price_param(name[:250], item.unit_amount, item.quantity, currency)


def _price_param(name: str, unit_amount: int, quantity: int, currency: str) -> dict[str, Any]:
    return {
        "quantity": quantity,
        "price_data": {
            "currency": currency,
            "unit_amount": unit_amount,
            "product_data": {"name": name},
        },
    }


def _shipping_params(quote: Quote, country: str) -> dict[str, Any]:
    name = quote.shipping.name if quote.shipping else ""
    return {
        "shipping_address_collection": {"allowed_countries": [country]},
        "phone_number_collection": {"enabled": True},
        "shipping_options": [
            {
                "shipping_rate_data": {
                    "type": "fixed_amount",
                    "display_name": name[:100],
                    "fixed_amount": {
                        "amount": quote.shipping_amount,
                        "currency": quote.currency,
                    },
                }
            }
        ],
    }
