"""State on disk: over a restart, over `kill -9`, and against a second process."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sandbox.stripe import server
from sandbox.stripe.server import StripeSandbox
from sandbox.stripe.store import StateInUse
from tests.sandbox.stripe.desk import Ear, Shop, client_of
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[3]


def arguments(state: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "sandbox.stripe", "--state", str(state), *more]


@contextmanager
def process(state: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    running = subprocess.Popen(arguments(state, *more), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout
        yield running, json.loads(running.stdout.readline())
    finally:
        running.kill()
        running.wait()
        assert running.stdout
        running.stdout.close()


def test_everything_is_there_after_a_restart(
    start_again: Callable[[], StripeSandbox],
) -> None:
    before = Shop(start_again(), key="sk_test_restarted")
    paid, open_ = before.paid(), before.session()
    events = before.event_types()
    before.api.coupons.create({"percent_off": 5}, {"idempotency_key": "k1"})
    after = Shop(start_again(), key="sk_test_restarted")
    assert after.again(paid).payment_status == "paid"
    assert after.event_types()[: len(events)] == events
    coupon = after.api.coupons.create({"percent_off": 5}, {"idempotency_key": "k1"})
    assert [c.id for c in after.api.coupons.list().data] == [coupon.id]
    # It listens on another port now, and so do its pages.
    still = after.again(open_)
    assert still.url == f"{after.sandbox.url}/c/pay/{open_.id}"
    assert after.pay(still).status_code == 303


def test_webhooks_that_waited_leave_after_a_restart(
    start_again: Callable[[], StripeSandbox], ear: Ear
) -> None:
    first = Shop(start_again(), key="sk_test_restarted")
    first.sandbox.machine.courier.retry_base = 600
    ear.answers = [500]
    first.listen(ear, "checkout.session.completed")
    first.paid()
    first.sandbox.wait_idle()
    second = start_again()
    second.machine.courier.flush()
    assert ear.types == ["checkout.session.completed"] * 2


def test_sessions_that_expired_meanwhile_say_so_at_once(
    start_again: Callable[[], StripeSandbox],
) -> None:
    first = Shop(start_again(), key="sk_test_restarted")
    session = first.session()
    first.sandbox.machine.store.remember("clock_offset", 90_000)
    second = Shop(start_again(), key="sk_test_restarted")
    eventually(second.event_types, "the event")
    assert second.event_types() == ["checkout.session.expired"]
    assert second.again(session).status == "expired"


def test_the_process_says_when_it_is_ready_and_survives_a_kill(tmp_path: Path, ear: Ear) -> None:
    state = tmp_path / "state"
    more = ("--key", "sk_test_process", "--webhook", ear.url, "--webhook-secret", "whsec_fixed")
    ear.answers = [500] * 5
    with process(state, *more, "--retry-base", "0.2") as (running, ready):
        assert ready["key"] == "sk_test_process"
        assert ready["webhook_secret"] == "whsec_fixed"
        api = client_of_url(ready["url"])
        session = api.checkout.sessions.create(
            {
                "mode": "payment",
                "success_url": "https://shop.test/",
                "line_items": [
                    {
                        "price_data": {
                            "currency": "usd",
                            "unit_amount": 900,
                            "product_data": {"name": "Mug"},
                        },
                        "quantity": 1,
                    }
                ],
            }
        )
        api.checkout.sessions.expire(session.id)
        eventually(lambda: ear.heard, "the first attempt")
        running.send_signal(signal.SIGKILL)
        running.wait()
    ear.answers.clear()
    heard = len(ear.heard)
    with process(state, *more, "--retry-base", "0.2") as (running, ready):
        api = client_of_url(ready["url"])
        assert api.checkout.sessions.retrieve(session.id).status == "expired"
        eventually(lambda: len(ear.heard) > heard, "the next attempt")
        assert ear.types[-1] == "checkout.session.expired"
        assert len(api.webhook_endpoints.list().data) == 1
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=60) == 0


def client_of_url(url: str) -> Any:
    import stripe

    return stripe.StripeClient("sk_test_process", base_addresses={"api": url}).v1


def test_a_folder_serves_one_sandbox_at_a_time(tmp_path: Path) -> None:
    with server.start(tmp_path / "state"), pytest.raises(StateInUse):
        server.start(tmp_path / "state")
    with server.start(tmp_path / "state") as again:
        assert client_of(again, again.key).v1.coupons.list().data == []


def test_a_taken_port_is_said_in_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(server.PortTaken):
            server.start(tmp_path / "one", port)
        answer = subprocess.run(
            arguments(tmp_path / "two", "--port", str(port)),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ},
        )
    assert answer.returncode == 1
    assert answer.stderr.strip() == f"Stripe sandbox: Port {port} is taken by another program."


def test_an_endpoint_given_at_the_start_moves_with_the_shop(tmp_path: Path) -> None:
    with Ear() as old, Ear() as new:
        with server.start(tmp_path / "s", webhook_url=old.url) as first:
            secret = first.webhook_secret
        with server.start(tmp_path / "s", webhook_url=new.url) as second:
            assert second.webhook_secret == secret
            shop = Shop(second, key=second.key)
            shop.paid()
            second.wait_idle()
            assert len(shop.api.webhook_endpoints.list().data) == 1
        assert old.heard == []
        assert "checkout.session.completed" in new.types
