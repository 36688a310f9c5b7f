"""The control address of billing: settings, and cards that die while a clock runs."""

import json
from typing import Any

import pytest

from sandbox.stripe.billing import control
from sandbox.stripe.control import Control
from sandbox.stripe.messages import Request
from sandbox.stripe.store import dumps
from tests.sandbox.billing.desk import Desk

assert control


def ask(desk: Desk, path: str, **body: Any) -> tuple[int, Any]:
    request = Request("POST", f"/_sandbox/{path}", "", {}, dumps(body).encode())
    answer = Control(desk.machine).answer(request)
    return answer.status, json.loads(answer.body)


def test_a_customer_takes_another_card(desk: Desk) -> None:
    customer = desk.customer()
    subscription = desk.subscribe(customer, desk.price())
    status, told = ask(desk, "cards", customer=customer, number="4000 0000 0000 9995")
    assert status == 200
    settings = desk.api.customers.retrieve(customer).invoice_settings
    assert settings
    assert settings.default_payment_method == told["payment_method"]
    desk.pass_(days=29)
    assert desk.status(subscription) == "past_due"


def test_a_card_dies_and_lives_again(desk: Desk) -> None:
    customer = desk.customer()
    subscription = desk.subscribe(customer, desk.price())
    ask(desk, "cards", customer=customer, decline_code="do_not_honor")
    desk.pass_(days=29)
    failed = desk.api.charges.list({"limit": 1}).data[0]
    assert failed.outcome
    assert (failed.failure_code, failed.outcome.reason) == ("card_declined", "do_not_honor")
    ask(desk, "cards", customer=customer, decline_code=None)
    desk.pass_(days=1)
    assert desk.status(subscription) == "active"


def test_the_account_collects_as_it_is_told(desk: Desk) -> None:
    status, told = ask(desk, "billing", retry_days=[2, 4], when_exhausted="cancel")
    assert (status, told["retry_days"], told["upcoming_days"]) == (200, [2, 4], 7)
    subscription = desk.subscribe(desk.customer(), desk.price())
    ask(desk, "cards", customer=str(subscription.customer), decline_code="insufficient_funds")
    desk.pass_(days=33)
    assert desk.status(subscription) == "canceled"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("billing", {"retry_days": [3, 1]}),
        ("billing", {"when_exhausted": "sue"}),
        ("billing", {"colour": "blue"}),
        ("cards", {"customer": "cus_nobody", "number": "4242424242424242"}),
    ],
)
def test_nonsense_is_refused_in_words(desk: Desk, path: str, body: dict[str, Any]) -> None:
    status, told = ask(desk, path, **body)
    assert status in (400, 404)
    assert told["error"]
