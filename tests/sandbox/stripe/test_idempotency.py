"""Idempotency keys: the same answer to the same call, and a clear no to everything else."""

import threading
from typing import Any

import pytest
import requests
import stripe

from tests.sandbox.stripe.desk import Shop, line
from tests.waiting import eventually

COUPON = {"percent_off": "10"}


def create(shop: Shop, key: str, data: Any = None) -> Any:
    return shop.raw("POST", "/v1/coupons", data or COUPON, **{"Idempotency-Key": key})


def test_a_repeated_key_replays_the_stored_answer(shop: Shop) -> None:
    first, second = create(shop, "k1"), create(shop, "k1")
    assert first.json() == second.json()
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.headers["Original-Request"] == first.headers["Request-Id"]
    assert second.headers["Idempotency-Key"] == "k1"
    assert len(shop.api.coupons.list().data) == 1
    assert shop.event_types() == ["coupon.created"]


def test_the_official_client_replays_with_its_own_key(shop: Shop) -> None:
    params: Any = {
        "mode": "payment",
        "success_url": "https://shop.test/",
        "line_items": [line(900)],
    }
    sessions = [
        shop.api.checkout.sessions.create(params, {"idempotency_key": "cart-1"}) for _ in range(2)
    ]
    assert sessions[0].id == sessions[1].id


def test_another_use_of_a_key_is_refused(shop: Shop) -> None:
    create(shop, "k1")
    other = create(shop, "k1", {"percent_off": "20"})
    assert other.status_code == 400
    error = other.json()["error"]
    assert error["type"] == "idempotency_error"
    assert "can only be used with the same parameters" in error["message"]
    elsewhere = shop.raw("POST", "/v1/customers", {}, **{"Idempotency-Key": "k1"})
    assert "can only be used for the same endpoint" in elsewhere.json()["error"]["message"]
    with pytest.raises(stripe.IdempotencyError):
        shop.api.coupons.create({"percent_off": 30}, {"idempotency_key": "k1"})


def test_a_key_belongs_to_one_account(shop: Shop) -> None:
    first, second = create(shop, "k1"), create(Shop(shop.sandbox), "k1")
    assert first.json()["id"] != second.json()["id"]


def test_invalid_parameters_are_not_remembered(shop: Shop) -> None:
    assert create(shop, "k1", {"percent_off": "much"}).status_code == 400
    assert create(shop, "k1").status_code == 200


def test_a_refusal_by_the_endpoint_is_remembered(shop: Shop) -> None:
    data = {"promotion[type]": "coupon", "promotion[coupon]": "LATER", "code": "HI"}

    def attempt() -> Any:
        return shop.raw("POST", "/v1/promotion_codes", data, **{"Idempotency-Key": "k1"})

    assert attempt().json()["error"]["code"] == "resource_missing"
    shop.api.coupons.create({"id": "LATER", "percent_off": 10})
    replay = attempt()
    assert replay.headers["Idempotent-Replayed"] == "true"
    assert replay.status_code == 400


def test_a_declined_payment_is_remembered_with_its_traces(shop: Shop) -> None:
    data = {
        "amount": "900",
        "currency": "usd",
        "confirm": "true",
        "payment_method": "pm_card_chargeDeclined",
    }

    def attempt() -> Any:
        return shop.raw("POST", "/v1/payment_intents", data, **{"Idempotency-Key": "k1"})

    first, second = attempt(), attempt()
    assert (first.status_code, first.json()["error"]["decline_code"]) == (402, "generic_decline")
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(shop.api.payment_intents.list().data) == 1
    assert shop.api.charges.list().data[0].status == "failed"


def test_a_key_that_is_in_use_is_a_conflict(own: Shop) -> None:
    own.control("fail", route="POST /v1/coupons", status="slow", seconds=50)
    answers: list[Any] = []
    slow = threading.Thread(target=lambda: answers.append(create(own, "k1")))
    slow.start()
    eventually(lambda: own.api.coupons.list().data, "the effect")
    conflict = create(own, "k1")
    requests.delete(f"{own.sandbox.url}/_sandbox/fail", timeout=60)
    slow.join()
    assert conflict.status_code == 409
    assert conflict.json()["error"]["code"] == "idempotency_key_in_use"
    assert answers[0].status_code == 200
    assert create(own, "k1").json() == answers[0].json()


def test_twenty_at_once_make_one(shop: Shop) -> None:
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(create(shop, "k1"))) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len({answer.json()["id"] for answer in answers if answer.ok}) == 1
    assert len(shop.api.coupons.list().data) == 1


def test_a_lost_answer_can_be_asked_for_again(own: Shop) -> None:
    own.control("fail", route="POST /v1/coupons", status="reset", after=True)
    with pytest.raises(stripe.APIConnectionError):
        own.api.coupons.create({"percent_off": 10}, {"idempotency_key": "k1"})
    coupon = own.api.coupons.create({"percent_off": 10}, {"idempotency_key": "k1"})
    assert [c.id for c in own.api.coupons.list().data] == [coupon.id]


def test_keys_are_forgotten_after_a_day(own: Shop) -> None:
    first = create(own, "k1")
    own.control("clock", advance=86_500)
    assert create(own, "k1").json()["id"] != first.json()["id"]
