"""Sales up to the moment Stripe has the money: what the benches of webhooks and orders start from.

Carts and checkouts are made by the shop's own services, payments by the Stripe sandbox.
"""

import json
import time
import uuid
from collections.abc import Sequence
from typing import Any

import requests
import stripe
from flask import Flask

from bench.ground import STRIPE_KEY, WEBHOOK_SECRET
from sandbox.processes import SandboxError

COMPLETED = "checkout.session.completed"
PATH = "/webhooks/stripe"
LINES = 2


def sell(app: Flask, stripe_url: str, count: int) -> list[dict[str, Any]]:
    """Make ``count`` paid sessions; returns their ``completed`` events, which nobody delivered."""
    with app.app_context():
        sessions = _open_checkouts(count)
    with requests.Session() as http:
        for number, session_id in enumerate(sessions):
            pay = f"{stripe_url}/_sandbox/sessions/{session_id}/pay"
            answer = http.post(pay, json={"email": f"buyer{number}@bench.example"}, timeout=20)
            if not answer.ok:
                raise SandboxError(f"A session couldn't be paid: {answer.text[:300]}")
    wanted = set(sessions)
    events = [event for event in _list_events(stripe_url) if _session_of(event) in wanted]
    if len(events) != count:
        raise SandboxError(f"{count} sessions were paid and {len(events)} have an event.")
    return events


def _open_checkouts(count: int) -> list[str]:
    from sqlalchemy import select

    from webapp.core.db import db
    from webapp.core.shop import get_shop
    from webapp.orders.models import Checkout
    from webapp.orders.queries import view_cart
    from webapp.orders.services.cart import add_to_cart, choose_shipping, open_cart
    from webapp.orders.services.checkout import open_checkout

    skus = _skus_on_sale()
    carts = []
    for number in range(count):
        cart_id = open_cart(get_shop()).id
        for line in range(LINES):
            add_to_cart(cart_id, skus[(number * LINES + line) % len(skus)], 1)
        choose_shipping(cart_id, "US", None, get_shop())
        db.session.commit()
        quote = view_cart(cart_id, get_shop()).quote
        db.session.commit()
        open_checkout(cart_id, quote.total_amount, quote.currency, None)
        carts.append(cart_id)
    found = db.session.scalars(
        select(Checkout.stripe_session_id).where(Checkout.cart_id.in_(carts))
    )
    return [session_id for session_id in found if session_id]


def _skus_on_sale() -> list[int]:
    from sqlalchemy import select

    from webapp.catalog.models import ProductSku
    from webapp.catalog.queries import list_offers
    from webapp.core.db import db

    offers = list_offers(list(db.session.scalars(select(ProductSku.sku_id))))
    found = sorted(
        offer.sku_id
        for offer in offers.values()
        if offer.published and offer.unit_amount and (offer.available or 0) > 1000
    )
    if len(found) < LINES:
        raise SandboxError("The catalogue has nothing in stock to sell.")
    return found


def _list_events(stripe_url: str) -> list[dict[str, Any]]:
    client = stripe.StripeClient(STRIPE_KEY, base_addresses={"api": stripe_url})
    page = client.v1.events.list({"limit": 100, "type": COMPLETED})
    return [event.to_dict() for event in page.auto_paging_iter()]


def _session_of(event: dict[str, Any]) -> str:
    return str(event["data"]["object"]["id"])


def multiply(event: dict[str, Any], count: int) -> list[bytes]:
    """Return the bodies of ``count`` events like ``event``, each with an id of its own."""
    pattern = json.dumps(event)
    ids = (f"evt_{uuid.uuid4().hex[:24]}" for _ in range(count))
    return [pattern.replace(str(event["id"]), each).encode() for each in ids]


def sign(bodies: Sequence[bytes], path: str = PATH) -> list[tuple[str, dict[str, str], bytes]]:
    """Return webhook requests as Stripe sends them, signed now: they are good for five minutes."""
    stamp = int(time.time())
    return [(path, _headers(body, stamp), body) for body in bodies]


def _headers(body: bytes, stamp: int) -> dict[str, str]:
    signed = f"{stamp}.{body.decode()}"
    signature = stripe.WebhookSignature._compute_signature(signed, WEBHOOK_SECRET)
    return {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "Stripe-Signature": f"t={stamp},v1={signature}",
    }
