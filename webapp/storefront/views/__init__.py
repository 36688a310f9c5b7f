"""The pages a shopper walks through; each module adds its routes to the one blueprint."""

from webapp.storefront.views import (
    account,
    account_activity,
    account_addresses,
    account_mail,
    account_orders,
    browse,
    cart,
    checkout,
    contact,
    member_cart,
    site,
    terms,
)
from webapp.storefront.views.blueprint import blueprint

__all__ = [
    "account",
    "account_activity",
    "account_addresses",
    "account_mail",
    "account_orders",
    "blueprint",
    "browse",
    "cart",
    "checkout",
    "contact",
    "member_cart",
    "site",
    "terms",
]
