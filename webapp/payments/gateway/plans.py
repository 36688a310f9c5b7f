"""Products and recurring prices: our plans as Stripe knows them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from webapp.payments.gateway.client import Errors, client, id_of

if TYPE_CHECKING:
    from stripe.params import ProductCreateParams


@dataclass(frozen=True, slots=True)
class StripeProduct:
    id: str
    name: str
    description: str
    active: bool


@dataclass(frozen=True, slots=True)
class StripePrice:
    """A recurring price; Stripe never changes its amount, it only stops selling it."""

    id: str
    product: str
    unit_amount: int
    currency: str
    interval: str
    active: bool
    metadata: dict[str, str]


def create_product(name: str, description: str, metadata: dict[str, str], key: str) -> str:
    """Make a product and return its id; the same key makes one, however often asked."""
    params: dict[str, Any] = {"name": name, "metadata": metadata}
    # Stripe takes no empty description.
    if description:
        params["description"] = description
    with Errors():
        made = client().v1.products.create(
            cast("ProductCreateParams", params), {"idempotency_key": key}
        )
    return made.id


def update_product(product_id: str, name: str, description: str, active: bool, key: str) -> None:
    with Errors():
        client().v1.products.update(
            product_id,
            {"name": name, "description": description, "active": active},
            {"idempotency_key": key},
        )


def get_product(product_id: str) -> StripeProduct:
    """Refetch a product. Raises NoSuchStripeObject, also for a deleted one."""
    with Errors():
        found = client().v1.products.retrieve(product_id)
    return StripeProduct(found.id, found.name, found.description or "", found.active)


def create_price(
    product_id: str,
    unit_amount: int,
    currency: str,
    interval: str,
    metadata: dict[str, str],
    key: str,
) -> str:
    """Make a recurring price and return its id."""
    with Errors():
        made = client().v1.prices.create(
            {
                "product": product_id,
                "unit_amount": unit_amount,
                "currency": currency,
                "recurring": {"interval": interval},
                "metadata": metadata,
            },
            {"idempotency_key": key},
        )
    return made.id


def set_price_active(price_id: str, active: bool, key: str) -> None:
    """Sell a price or stop selling it; who has it keeps it."""
    with Errors():
        client().v1.prices.update(price_id, {"active": active}, {"idempotency_key": key})


def get_price(price_id: str) -> StripePrice:
    with Errors():
        return _price(client().v1.prices.retrieve(price_id))


def list_prices(product_id: str) -> list[StripePrice]:
    """Return all prices of a product, also those no longer sold."""
    with Errors():
        page = client().v1.prices.list({"product": product_id, "limit": 100})
        return [_price(found) for found in page.auto_paging_iter()]


def _price(found: Any) -> StripePrice:
    return StripePrice(
        id=found.id,
        product=str(id_of(found.product)),
        unit_amount=found.unit_amount or 0,
        currency=found.currency,
        interval=found.recurring.interval if found.recurring else "",
        active=found.active,
        metadata=dict(found.metadata.to_dict()) if found.metadata else {},
    )
