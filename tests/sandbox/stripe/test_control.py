"""The control address: faults, time, keys, paying without a browser."""

import time
from typing import Any

import pytest
import requests
import stripe

from tests.sandbox.stripe.desk import Ear, Shop


def refused(shop: Shop, path: str, **body: Any) -> requests.Response:
    answer = requests.post(f"{shop.sandbox.url}/_sandbox/{path}", json=body, timeout=60)
    assert answer.status_code in (400, 404)
    assert answer.json()["error"]
    return answer


def test_health_says_that_it_is_well(shop: Shop) -> None:
    told = requests.get(f"{shop.sandbox.url}/_sandbox/health", timeout=60).json()
    assert told["ok"] is True
    assert told["url"] == shop.sandbox.url


def test_faults_come_as_often_as_asked(own: Shop) -> None:
    own.control("fail", route="POST /v1/checkout/sessions", status=500, times=2)
    for _ in range(2):
        with pytest.raises(stripe.APIError) as caught:
            own.session()
        assert caught.value.http_status == 500
    assert own.session().status == "open"


def test_a_fault_may_be_a_rate_limit(own: Shop) -> None:
    own.control("fail", route="GET /v1/checkout/sessions/*", status=429)
    session = own.session()
    with pytest.raises(stripe.RateLimitError):
        own.again(session)
    assert own.again(session).id == session.id


def test_the_clients_own_retries_get_past_a_fault(own: Shop) -> None:
    own.control("fail", route="POST /v1/coupons", status=500, after=True)
    client = stripe.StripeClient(
        own.key, base_addresses={"api": own.sandbox.url}, max_network_retries=2
    )
    client.v1.coupons.create({"percent_off": 5})
    assert len(own.api.coupons.list().data) == 1


def test_a_timeout_is_silence(own: Shop) -> None:
    own.control("fail", route="GET /v1/coupons", status="timeout", seconds=0.4)
    began = time.monotonic()
    with pytest.raises(stripe.APIConnectionError):
        own.api.coupons.list()
    assert time.monotonic() - began >= 0.4


def test_faults_can_be_seen_and_cleared(own: Shop) -> None:
    url = f"{own.sandbox.url}/_sandbox/fail"
    own.control("fail", route="* /v1/*", status=503, times=99)
    assert requests.get(url, timeout=60).json()["data"][0]["times"] == 99
    requests.delete(url, timeout=60)
    assert own.api.coupons.list().data == []
    refused(own, "fail", route="everything", status=500)
    refused(own, "fail", route="GET /v1/coupons", status="sulk")


def test_paying_by_control_is_the_pages_own_way(shop: Shop) -> None:
    session = shop.session(
        shipping_address_collection={"allowed_countries": ["DE"]},
        phone_number_collection={"enabled": True},
    )
    told = shop.control(
        f"sessions/{session.id}/pay", email="bob@example.com", address={"city": "Berlin"}
    )
    assert told["outcome"] == "completed"
    assert told["success_url"] == f"https://shop.test/thanks?session={session.id}"
    details = shop.again(session).customer_details
    assert details
    assert details.address
    assert (details.email, details.address.city) == ("bob@example.com", "Berlin")
    assert details.address.country == "DE"
    refused(shop, f"sessions/{session.id}/pay")
    refused(shop, "sessions/cs_x/pay")
    refused(shop, f"sessions/{shop.session().id}/pay", colour="blue")


def test_a_decline_by_control_is_told(shop: Shop) -> None:
    told = shop.control(f"sessions/{shop.session().id}/pay", card="4000000000009995")
    assert told["outcome"] == "declined"
    assert told["message"] == "Your card has insufficient funds."
    asked = shop.control(f"sessions/{shop.session().id}/pay", card="4000002500003155")
    assert asked["outcome"] == "completed"
    angry = shop.control(
        f"sessions/{shop.session().id}/pay", card="4000002500003155", authenticate="fail"
    )
    assert angry["outcome"] == "declined"


def test_a_debit_settles_by_itself_when_told_to(own: Shop) -> None:
    good, bad = own.session(), own.session()
    pay: Any = {"payment_method": "bank_debit", "async_after": 60}
    own.control(f"sessions/{good.id}/pay", **pay)
    own.control(f"sessions/{bad.id}/pay", **pay, async_outcome="failed")
    own.control("clock", advance=61)
    assert own.again(good).payment_status == "paid"
    assert own.again(bad).payment_status == "unpaid"
    assert "checkout.session.async_payment_failed" in own.event_types()
    refused(own, f"sessions/{good.id}/async", outcome="succeeded")


def test_the_clock_moves_and_comes_back(own: Shop) -> None:
    before = int(time.time())
    own.control("clock", advance=3600)
    assert own.session().created >= before + 3600
    own.control("clock", now=before + 100)
    assert before + 100 <= own.session().created < before + 200
    assert own.control("clock", reset=True)["offset"] == 0


def test_a_key_can_be_added_with_its_endpoint(shop: Shop) -> None:
    with Ear() as ear:
        told = shop.control(
            "keys", key="sk_test_another_fork", webhook=ear.url, webhook_secret="whsec_fork"
        )
        again = shop.control("keys", key="sk_test_another_fork", webhook=ear.url)
        assert told == again
        Shop(shop.sandbox, key="sk_test_another_fork").paid()
        shop.sandbox.wait_idle()
        headers, body = ear.heard[0]
        stripe.Webhook.construct_event(body, headers["Stripe-Signature"], "whsec_fork")
    refused(shop, "keys", key="pk_test_wrong")


def test_violations_can_be_asked_for(own: Shop) -> None:
    own.paid()
    told = requests.get(f"{own.sandbox.url}/_sandbox/violations", timeout=60).json()
    assert told["checked"] > 0
    assert told["data"] == []


def test_the_front_page_lists_what_happened(shop: Shop) -> None:
    session = shop.session(client_reference_id="cart-77")
    front = requests.get(f"{shop.sandbox.url}/", timeout=60)
    assert session.id[:18] in front.text
    assert "cart-77" in front.text


def test_unknown_control_addresses_are_told(shop: Shop) -> None:
    answer = requests.get(f"{shop.sandbox.url}/_sandbox/unicorns", timeout=60)
    assert answer.status_code == 404
    broken = requests.post(f"{shop.sandbox.url}/_sandbox/chaos", data="{", timeout=60)
    assert broken.status_code == 400


def test_who_asks_for_the_end_of_the_connection_is_told_of_it(shop: Shop) -> None:
    answer = requests.get(shop.sandbox.url, headers={"Connection": "close"}, timeout=60)
    assert answer.headers["Connection"] == "close"
    assert "Connection" not in requests.get(shop.sandbox.url, timeout=60).headers
