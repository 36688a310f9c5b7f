"""One module per resource of the API; importing this package fills the table of routes."""

from sandbox.stripe.resources import (
    balance_transactions,
    charges,
    checkout_sessions,
    coupons,
    customers,
    events,
    payment_intents,
    payment_methods,
    prices,
    products,
    promotion_codes,
    refunds,
    shipping_rates,
    tax_rates,
    webhook_endpoints,
)

__all__ = [
    "balance_transactions",
    "charges",
    "checkout_sessions",
    "coupons",
    "customers",
    "events",
    "payment_intents",
    "payment_methods",
    "prices",
    "products",
    "promotion_codes",
    "refunds",
    "shipping_rates",
    "tax_rates",
    "webhook_endpoints",
]
