"""What the sandbox's tests share: a shop of its own per test, and an ear for webhooks."""

import json
import threading
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Self

import requests
import stripe
from selectolax.lexbor import LexborHTMLParser as HTMLParser

from sandbox.stripe import contract
from sandbox.stripe.machine import Exchange
from sandbox.stripe.server import StripeSandbox
from tests.listening import RoomyServer

CARD = {
    "email": "alice@example.com",
    "name": "Alice Example",
    "line1": "1 Main Street",
    "city": "Springfield",
    "state": "IL",
    "postal_code": "62701",
    "country": "US",
    "phone": "+12175550100",
    "card_number": "4242424242424242",
    "expiry": "12/34",
    "cvc": "123",
}


@dataclass
class Ear:
    """A webhook receiver on loopback; `answers` are statuses to give first, then 200s."""

    answers: list[int] = field(default_factory=list)
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def __enter__(self) -> Self:
        ear = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                ear.heard.append((dict(self.headers), body))
                self.send_response(ear.answers.pop(0) if ear.answers else 200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = RoomyServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.heard]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]


def plain(value: stripe.StripeObject | None) -> dict[str, Any]:
    """A hash of the client's as the dict it stands for."""
    assert value is not None
    return dict(value.to_dict())


def words(response: requests.Response) -> str:
    """What a page says, a space between its pieces."""
    body = HTMLParser(response.text).body
    return " ".join(body.text(separator=" ").split()) if body else ""


def client_of(sandbox: StripeSandbox, key: str) -> stripe.StripeClient:
    return stripe.StripeClient(key, base_addresses={"api": sandbox.url})


@dataclass
class Shop:
    """One account of a sandbox, seen through the official client."""

    sandbox: StripeSandbox
    key: str = field(default_factory=lambda: f"sk_test_{uuid.uuid4().hex}")
    seen: list[Exchange] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.control("keys", key=self.key)
        self.api = client_of(self.sandbox, self.key).v1

    def control(self, path: str, **body: Any) -> dict[str, Any]:
        response = requests.post(f"{self.sandbox.url}/_sandbox/{path}", json=body, timeout=60)
        answer: dict[str, Any] = response.json()
        assert response.status_code == 200, answer
        return answer

    def listen(self, ear: Ear, *types: str) -> str:
        """Register the ear for types (all by default); returns the signing secret."""
        wanted: Any = list(types) or ["*"]
        endpoint = self.api.webhook_endpoints.create({"url": ear.url, "enabled_events": wanted})
        assert endpoint.secret
        return endpoint.secret

    def session(self, **changes: Any) -> stripe.checkout.Session:
        params: Any = {
            "mode": "payment",
            "success_url": "https://shop.test/thanks?session={CHECKOUT_SESSION_ID}",
            "cancel_url": "https://shop.test/cart",
            "line_items": [line(2000)],
            **changes,
        }
        return self.api.checkout.sessions.create(params)

    def pay(self, session: stripe.checkout.Session, **changes: str) -> requests.Response:
        """Post the hosted page's form as a browser would."""
        assert session.url
        return requests.post(
            session.url, data={**CARD, **changes}, allow_redirects=False, timeout=60
        )

    def paid(self, **changes: Any) -> stripe.checkout.Session:
        session = self.session(**changes)
        assert self.control(f"sessions/{session.id}/pay")["outcome"] == "completed"
        return self.again(session)

    def again(self, session: stripe.checkout.Session, *expand: str) -> stripe.checkout.Session:
        return self.api.checkout.sessions.retrieve(session.id, {"expand": list(expand)})

    def event_types(self) -> list[str]:
        """Types of this account's events, oldest first."""
        return [str(event.type) for event in self.api.events.list({"limit": 100}).data][::-1]

    def raw(self, method: str, path: str, data: Any = None, **headers: str) -> requests.Response:
        return requests.request(
            method,
            self.sandbox.url + path,
            data=data,
            headers={"Authorization": f"Bearer {self.key}", **headers},
            timeout=60,
        )


def line(amount: int, quantity: int = 1, currency: str = "usd", **more: Any) -> dict[str, Any]:
    product = {"name": "Blue shirt"}
    price = {"currency": currency, "unit_amount": amount, "product_data": product}
    return {"price_data": price, "quantity": quantity, **more}


def broken(exchanges: list[Exchange]) -> list[str]:
    """Violations of calls: whatever was answered with 200 must be right in both directions."""
    found = []
    for exchange in exchanges:
        for text in contract.violations(exchange):
            # A request that was refused may well be wrong: that is what refusals are for.
            if exchange.status == 200 or text.startswith("response"):
                found.append(f"{exchange.method} {exchange.path} {exchange.status}: {text}")
    return found
