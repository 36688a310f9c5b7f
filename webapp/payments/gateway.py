"""The only door to Stripe: calls in our words, answers as values, errors in two kinds.

Network happens here and nowhere inside a transaction. Source of every field:
https://docs.stripe.com/api, version as pinned by the stripe package.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import stripe
from flask import current_app

from webapp.core import clock
from webapp.core.config import Config
from webapp.core.state import current_config
from webapp.payments.errors import (
    InvalidWebhook,
    NoSuchStripeObject,
    StripeRefused,
    StripeUnavailable,
)

if TYPE_CHECKING:
    from stripe.params.checkout import SessionCreateParams

EXTENSION = "stripe"
SIGNATURE_TOLERANCE_SECONDS = 300
# A clock may run a little ahead of ours; more than this is no clock but a forger.
FUTURE_TOLERANCE_SECONDS = 60
PAID = ("paid", "no_payment_required")


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address as Stripe gives it, every part a string."""

    name: str = ""
    line1: str = ""
    line2: str = ""
    city: str = ""
    state: str = ""
    postal_code: str = ""
    country: str = ""


@dataclass(frozen=True, slots=True)
class SessionLine:
    """A line of a Checkout Session, for the rare order whose cart we no longer know."""

    description: str
    quantity: int
    amount_total: int


@dataclass(frozen=True, slots=True)
class Session:
    """A Checkout Session, refetched. ``status``: open, complete, expired. Minor units."""

    id: str
    status: str
    payment_status: str
    amount_total: int
    amount_shipping: int
    currency: str
    url: str | None
    created: datetime
    expires_at: datetime
    payment_intent: str | None
    payment_intent_status: str | None
    metadata: dict[str, str]
    email: str
    phone: str
    name: str
    shipping: Address | None
    billing: Address

    @property
    def paid(self) -> bool:
        return self.status == "complete" and self.payment_status in PAID

    @property
    def payment_failed(self) -> bool:
        """Completed with a slow payment method whose money will not come."""
        dead = ("requires_payment_method", "canceled")
        return self.status == "complete" and not self.paid and self.payment_intent_status in dead

    @property
    def processing(self) -> bool:
        """Completed with a slow payment method whose money has not arrived yet."""
        return self.status == "complete" and not self.paid and not self.payment_failed


@dataclass(frozen=True, slots=True)
class Refund:
    """A Refund; ``status``: pending, requires_action, succeeded, failed, canceled."""

    id: str
    amount: int
    status: str
    payment_intent: str | None
    reason: str
    key: str | None


@dataclass(frozen=True, slots=True)
class Event:
    """A verified event: its envelope is trusted, its object is refetched before use."""

    id: str
    type: str
    created: datetime
    livemode: bool
    object_id: str | None
    payload: dict[str, Any]


def _client() -> stripe.StripeClient:
    client: stripe.StripeClient | None = current_app.extensions.get(EXTENSION)
    if client is None:
        client = current_app.extensions[EXTENSION] = _connect(current_config())
    return client


def _connect(config: Config) -> stripe.StripeClient:
    timeout = config.stripe_timeout_seconds
    http = stripe.RequestsClient(timeout=timeout, async_fallback_client=None)
    if not config.stripe_api_base:
        return stripe.StripeClient(config.stripe_secret_key, http_client=http)
    base = config.stripe_api_base
    return stripe.StripeClient(
        config.stripe_secret_key,
        http_client=http,
        base_addresses={"api": base, "connect": base, "files": base, "meter_events": base},
    )


class _Errors:
    """Turns the SDK's errors into ours: refused for good, or unknown and to be asked again."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        if not isinstance(error, stripe.StripeError):
            return
        message = error.user_message or str(error)
        if isinstance(error, stripe.APIConnectionError | stripe.RateLimitError):
            raise StripeUnavailable(f"Stripe did not answer: {message}") from error
        status = error.http_status or 500
        # 409: another request with the same idempotency key is still under way. 401 and 403: our
        # own key is wrong just now, which says nothing about the payment.
        if status >= 500 or status in (401, 403, 409):
            raise StripeUnavailable(f"Stripe could not answer: {message}") from error
        if status == 404:
            raise NoSuchStripeObject(message) from error
        raise StripeRefused(message) from error


def create_session(params: dict[str, Any], idempotency_key: str) -> Session:
    """Open a Checkout Session. Same key, same params: the same session, however often called.

    Raises StripeUnavailable when it is unknown whether it was made, StripeRefused when not.
    """
    with _Errors():
        made = _client().v1.checkout.sessions.create(
            cast("SessionCreateParams", params),
            {"idempotency_key": idempotency_key},
        )
    return _session(made)


def get_session(session_id: str) -> Session:
    """Refetch a Checkout Session. Raises NoSuchStripeObject, StripeUnavailable."""
    with _Errors():
        return _session(
            _client().v1.checkout.sessions.retrieve(session_id, {"expand": ["payment_intent"]})
        )


def expire_session(session_id: str) -> Session:
    """Close an open session so that it can't be paid any more.

    Raises StripeRefused when it is not open: refetch it to learn whether it was paid.
    """
    with _Errors():
        return _session(_client().v1.checkout.sessions.expire(session_id))


def list_sessions(since: datetime) -> Iterator[Session]:
    """Yield all complete sessions made after ``since``, newest first, page by page."""
    with _Errors():
        page = _client().v1.checkout.sessions.list(
            {"created": {"gte": int(since.timestamp())}, "status": "complete", "limit": 100}
        )
        for found in page.auto_paging_iter():
            yield _session(found)


def list_session_lines(session_id: str) -> list[SessionLine]:
    with _Errors():
        page = _client().v1.checkout.sessions.line_items.list(session_id, {"limit": 100})
        return [
            SessionLine(item.description or "", item.quantity or 1, item.amount_total)
            for item in page.auto_paging_iter()
        ]


def create_coupon(amount: int, currency: str, name: str, idempotency_key: str) -> str:
    """Make the one-off coupon that carries a checkout's discounts; returns its id."""
    with _Errors():
        made = _client().v1.coupons.create(
            {
                "amount_off": amount,
                "currency": currency,
                "duration": "once",
                "max_redemptions": 1,
                "name": name[:40],
            },
            {"idempotency_key": idempotency_key},
        )
    return made.id


def create_refund(payment_intent: str, amount: int, idempotency_key: str) -> Refund:
    """Give ``amount`` of a payment back. The key makes asking twice harmless."""
    with _Errors():
        made = _client().v1.refunds.create(
            {
                "payment_intent": payment_intent,
                "amount": amount,
                "metadata": {"idempotency_key": idempotency_key},
            },
            {"idempotency_key": idempotency_key},
        )
    return _refund(made)


def list_refunds(payment_intent: str) -> list[Refund]:
    """Return every refund of a payment, also those made in Stripe's dashboard."""
    with _Errors():
        page = _client().v1.refunds.list({"payment_intent": payment_intent, "limit": 100})
        return [_refund(found) for found in page.auto_paging_iter()]


def verify_event(body: bytes, signature: str, secrets: list[str]) -> Event:
    """Return the event in a signed webhook request. Raises InvalidWebhook with the reason.

    https://docs.stripe.com/webhooks#verify-manually. The SDK accepts signatures from the
    future; we don't.
    """
    if not any(_signed_with(body, signature, secret) for secret in secrets):
        raise InvalidWebhook("the signature is missing, wrong or stale")
    if _signed_at(signature) > clock.now() + timedelta(seconds=FUTURE_TOLERANCE_SECONDS):
        raise InvalidWebhook("the signature is dated in the future")
    try:
        payload = json.loads(body)
        return _event(payload)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        raise InvalidWebhook("the body is not an event") from None


def _signed_with(body: bytes, signature: str, secret: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(
            body.decode(), signature, secret, SIGNATURE_TOLERANCE_SECONDS
        )
    except (stripe.SignatureVerificationError, ValueError):
        return False
    return True


def _signed_at(signature: str) -> datetime:
    stamp = next((part[2:] for part in signature.split(",") if part.startswith("t=")), "")
    try:
        return datetime.fromtimestamp(int(stamp), UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidWebhook("the signature has no time") from None


def _event(payload: dict[str, Any]) -> Event:
    if payload.get("object") != "event" or not str(payload["id"]).startswith("evt_"):
        raise ValueError("not an event")
    return Event(
        id=str(payload["id"]),
        type=str(payload["type"]),
        created=datetime.fromtimestamp(int(payload["created"]), UTC),
        livemode=bool(payload["livemode"]),
        object_id=payload["data"]["object"].get("id"),
        payload=payload,
    )


def _id(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value.id)


def _address(name: str | None, address: Any) -> Address:
    def part(key: str) -> str:
        return getattr(address, key, None) or ""

    return Address(
        name=name or "",
        line1=part("line1"),
        line2=part("line2"),
        city=part("city"),
        state=part("state"),
        postal_code=part("postal_code"),
        country=part("country"),
    )


def _session(found: Any) -> Session:
    details = found.customer_details
    collected = found.collected_information
    shipping = collected.shipping_details if collected else None
    return Session(
        id=found.id,
        status=found.status or "open",
        payment_status=found.payment_status,
        amount_total=found.amount_total or 0,
        amount_shipping=found.total_details.amount_shipping or 0 if found.total_details else 0,
        currency=found.currency or "",
        url=found.url,
        created=datetime.fromtimestamp(found.created, UTC),
        expires_at=datetime.fromtimestamp(found.expires_at, UTC),
        payment_intent=_id(found.payment_intent),
        payment_intent_status=getattr(found.payment_intent, "status", None),
        metadata=dict(found.metadata.to_dict()) if found.metadata else {},
        email=((details.email if details else None) or found.customer_email or "").lower(),
        phone=(details.phone if details else None) or "",
        name=(details.name if details else None) or "",
        shipping=_address(shipping.name, shipping.address) if shipping else None,
        billing=_address(details.name if details else "", details.address if details else None),
    )


def _refund(found: Any) -> Refund:
    metadata = found.metadata.to_dict() if found.metadata else {}
    return Refund(
        id=found.id,
        amount=found.amount,
        status=found.status or "pending",
        payment_intent=_id(found.payment_intent),
        reason=found.reason or "",
        key=metadata.get("idempotency_key"),
    )
