"""Checkout Sessions: opened, refetched, closed, listed; and the coupon that carries a discount."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from webapp.payments.gateway.client import Errors, client, id_of

if TYPE_CHECKING:
    from stripe.params.checkout import SessionCreateParams

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
    """A Checkout Session, refetched. ``status``: open, complete, expired. Minor units.

    ``payment_method`` is what a session in setup mode saved.
    """

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
    mode: str
    customer: str | None
    subscription: str | None
    setup_intent: str | None
    payment_method: str | None
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


def create_session(params: dict[str, Any], idempotency_key: str) -> Session:
    """Open a Checkout Session. Same key, same params: the same session, however often called.

    Raises StripeUnavailable when it is unknown whether it was made, StripeRefused when not.
    """
    with Errors():
        made = client().v1.checkout.sessions.create(
            cast("SessionCreateParams", params),
            {"idempotency_key": idempotency_key},
        )
    return _session(made)


def get_session(session_id: str) -> Session:
    """Refetch a Checkout Session. Raises NoSuchStripeObject, StripeUnavailable."""
    with Errors():
        return _session(
            client().v1.checkout.sessions.retrieve(
                session_id, {"expand": ["payment_intent", "setup_intent"]}
            )
        )


def expire_session(session_id: str) -> Session:
    """Close an open session so that it can't be paid any more.

    Raises StripeRefused when it is not open: refetch it to learn whether it was paid.
    """
    with Errors():
        return _session(client().v1.checkout.sessions.expire(session_id))


def list_sessions(since: datetime) -> Iterator[Session]:
    """Yield all complete sessions made after ``since``, newest first, page by page."""
    with Errors():
        page = client().v1.checkout.sessions.list(
            {"created": {"gte": int(since.timestamp())}, "status": "complete", "limit": 100}
        )
        for found in page.auto_paging_iter():
            yield _session(found)


def list_session_lines(session_id: str) -> list[SessionLine]:
    with Errors():
        page = client().v1.checkout.sessions.line_items.list(session_id, {"limit": 100})
        return [
            SessionLine(item.description or "", item.quantity or 1, item.amount_total)
            for item in page.auto_paging_iter()
        ]


def create_coupon(amount: int, currency: str, name: str, idempotency_key: str) -> str:
    """Make the one-off coupon that carries a checkout's discounts; returns its id."""
    with Errors():
        made = client().v1.coupons.create(
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
        payment_intent=id_of(found.payment_intent),
        payment_intent_status=getattr(found.payment_intent, "status", None),
        mode=found.mode,
        customer=id_of(found.customer),
        subscription=id_of(found.subscription),
        setup_intent=id_of(found.setup_intent),
        payment_method=id_of(getattr(found.setup_intent, "payment_method", None)),
        metadata=dict(found.metadata.to_dict()) if found.metadata else {},
        email=((details.email if details else None) or found.customer_email or "").lower(),
        phone=(details.phone if details else None) or "",
        name=(details.name if details else None) or "",
        shipping=_address(shipping.name, shipping.address) if shipping else None,
        billing=_address(details.name if details else "", details.address if details else None),
    )
