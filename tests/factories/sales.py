"""A sale in steps, through the front doors where there are any."""

import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

import requests
import stripe
from flask.testing import FlaskClient
from sqlalchemy import select

from webapp.core.db import db
from webapp.core.models import Shop
from webapp.orders.models import Checkout, ShippingMethod
from webapp.orders.queries import view_cart
from webapp.orders.services.cart import add_to_cart, choose_shipping, open_cart
from webapp.orders.services.checkout import open_checkout

WEBHOOK_SECRET = "whsec_tests"


def make_shipping(code: str = "standard", amount: int = 590, **values: Any) -> ShippingMethod:
    method = ShippingMethod(code=code, name=code.title(), unit_amount=amount, **values)
    db.session.add(method)
    db.session.commit()
    return method


def make_cart(*lines: tuple[int, int], country: str = "US") -> uuid.UUID:
    """Return the id of a cart with ``(sku_id, quantity)`` lines, to be sent to ``country``."""
    shop = db.session.get_one(Shop, 1)
    cart_id = open_cart(shop).id
    for sku_id, quantity in lines:
        add_to_cart(cart_id, sku_id, quantity)
    choose_shipping(cart_id, country, None, shop)
    db.session.commit()
    return cart_id


def check_out(cart_id: uuid.UUID) -> Checkout:
    """Open the checkout for what the cart costs now; returns its row."""
    quote = view_cart(cart_id, db.session.get_one(Shop, 1)).quote
    db.session.commit()
    open_checkout(cart_id, quote.total_amount, quote.currency, None)
    newest = select(Checkout).where(Checkout.cart_id == cart_id).order_by(Checkout.id.desc())
    checkout = db.session.scalars(newest.limit(1)).one()
    db.session.commit()
    return checkout


@dataclass(frozen=True)
class StripeDesk:
    """What a test does on Stripe's side: pay, expire, and carry the events over."""

    url: str
    key: str

    def control(self, path: str, **body: object) -> dict[str, Any]:
        answer = requests.post(f"{self.url}/_sandbox/{path}", json=body, timeout=60)
        assert answer.ok, answer.text
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found

    def pay(self, checkout: Checkout, **how: object) -> None:
        how.setdefault("email", "alice@example.com")
        self.control(f"sessions/{checkout.stripe_session_id}/pay", **how)

    def expire(self, checkout: Checkout) -> None:
        self.control(f"sessions/{checkout.stripe_session_id}/expire")

    def settle_async(self, checkout: Checkout, outcome: str) -> None:
        self.control(f"sessions/{checkout.stripe_session_id}/async", outcome=outcome)

    @property
    def client(self) -> stripe.StripeClient:
        return stripe.StripeClient(self.key, base_addresses={"api": self.url})

    def events(self, *types: str) -> list[dict[str, Any]]:
        """Return the events so far, oldest first, as the JSON that Stripe sends."""
        found = self.client.v1.events.list({"limit": 100}).data
        plain = [event.to_dict(for_json=True) for event in found]
        return [event for event in reversed(plain) if not types or event["type"] in types]

    def deliver(self, client: FlaskClient, *types: str) -> list[int]:
        """Send the events to the webhook; returns the answers' statuses."""
        return [deliver(client, event).status_code for event in self.events(*types)]


def sign_payload(body: bytes, secret: str = WEBHOOK_SECRET, at: int | None = None) -> str:
    """Return a Stripe-Signature header: https://docs.stripe.com/webhooks#verify-manually."""
    stamp = int(time.time()) if at is None else at
    payload = f"{stamp}.{body.decode()}"
    signature = stripe.WebhookSignature._compute_signature(payload, secret)
    return f"t={stamp},v1={signature}"


def deliver(client: FlaskClient, event: dict[str, Any], **headers: str) -> Any:
    body = json.dumps(event).encode()
    signed = {"Stripe-Signature": sign_payload(body), "Content-Type": "application/json"}
    return client.post("/webhooks/stripe", data=body, headers=signed | headers)
