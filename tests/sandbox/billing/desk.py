"""A sandbox without sockets and threads: the official client talks to it in the process."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import stripe

from sandbox.stripe import contract
from sandbox.stripe.api import Api
from sandbox.stripe.machine import Exchange, Machine
from sandbox.stripe.messages import Request
from sandbox.stripe.resources import payment_methods
from sandbox.stripe.store import Json, Row
from tests.sandbox.stripe.desk import broken

KEY = "sk_test_billing_desk"
DAY = 86_400
HOUR = 3600
CARD = "4242424242424242"


def at(text: str) -> int:
    """A timestamp from `2027-01-31 10:00`."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def day(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M:%S")


class Wire(stripe.HTTPClient):
    """Carries the client's requests to the API without a network."""

    name = "wire"

    def __init__(self, api: Api) -> None:
        super().__init__()
        self.api = api

    def request(
        self, method: str, url: str, headers: Any, post_data: Any = None, **_more: Any
    ) -> tuple[str, int, dict[str, str]]:
        parts = urlsplit(url)
        body = (post_data or "").encode()
        request = Request(method.upper(), parts.path, parts.query, headers, body)
        answer = self.api.answer(request)
        return answer.body.decode(), answer.status, answer.headers


@dataclass
class Desk:
    """One account whose clock stands still until it is moved."""

    folder: Path
    calls: list[Exchange] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.machine = Machine(self.folder, on_exchange=self.calls.append)
        self.account = self.machine.ensure_key(KEY)
        self.wire = Wire(Api(self.machine))
        self.api = stripe.StripeClient(KEY, http_client=self.wire).v1
        self.go_to(at("2027-01-31 10:00"))

    def close(self) -> None:
        self.machine.store.close()

    # Time

    @property
    def now(self) -> int:
        return self.machine.clock.now()

    def go_to(self, moment: int) -> None:
        self.machine.move_clock(moment - time.time())
        self.machine.clock.held = moment

    def pass_(self, days: float = 0, hours: float = 0) -> None:
        self.go_to(int(self.now + days * DAY + hours * HOUR))

    # Catalogue and customers

    def price(self, amount: int = 900, interval: str = "month", **more: Any) -> str:
        params: Any = {
            "product": self.api.products.create({"name": "Gold"}).id,
            "currency": "eur",
            "unit_amount": amount,
            "recurring": {"interval": interval},
            **more,
        }
        return self.api.prices.create(params).id

    def customer(self, number: str | None = CARD, **more: Any) -> str:
        params: Any = {"email": "alice@example.com", **more}
        customer = self.api.customers.create(params).id
        if number:
            self.give_card(customer, number)
        return customer

    def give_card(self, customer: str, number: str = CARD, year: int = 2050) -> str:
        """Attach a card and make it the customer's default."""
        with self.machine.world(self.account) as world:
            billing = payment_methods.billing_details({})
            method = payment_methods.new_card(world, number, 12, year, billing)
        self.api.payment_methods.attach(method.id, {"customer": customer})
        settings: Any = {"default_payment_method": method.id}
        self.api.customers.update(customer, {"invoice_settings": settings})
        return method.id

    def spoil(self, method: str, code: str | None, times: int | None = None) -> None:
        with self.machine.world(self.account) as world:
            row = world.get("payment_method", method)
            payment_methods.decline_from_now(world, row, code, times)

    # Subscriptions

    def subscribe(self, customer: str, *prices: str, **more: Any) -> stripe.Subscription:
        params: Any = {
            "customer": customer,
            "items": [{"price": price} for price in prices],
            **more,
        }
        return self.api.subscriptions.create(params)

    def again(self, subscription: stripe.Subscription) -> stripe.Subscription:
        return self.api.subscriptions.retrieve(subscription.id)

    def status(self, subscription: stripe.Subscription) -> str:
        return str(self.again(subscription).status)

    def invoices(self, subscription: stripe.Subscription) -> list[stripe.Invoice]:
        """The subscription's invoices, oldest first."""
        found = self.api.invoices.list({"subscription": subscription.id, "limit": 100}).data
        return found[::-1]

    def latest(self, subscription: stripe.Subscription) -> stripe.Invoice:
        return self.invoices(subscription)[-1]

    # What happened

    def events(self) -> list[Row]:
        with self.machine.world(self.account) as world:
            return world.rows("event")[::-1]

    def told(self, since: int = 0) -> list[str]:
        """Types of the events from a moment on, oldest first."""
        return [e.body["type"] for e in self.events() if e.body["created"] >= since]

    def violations(self) -> list[str]:
        """What breaks the wheel's types: in any call, and in one event of each type."""
        found = broken(self.calls)
        samples: dict[str, Json] = {e.body["type"]: e.body for e in self.events()}
        for type, body in samples.items():
            found += [f"{type}: {text}" for text in contract.object_violations(body)]
        return found


def period(subscription: stripe.Subscription) -> tuple[str, str]:
    item = subscription["items"].data[0]
    return day(item.current_period_start), day(item.current_period_end)


def item_of(subscription: stripe.Subscription) -> str:
    return str(subscription["items"].data[0].id)


def amounts(invoice: stripe.Invoice) -> list[int]:
    return [line.amount for line in invoice.lines.data]
