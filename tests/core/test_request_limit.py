"""An address may ask so often in a minute, exactly so, over all processes together."""

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from limits import parse
from limits.storage import RedisStorage
from redis import RedisError

from tests.other_apps import MakeApp
from webapp.core.config import Env
from webapp.core.fork import Fork
from webapp.core.limits import RequestLimit

ALICE, BOB = "192.0.2.1", "192.0.2.2"


def new_process(folder: Path, limit: str = "100 per hour") -> RequestLimit:
    return RequestLimit(parse(limit), Fork("northwind", folder))


def ask(limit: RequestLimit, times: int, address: str = ALICE) -> int:
    """Return how many of ``times`` requests were admitted."""
    return sum(limit.admits(address) for _ in range(times))


def test_processes_together_admit_exactly_the_limit(limited_app: Flask, tmp_path: Path) -> None:
    processes = [new_process(tmp_path) for _ in range(4)]
    assert sum(ask(each, 1) for _ in range(60) for each in processes) == 100


def test_another_address_has_a_count_of_its_own(limited_app: Flask, tmp_path: Path) -> None:
    limit = new_process(tmp_path)
    ask(limit, 130)
    assert ask(limit, 5, BOB) == 5


def test_a_refused_address_is_told_when_to_come_again(limited_app: Flask, tmp_path: Path) -> None:
    limit = new_process(tmp_path)
    ask(limit, 101)
    assert 3590 <= limit.seconds_left(ALICE) <= 3600


def test_without_redis_everybody_is_let_in_and_counted(
    limited_app: Flask,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def away(*_args: object, **_more: object) -> bool:
        raise RedisError

    limit = new_process(tmp_path)
    monkeypatch.setattr(RedisStorage, "acquire_entry", away)
    assert ask(limit, 130) == 130
    monkeypatch.setattr("webapp.core.limits.REST_SECONDS", 0)
    limit._asks_again_at = 0
    ask(limit, 1)
    lines = [record for record in caplog.records if record.message == "requests not limited"]
    assert [vars(record)["count"] for record in lines] == [1, 131]


@pytest.fixture
def limited_app(make_app: MakeApp) -> Flask:
    """An app that lets an address in three times."""
    return make_app(app_env=Env.DEVELOPMENT, request_limit="3 per hour")


def statuses(client: FlaskClient, path: str, times: int) -> list[int]:
    return [client.get(path).status_code for _ in range(times)]


def test_the_limit_holds_over_all_pages_together(limited_app: Flask) -> None:
    client = limited_app.test_client()
    assert statuses(client, "/robots.txt", 2) == [200, 200]
    assert statuses(client, "/no-such-page", 1) == [404]
    assert statuses(client, "/robots.txt", 2) == [429, 429]


def test_health_styles_and_webhooks_are_not_counted(limited_app: Flask) -> None:
    client = limited_app.test_client()
    statuses(client, "/robots.txt", 5)
    assert statuses(client, "/health", 5) == [200] * 5
    assert statuses(client, "/static/css/app.css", 5) == [200] * 5
    assert client.post("/webhooks/stripe").status_code == 400
