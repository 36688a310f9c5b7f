"""Webhooks on their way: signatures, order, retries, chaos, and asking for them again."""

import time
from typing import Any

import pytest
import requests
import stripe

from sandbox.stripe import deliveries
from tests.sandbox.stripe.desk import Ear, Shop
from tests.waiting import eventually


def verified(ear: Ear, secret: str) -> list[stripe.Event]:
    return [
        stripe.Webhook.construct_event(body, headers["Stripe-Signature"], secret)
        for headers, body in ear.heard
    ]


def test_events_arrive_signed_and_in_order(shop: Shop, ear: Ear) -> None:
    secret = shop.listen(ear)
    session = shop.paid()
    assert shop.sandbox.wait_idle()
    assert secret.startswith("whsec_")
    events = verified(ear, secret)
    assert [event.type for event in events] == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
        "charge.updated",
    ]
    completed = events[3]
    assert completed.data.object["id"] == session.id
    assert completed.data.object["payment_status"] == "paid"
    assert completed.api_version == "2026-10-28.endive"


def test_a_wrong_secret_does_not_verify(shop: Shop, ear: Ear) -> None:
    shop.listen(ear, "checkout.session.expired")
    shop.api.checkout.sessions.expire(shop.session().id)
    assert shop.sandbox.wait_idle()
    with pytest.raises(stripe.SignatureVerificationError):
        verified(ear, "whsec_another")


def test_only_the_wanted_types_are_sent(shop: Shop, ear: Ear) -> None:
    shop.listen(ear, "checkout.session.completed")
    shop.paid()
    assert shop.sandbox.wait_idle()
    assert ear.types == ["checkout.session.completed"]


def test_disabled_and_deleted_endpoints_hear_nothing(shop: Shop, ear: Ear) -> None:
    endpoints = shop.api.webhook_endpoints
    first = endpoints.create({"url": ear.url, "enabled_events": ["*"]})
    second = endpoints.create({"url": ear.url, "enabled_events": ["*"]})
    endpoints.update(first.id, {"disabled": True})
    endpoints.delete(second.id)
    shop.paid()
    assert shop.sandbox.wait_idle()
    assert ear.heard == []
    assert endpoints.retrieve(first.id).status == "disabled"


def test_the_secret_is_shown_once(shop: Shop, ear: Ear) -> None:
    made = shop.api.webhook_endpoints.create({"url": ear.url, "enabled_events": ["*"]})
    assert made.secret
    assert "secret" not in shop.api.webhook_endpoints.retrieve(made.id).to_dict()


def test_accounts_hear_only_of_themselves(shop: Shop, ear: Ear) -> None:
    shop.listen(ear)
    Shop(shop.sandbox).paid()
    assert shop.sandbox.wait_idle()
    assert ear.heard == []


def test_a_failed_delivery_is_repeated_until_it_is_taken(shop: Shop, ear: Ear) -> None:
    ear.answers = [500, 302]
    secret = shop.listen(ear, "checkout.session.completed")
    shop.paid()
    eventually(lambda: len(ear.heard) >= 3, "the third attempt")
    assert len({event.id for event in verified(ear, secret)}) == 1
    assert shop.sandbox.wait_idle()
    [delivery] = [d for d in listed(shop) if d["event"] == ear.events[0]["id"]]
    assert (delivery["state"], delivery["attempts"], delivery["last_status"]) == (
        "delivered",
        3,
        200,
    )
    event = shop.api.events.retrieve(ear.events[0]["id"])
    assert event.pending_webhooks == 0


def listed(shop: Shop) -> list[dict[str, Any]]:
    response = requests.get(f"{shop.sandbox.url}/_sandbox/deliveries", timeout=60)
    found: list[dict[str, Any]] = response.json()["data"]
    return found


def test_one_event_that_is_refused_holds_up_no_other(shop: Shop, ear: Ear) -> None:
    ear.answers = [500]
    shop.listen(ear)
    shop.paid()
    eventually(lambda: len(ear.heard) >= 6, "the other events")
    assert len(ear.heard) == 6


def test_pauses_between_attempts_double() -> None:
    assert [deliveries.backoff(n, 1.0) for n in (1, 2, 3, 10)] == [1, 2, 4, 512]
    assert deliveries.backoff(15, 1.0) == 3600


def test_flushing_sends_what_waits_for_its_next_attempt(own: Shop, ear: Ear) -> None:
    own.sandbox.machine.courier.retry_base = 600
    ear.answers = [503] * 3
    own.listen(ear, "checkout.session.completed")
    own.paid()
    own.sandbox.wait_idle()
    assert len(ear.heard) == 1
    assert own.control("deliveries/flush")["still_pending"] == 1
    assert own.control("deliveries/flush")["still_pending"] == 1
    assert own.control("deliveries/flush") == {
        "attempted": 1,
        "delivered": 1,
        "still_pending": 0,
        "failed": 0,
    }


def test_an_endpoint_that_is_away_is_tried_again(own: Shop) -> None:
    with Ear() as gone:
        url = gone.url
        own.api.webhook_endpoints.create({"url": url, "enabled_events": ["*"]})
    own.api.checkout.sessions.expire(own.session().id)
    own.sandbox.wait_idle()
    [delivery] = listed(own)
    assert delivery["state"] == "pending"
    assert "ConnectionRefusedError" in delivery["last_error"]
    undelivered = own.api.events.list({"delivery_success": False}).data
    assert [event.type for event in undelivered] == ["checkout.session.expired"]
    assert undelivered[0].pending_webhooks == 1


def test_an_event_can_be_delivered_again_and_again(shop: Shop, ear: Ear) -> None:
    secret = shop.listen(ear, "checkout.session.completed")
    shop.paid()
    shop.sandbox.wait_idle()
    told = shop.control(f"events/{ear.events[0]['id']}/deliver", times=20, wait=True)
    assert told["queued"] == 20
    assert len({event.id for event in verified(ear, secret)}) == 1
    assert len(ear.heard) == 21


def test_two_secrets_sign_while_one_is_rolled(shop: Shop, ear: Ear) -> None:
    endpoint = shop.api.webhook_endpoints.create({"url": ear.url, "enabled_events": ["*"]})
    assert endpoint.secret
    fresh = shop.control(f"webhook_endpoints/{endpoint.id}/roll", overlap_s=60)["secret"]
    shop.paid()
    shop.sandbox.wait_idle()
    assert verified(ear, endpoint.secret)
    assert verified(ear, fresh)
    newest = shop.control(f"webhook_endpoints/{endpoint.id}/roll", overlap_s=0)["secret"]
    ear.heard.clear()
    shop.paid()
    shop.sandbox.wait_idle()
    assert verified(ear, newest)
    for old in (endpoint.secret, fresh):
        with pytest.raises(stripe.SignatureVerificationError):
            verified(ear, old)


# Chaos


def test_chaos_duplicates_deliveries(own: Shop, ear: Ear) -> None:
    own.listen(ear, "checkout.session.completed")
    own.control("chaos", duplicate=4)
    own.paid()
    own.sandbox.wait_idle()
    assert len(ear.heard) == 5
    assert len({event["id"] for event in ear.events}) == 1


def test_chaos_delays_deliveries(own: Shop, ear: Ear) -> None:
    own.listen(ear, "checkout.session.completed")
    own.control("chaos", delay_ms=[300, 400])
    began = time.monotonic()
    own.paid()
    own.sandbox.wait_idle()
    assert len(ear.heard) == 1
    assert time.monotonic() - began >= 0.3


def test_chaos_reorders_deliveries(own: Shop, ear: Ear) -> None:
    own.listen(ear)
    own.control("chaos", reorder=True, seed=7)
    for _ in range(3):
        own.paid()
    own.sandbox.wait_idle()
    in_order = own.event_types()
    assert sorted(ear.types) == sorted(in_order)
    assert ear.types != in_order


def test_chaos_drops_deliveries_for_a_sweep_to_find(own: Shop, ear: Ear) -> None:
    own.listen(ear)
    own.control("chaos", drop=1.0)
    own.paid()
    own.sandbox.wait_idle()
    assert ear.heard == []
    assert "checkout.session.completed" in own.event_types()
    assert {delivery["state"] for delivery in listed(own)} == {"dropped"}


def test_chaos_corrupts_deliveries_so_that_they_do_not_verify(own: Shop) -> None:
    with Ear() as ear:
        ear.answers = [400] * 9
        secret = own.listen(ear, "checkout.session.completed")
        own.control("chaos", corrupt=1.0, seed=3)
        own.sandbox.machine.courier.retry_base = 600
        own.paid()
        own.sandbox.wait_idle()
        for headers, body in ear.heard:
            with pytest.raises((stripe.SignatureVerificationError, ValueError)):
                stripe.Webhook.construct_event(body, headers["Stripe-Signature"], secret)
        ear.heard.clear()
        ear.answers.clear()
        requests.delete(f"{own.sandbox.url}/_sandbox/chaos", timeout=60)
        own.control("deliveries/flush")
        assert len(verified(ear, secret)) == 1


def test_chaos_is_told_and_refuses_nonsense(own: Shop) -> None:
    url = f"{own.sandbox.url}/_sandbox/chaos"
    own.control("chaos", drop=0.5, delay_ms=20)
    told = requests.get(url, timeout=60).json()
    assert (told["drop"], told["delay_ms"]) == (0.5, [20, 20])
    for wrong in ({"drop": 2}, {"dorp": 0.1}, {"delay_ms": [5, 1]}):
        answer = requests.post(url, json=wrong, timeout=60)
        assert answer.status_code == 400
        assert answer.json()["error"]
