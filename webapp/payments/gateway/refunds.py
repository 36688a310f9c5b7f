"""Money given back."""

from dataclasses import dataclass
from typing import Any

from webapp.payments.gateway.client import Errors, client, id_of


@dataclass(frozen=True, slots=True)
class Refund:
    """A Refund; ``status``: pending, requires_action, succeeded, failed, canceled."""

    id: str
    amount: int
    status: str
    payment_intent: str | None
    reason: str
    key: str | None


def create_refund(payment_intent: str, amount: int, idempotency_key: str) -> Refund:
    """Give ``amount`` of a payment back. The key makes asking twice harmless."""
    with Errors():
        made = client().v1.refunds.create(
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
    with Errors():
        page = client().v1.refunds.list({"payment_intent": payment_intent, "limit": 100})
        return [_refund(found) for found in page.auto_paging_iter()]


def _refund(found: Any) -> Refund:
    metadata = found.metadata.to_dict() if found.metadata else {}
    return Refund(
        id=found.id,
        amount=found.amount,
        status=found.status or "pending",
        payment_intent=id_of(found.payment_intent),
        reason=found.reason or "",
        key=metadata.get("idempotency_key"),
    )
