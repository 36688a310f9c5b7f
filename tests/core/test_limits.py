"""The limit over all pages: exact over processes, told to whoever meets it, open without Redis."""

import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask

from tests.conftest import make_config
from tests.factories.sales import deliver
from tests.other_apps import MakeApp, create_quietly
from tests.services import ROOT, Addresses, Database
from webapp.core.config import Config, Env
from webapp.core.db import db
from webapp.core.limits import limiter

ALICE, BOB = "192.0.2.1", "192.0.2.2"

# What one process of several does: press on for so long, and say how often it was let in.
PRESSING = """
import json, sys
from wsgi import create_app
client = create_app().test_client()
print("ready", flush=True)
sys.stdin.readline()
answers = [client.get("/robots.txt").status_code for _ in range(40)]
print(json.dumps(answers))
"""


@pytest.fixture
def make(
    addresses: Addresses, database: Database, clean_redis: str, tmp_path: Path
) -> Iterator[MakeApp]:
    made: list[Flask] = []

    def app(**changes: object) -> Flask:
        values: dict[str, object] = {"app_env": Env.DEVELOPMENT, "request_limit": "20 per hour"}
        redis = str(changes.pop("redis_url", clean_redis))
        config = make_config(addresses, database, redis, tmp_path, **(values | changes))
        made.append(create_quietly(config))
        return made[-1]

    yield app
    limiter.enabled = False
    for each in made:
        with each.app_context():
            db.engine.dispose()


def ask(app: Flask, times: int, address: str = ALICE, path: str = "/robots.txt") -> list[int]:
    client = app.test_client()
    overrides = {"REMOTE_ADDR": address}
    return [client.get(path, environ_overrides=overrides).status_code for _ in range(times)]


def test_a_thousand_a_minute_is_the_rule() -> None:
    assert Config(app_env=Env.TEST).request_limit == "1000 per minute"


def test_an_address_gets_exactly_its_limit(make: MakeApp) -> None:
    app = make()
    assert ask(app, 25) == [200] * 20 + [429] * 5
    assert ask(app, 3, BOB) == [200] * 3


def test_pages_count_together_found_or_not(make: MakeApp) -> None:
    app = make()
    for path in ("/no-such-page", "/cart?%00", "/robots.txt", "/admin/"):
        ask(app, 5, path=path)
    assert ask(app, 2) == [429, 429]


def test_threads_at_the_same_moment_get_no_more(make: MakeApp) -> None:
    app = make()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _number: ask(app, 1)[0], range(60)))
    assert answers.count(200) == 20
    assert answers.count(429) == 40


def test_processes_together_get_no_more(make: MakeApp, app_env: dict[str, str]) -> None:
    make()  # empties the counts
    env = app_env | {"APP_ENV": "development", "REQUEST_LIMIT": "50 per hour"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PRESSING],
            cwd=ROOT,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    answers = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        said, _ = process.communicate(timeout=60)
        answers += json.loads(said)
    assert answers.count(200) == 50
    assert answers.count(429) == 30


def test_whoever_is_refused_is_told_how_long(make: MakeApp) -> None:
    app = make()
    ask(app, 20)
    client = app.test_client()
    overrides = {"REMOTE_ADDR": ALICE}
    page = client.get("/cart", environ_overrides=overrides)
    assert page.status_code == 429
    assert page.mimetype == "text/html"
    assert 0 < int(page.headers["Retry-After"]) <= 3600
    headers = {"Accept": "application/json"}
    answer = client.get("/cart", environ_overrides=overrides, headers=headers)
    assert answer.status_code == 429
    assert answer.get_json()["error"]["code"] == "http_429"
    assert 0 < int(answer.headers["Retry-After"]) <= 3600


def test_a_claimed_address_counts_for_nothing(make: MakeApp) -> None:
    client = make().test_client()
    answers = [
        client.get(
            "/robots.txt",
            headers={"X-Forwarded-For": f"198.51.100.{number}"},
            environ_overrides={"REMOTE_ADDR": ALICE},
        ).status_code
        for number in range(22)
    ]
    assert answers == [200] * 20 + [429] * 2


def test_the_addresses_of_one_ipv6_line_count_as_one(make: MakeApp) -> None:
    app = make()
    answers = [ask(app, 1, f"2001:db8:1:2::{number:x}")[0] for number in range(22)]
    assert answers == [200] * 20 + [429] * 2
    assert ask(app, 1, "2001:db8:1:3::1") == [200]


def test_an_ipv4_address_that_is_written_as_ipv6_is_the_same_one(make: MakeApp) -> None:
    app = make()
    assert ask(app, 20, f"::ffff:{ALICE}") == [200] * 20
    assert ask(app, 1, ALICE) == [429]
    assert ask(app, 1, f"::ffff:{BOB}") == [200]


def test_a_trusted_proxys_word_counts(make: MakeApp) -> None:
    client = make(trusted_hops=1).test_client()

    def come(last: str, times: int) -> list[int]:
        return [
            client.get(
                "/robots.txt",
                headers={"X-Forwarded-For": f"10.1.2.{number}, {last}"},
                environ_overrides={"REMOTE_ADDR": "10.0.0.1"},
            ).status_code
            for number in range(times)
        ]

    assert come("203.0.113.5", 22) == [200] * 20 + [429] * 2
    assert come("203.0.113.6", 1) == [200]


def test_what_keeps_the_shop_running_is_not_counted(make: MakeApp) -> None:
    app = make()
    ask(app, 25)
    assert ask(app, 5, path="/health") == [200] * 5
    assert ask(app, 5, path="/static/css/app.css") == [200] * 5


def test_stripe_is_never_refused_for_knocking_often(make: MakeApp) -> None:
    """100 a minute are for those whose events carry no good signature."""
    client = make(request_limit="5 per hour").test_client()
    bad = [client.post("/webhooks/stripe", data=b"{}").status_code for _ in range(102)]
    assert bad == [400] * 100 + [429] * 2
    refused = client.post("/webhooks/stripe", data=b"{}")
    assert 0 < int(refused.headers["Retry-After"]) <= 60


def test_signed_events_use_nothing_up(make_app: MakeApp) -> None:
    client = make_app(app_env=Env.DEVELOPMENT, request_limit="5 per hour").test_client()
    event = {"id": "evt_1", "object": "event", "type": "ping", "livemode": False}
    event |= {"created": int(time.time()), "data": {"object": {"id": "cs_1"}}}
    answers = [deliver(client, event).status_code for _ in range(105)]
    assert answers == [200] * 105
    assert client.post("/webhooks/stripe", data=b"{}").status_code == 400


def test_without_redis_everybody_is_let_in_and_the_log_counts(
    make: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    app = make(redis_url="redis://127.0.0.1:1/0")
    with caplog.at_level(logging.WARNING):
        assert ask(app, 30) == [200] * 30
    lines = [record for record in caplog.records if record.getMessage() == "requests not limited"]
    assert lines
    assert all(getattr(record, "count", 0) > 0 for record in lines)
    assert ALICE not in caplog.text
