"""The pages a shopper walks through; each module adds its routes to the one blueprint."""

from webapp.storefront.views import browse, cart, checkout, site
from webapp.storefront.views.blueprint import blueprint

__all__ = ["blueprint", "browse", "cart", "checkout", "site"]
