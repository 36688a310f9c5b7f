"""A customer with a plan, as the tests of what they see need one."""

from dataclasses import dataclass
from typing import Any

import requests
import stripe

from tests.sandbox.stripe.desk import CARD, Shop

NEW_CARD = {name: CARD[name] for name in ("card_number", "expiry", "cvc", "name")}


@dataclass
class Member:
    """A customer with a plan, and a way into the portal."""

    shop: Shop
    customer: str
    subscription: str
    prices: dict[str, str]

    def open(self, **params: Any) -> str:
        whole: Any = {"customer": self.customer, "return_url": "https://shop.test/account"}
        whole |= params
        return self.shop.api.billing_portal.sessions.create(whole).url

    def plan(self) -> stripe.Subscription:
        return self.shop.api.subscriptions.retrieve(self.subscription)

    @property
    def item(self) -> str:
        return str(self.plan()["items"]["data"][0]["id"])


def join(shop: Shop, **more: Any) -> Member:
    api = shop.api
    product = api.products.create({"name": "Pro"})
    prices = {
        name: api.prices.create(
            {
                "currency": "eur",
                "unit_amount": amount,
                "product": product.id,
                "recurring": {"interval": "month"},
            }
        ).id
        for name, amount in (("small", 900), ("large", 2900))
    }
    who: Any = {"email": "bob@example.com", "name": "Bob", **more}
    customer = api.customers.create(who)
    method = api.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    api.customers.update(customer.id, {"invoice_settings": {"default_payment_method": method.id}})
    subscription = api.subscriptions.create(
        {"customer": customer.id, "items": [{"price": prices["small"]}]}
    )
    return Member(shop, customer.id, subscription.id, prices)


def post(url: str, **sent: str) -> requests.Response:
    return requests.post(url, data=sent, allow_redirects=False, timeout=60)
