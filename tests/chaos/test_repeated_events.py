"""Stripe tells everything at least once; told fifty times at once it still is one sale."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.business import Business
from tests.buyers import Buyer
from tests.factories.sales import StripeDesk, sign_payload
from tests.waiting import all_at_once

pytestmark = pytest.mark.chaos

TIMES = 50
COMPLETED = "checkout.session.completed"


@pytest.fixture
def business(crowded_business: Business) -> Iterator[Business]:
    """A business that no webhook reaches but those a test sends."""
    stripe = crowded_business.neighbours
    stripe.control("chaos", drop=1.0)
    yield crowded_business
    stripe.control("chaos", drop=0.0)


class Purchase:
    """One paid session that the shop has not heard of yet."""

    def __init__(self, business: Business, number: int) -> None:
        self.business = business
        self.number = number
        self.buyer = Buyer(business, number)
        self.buyer.fill_cart(business.make_sku(stock=3)[1])
        hosted = self.buyer.press_pay()
        assert self.buyer.is_at_stripe(hosted)
        self.session_id = hosted.url.partition("?")[0].rpartition("/")[2]
        self.buyer.pay_and_leave(hosted)
        desk = StripeDesk(business.neighbours.stripe_url, business.stripe_key)
        told = (e for e in desk.events(COMPLETED) if e["data"]["object"]["id"] == self.session_id)
        self.event = next(told)

    def tell(self, event: dict[str, Any] | None = None) -> int:
        """Deliver the event as Stripe would; returns the answer's status."""
        body = json.dumps(event or self.event).encode()
        signature = sign_payload(body, self.business.env["STRIPE_WEBHOOK_SECRET"])
        headers = {"Stripe-Signature": signature, "Content-Type": "application/json"}
        url = f"{self.business.web_url}/webhooks/stripe"
        return requests.post(url, data=body, headers=headers, timeout=60).status_code

    def see_success_page(self, visitor: int = 0) -> str:
        """Come back from Stripe, each visitor from an address of its own."""
        answer = requests.get(
            f"{self.business.web_url}/checkout/success?session_id={self.session_id}",
            headers={"X-Forwarded-For": f"10.200.{self.number}.{visitor}"},
            timeout=60,
        )
        assert answer.status_code == 200
        return answer.text

    def assert_one_sale(self) -> None:
        self.business.wait_for_rest()
        orders = self.business.ask(
            'SELECT o.id, o.status FROM "order" o JOIN order_payment p ON p.order_id = o.id'
            " WHERE p.stripe_session_id = %s",
            self.session_id,
        )
        assert [status for _, status in orders] == ["in_fulfilment"]
        mails = [mail for mail in self.business.list_mails() if mail["to"] == [self.buyer.email]]
        assert len(mails) == 1
        self.business.examine()


def test_fifty_at_once_before_the_success_page(business: Business) -> None:
    purchase = Purchase(business, 1)
    assert set(all_at_once(TIMES, lambda _: purchase.tell())) == {200}
    purchase.assert_one_sale()
    assert "Thank you" in purchase.see_success_page()
    purchase.assert_one_sale()
    assert business.count("stripe_event", f"id = '{purchase.event['id']}'") == 1


def test_fifty_at_once_after_the_success_page(business: Business) -> None:
    purchase = Purchase(business, 2)
    assert "Thank you" in purchase.see_success_page()
    assert set(all_at_once(TIMES, lambda _: purchase.tell())) == {200}
    purchase.assert_one_sale()


def test_fifty_at_once_during_the_success_page(business: Business) -> None:
    purchase = Purchase(business, 3)

    def tell_or_look(number: int) -> bool:
        if number % 5:
            return purchase.tell() == 200
        return "Thank you" in purchase.see_success_page(number)

    assert all(all_at_once(TIMES + TIMES // 4, tell_or_look))
    purchase.assert_one_sale()


def test_fifty_events_with_ids_of_their_own_about_one_payment(business: Business) -> None:
    purchase = Purchase(business, 4)

    def tell(number: int) -> int:
        event = copy.deepcopy(purchase.event)
        event["id"] = f"{event['id']}{number:02}"
        return purchase.tell(event)

    assert set(all_at_once(TIMES, tell)) == {200}
    purchase.assert_one_sale()
    assert business.count("stripe_event", f"object_id = '{purchase.session_id}'") == TIMES
