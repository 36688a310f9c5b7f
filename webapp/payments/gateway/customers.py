"""Customers and the cards they left with Stripe."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from webapp.payments.gateway.client import Errors, client, fetch

if TYPE_CHECKING:
    from stripe.params import CustomerCreateParams


@dataclass(frozen=True, slots=True)
class Card:
    """A saved payment method as a person knows it. Other kinds than cards have only a brand."""

    id: str
    brand: str
    last4: str
    exp_month: int | None
    exp_year: int | None


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer, refetched. ``default_payment_method`` is the one for invoices."""

    id: str
    email: str
    deleted: bool
    default_payment_method: str | None
    card: Card | None
    metadata: dict[str, str]


def create_customer(email: str, name: str, metadata: dict[str, str], key: str) -> str:
    """Make a customer and return its id; the same key makes one, however often asked."""
    params: CustomerCreateParams = {"email": email, "metadata": metadata}
    if name:  # Stripe takes no empty one
        params["name"] = name
    with Errors():
        made = client().v1.customers.create(params, {"idempotency_key": key})
    return made.id


def get_customer(customer_id: str) -> Customer:
    """Refetch a customer; a deleted one says so. Raises NoSuchStripeObject."""
    expand = ["invoice_settings.default_payment_method"]
    body = fetch("customers", customer_id, expand=expand)
    if body.get("deleted"):
        return Customer(customer_id, "", True, None, None, {})
    method = (body.get("invoice_settings") or {}).get("default_payment_method")
    return Customer(
        id=body["id"],
        email=(body.get("email") or "").lower(),
        deleted=False,
        default_payment_method=method["id"] if isinstance(method, dict) else method,
        card=card_of(method) if isinstance(method, dict) else None,
        metadata=dict(body.get("metadata") or {}),
    )


def list_cards(customer_id: str) -> list[Card]:
    """Return the customer's payment methods, newest first."""
    with Errors():
        page = client().v1.customers.payment_methods.list(customer_id, {"limit": 100})
        return [card_of(found.to_dict()) for found in page.auto_paging_iter()]


def set_customer_card(customer_id: str, payment_method: str, key: str) -> None:
    """Make a payment method the one that invoices are charged to."""
    with Errors():
        client().v1.customers.update(
            customer_id,
            {"invoice_settings": {"default_payment_method": payment_method}},
            {"idempotency_key": key},
        )


def set_customer_email(customer_id: str, email: str) -> None:
    """Let Stripe write to another address; asked twice, it is the same address."""
    with Errors():
        client().v1.customers.update(customer_id, {"email": email})


def delete_customer(customer_id: str, key: str) -> None:
    """Delete a customer: Stripe cancels what they subscribe to and forgets their cards."""
    with Errors():
        client().v1.customers.delete(customer_id, None, {"idempotency_key": key})


def card_of(method: Mapping[str, Any]) -> Card:
    card = method.get("card") or {}
    return Card(
        id=method["id"],
        brand=card.get("brand") or method.get("type") or "",
        last4=card.get("last4") or "",
        exp_month=card.get("exp_month"),
        exp_year=card.get("exp_year"),
    )
