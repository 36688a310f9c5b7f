"""The door Stripe knocks at: signed events are kept once, everything else is refused quietly."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from tests.factories.sales import deliver, sign_payload
from webapp.core.db import db
from webapp.core.errors import DomainError, Unprocessable
from webapp.core.redis import redis_client
from webapp.core.state import bind, current_fork
from webapp.payments.errors import StripeUnavailable
from webapp.payments.models import EventState, StripeEvent
from webapp.payments.services import (
    MAX_ATTEMPTS,
    MAX_ATTEMPTS_WITHOUT_STRIPE,
    PAID,
    claim_events,
    finish_event,
    postpone_event,
    replay_event,
)


def make_event(
    id: str = "evt_1", type: str = "checkout.session.completed", **changes: Any
) -> dict[str, Any]:
    event = {
        "id": id,
        "object": "event",
        "type": type,
        "created": int(time.time()),
        "livemode": False,
        "data": {"object": {"id": "cs_1", "object": "checkout.session"}},
    }
    return event | changes


def post(client: FlaskClient, body: bytes, signature: str | None, **headers: str) -> Any:
    given = {"Content-Type": "application/json"} | headers
    if signature is not None:
        given["Stripe-Signature"] = signature
    return client.post("/webhooks/stripe", data=body, headers=given)


def count() -> int:
    return db.session.scalar(select(func.count()).select_from(StripeEvent)) or 0


def rung() -> int:
    return int(redis_client().llen(f"rq:queue:{current_fork().queue_name('critical')}"))


def get(event_id: str) -> StripeEvent:
    return db.session.get_one(StripeEvent, event_id, populate_existing=True)


def test_a_signed_event_is_kept_and_rung_for(client: FlaskClient) -> None:
    answer = deliver(client, make_event())
    assert (answer.status_code, answer.json) == (200, {"received": True})
    assert get("evt_1").state is EventState.PENDING
    assert rung() == 1


def test_the_same_event_again_is_answered_and_kept_once(client: FlaskClient) -> None:
    for _ in range(3):
        assert deliver(client, make_event()).status_code == 200
    assert count() == 1


def test_types_we_do_not_use_are_answered_and_kept_as_ignored(client: FlaskClient) -> None:
    assert deliver(client, make_event(type="product.created")).status_code == 200
    assert get("evt_1").state is EventState.IGNORED
    assert rung() == 0


def test_a_live_event_never_reaches_a_test_shop(client: FlaskClient) -> None:
    assert deliver(client, make_event(livemode=True)).status_code == 200
    assert get("evt_1").state is EventState.IGNORED


BODY = json.dumps(make_event()).encode()
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
# Made when it is sent: a signature is good for five minutes.
REFUSED: dict[str, Callable[[], tuple[bytes, str | None, dict[str, str]]]] = {
    "unsigned": lambda: (BODY, None, {}),
    "empty signature": lambda: (BODY, "", {}),
    "wrong secret": lambda: (BODY, sign_payload(BODY, "whsec_other"), {}),
    "stale": lambda: (BODY, sign_payload(BODY, at=int(time.time()) - 3600), {}),
    "future-dated": lambda: (BODY, sign_payload(BODY, at=int(time.time()) + 3600), {}),
    "no time": lambda: (BODY, "v1=abc", {}),
    "time is no number": lambda: (BODY, "t=soon,v1=abc", {}),
    "time beyond the calendar": lambda: (BODY, sign_payload(BODY, at=10**15), {}),
    "touched": lambda: (BODY + b" ", sign_payload(BODY), {}),
    "not JSON": lambda: (b"hello", sign_payload(b"hello"), {}),
    "a list": lambda: (b"[]", sign_payload(b"[]"), {}),
    "a number": lambda: (b"7", sign_payload(b"7"), {}),
    "no event": lambda: (b'{"object":"charge"}', sign_payload(b'{"object":"charge"}'), {}),
    "a form": lambda: (BODY, sign_payload(BODY), FORM),
    "oversized": lambda: (b"{" + b" " * 600_000, "t=1,v1=a", {}),
    "empty": lambda: (b"", sign_payload(b""), {}),
    "not text": lambda: (b"\xff\xfe\x00", "t=1,v1=a", {}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_anything_but_a_signed_event_is_refused(client: FlaskClient, name: str) -> None:
    body, signature, headers = REFUSED[name]()
    answer = post(client, body, signature, **headers)
    assert answer.status_code == 400
    assert answer.json["error"]["code"] == "webhook_invalid"
    assert count() == 0


def test_refusals_are_counted_in_the_log(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    post(client, BODY, None)
    post(client, BODY, None)
    first, second = [r for r in caplog.records if r.message == "webhook refused"]
    assert vars(second)["count"] == vars(first)["count"] + 1
    assert vars(first)["why"] == "the signature is missing, wrong or stale"


def test_a_shop_without_a_secret_refuses_everything(app: Flask, client: FlaskClient) -> None:
    config, fork = app.extensions["startupwebapp"]
    bind(app, config.model_copy(update={"stripe_webhook_secret": ""}), fork)
    try:
        assert post(client, BODY, sign_payload(BODY, "")).status_code == 400
    finally:
        bind(app, config, fork)


def test_two_secrets_are_accepted_while_one_is_rolled(app: Flask, client: FlaskClient) -> None:
    config, fork = app.extensions["startupwebapp"]
    rolled = {"stripe_webhook_secret": "whsec_new", "stripe_webhook_secret_previous": "whsec_tests"}
    bind(app, config.model_copy(update=rolled), fork)
    try:
        new = json.dumps(make_event("evt_new")).encode()
        assert post(client, new, sign_payload(new, "whsec_new")).status_code == 200
        assert post(client, BODY, sign_payload(BODY)).status_code == 200
    finally:
        bind(app, config, fork)
    assert count() == 2


def test_a_visitor_gets_nothing_from_a_get(client: FlaskClient) -> None:
    assert client.get("/webhooks/stripe").status_code == 405


def test_claimed_events_are_not_claimed_again(client: FlaskClient) -> None:
    deliver(client, make_event())
    assert [event.id for event in claim_events(PAID, 10)] == ["evt_1"]
    assert claim_events(PAID, 10) == []


def test_an_event_that_keeps_failing_is_parked_and_can_be_replayed(client: FlaskClient) -> None:
    deliver(client, make_event())
    postpone_event("evt_1", 1, RuntimeError("not yet"))
    assert get("evt_1").state is EventState.PENDING
    postpone_event("evt_1", MAX_ATTEMPTS, DomainError("Stripe is on fire."))
    parked = get("evt_1")
    assert (parked.state, parked.error) == (EventState.PARKED, "DomainError: Stripe is on fire.")
    replay_event("evt_1")
    assert get("evt_1").state is EventState.PENDING
    assert [event.id for event in claim_events(PAID, 10)] == ["evt_1"]


def test_an_event_waits_for_days_for_stripe_to_be_back(client: FlaskClient) -> None:
    deliver(client, make_event())
    away = StripeUnavailable("Stripe did not answer.")
    postpone_event("evt_1", MAX_ATTEMPTS, away)
    assert get("evt_1").state is EventState.PENDING
    postpone_event("evt_1", MAX_ATTEMPTS_WITHOUT_STRIPE, away)
    assert get("evt_1").state is EventState.PARKED


def test_a_hopeless_event_is_parked_at_once(client: FlaskClient) -> None:
    deliver(client, make_event())
    postpone_event("evt_1", 1, Unprocessable("No."))
    assert get("evt_1").state is EventState.PARKED


def test_a_finished_event_is_not_replayed(client: FlaskClient) -> None:
    deliver(client, make_event())
    finish_event("evt_1", EventState.DONE, "order:1")
    with pytest.raises(DomainError, match="only a parked one"):
        replay_event("evt_1")
