"""An address may ask so often in a minute, counted by each process and by Redis for all."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from limits import parse
from redis import Redis, RedisError
from redis.client import Pipeline

from tests.conftest import make_config
from tests.services import Addresses, Database
from webapp.core.config import Env
from webapp.core.db import db
from webapp.core.fork import Fork
from webapp.core.limits import RequestLimit
from wsgi import create_app

ALICE, BOB = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def redis(clean_redis: str) -> Iterator[Redis]:
    with Redis.from_url(clean_redis) as client:
        yield client


@pytest.fixture
def limit(tmp_path: Path) -> RequestLimit:
    return new_process(tmp_path)


def new_process(folder: Path, limit: str = "1000 per hour") -> RequestLimit:
    return RequestLimit(parse(limit), Fork("northwind", folder))


def ask(limit: RequestLimit, times: int, redis: Redis, address: str = ALICE) -> int:
    """Return how many of ``times`` requests were admitted."""
    return sum(limit.admits(address, redis) for _ in range(times))


def test_one_process_admits_exactly_the_limit(limit: RequestLimit, redis: Redis) -> None:
    assert ask(limit, 1300, redis) == 1000


def test_another_address_has_a_count_of_its_own(limit: RequestLimit, redis: Redis) -> None:
    ask(limit, 1300, redis)
    assert ask(limit, 5, redis, BOB) == 5


def test_two_processes_admit_at_most_a_handful_more(
    limit: RequestLimit, redis: Redis, tmp_path: Path
) -> None:
    other = new_process(tmp_path)
    admitted = sum(ask(each, 1, redis) for _ in range(1000) for each in (limit, other))
    assert 1000 <= admitted <= 1020


def test_a_small_limit_is_exact_over_processes(redis: Redis, tmp_path: Path) -> None:
    processes = [new_process(tmp_path, "3 per hour") for _ in range(4)]
    assert sum(ask(each, 3, redis) for each in processes) == 3


def test_the_next_window_begins_at_nothing(
    limit: RequestLimit, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.core.limits.time.time", lambda: 3600.0)
    assert ask(limit, 1001, redis) == 1000
    monkeypatch.setattr("webapp.core.limits.time.time", lambda: 7200.0)
    assert ask(limit, 1001, redis) == 1000


def test_counts_leave_redis_with_their_window(limit: RequestLimit, redis: Redis) -> None:
    ask(limit, 1000, redis)
    assert all(0 < redis.ttl(key) <= 3600 for key in redis.keys("northwind:requests:*"))


def test_without_redis_everybody_is_let_in(
    limit: RequestLimit, caplog: pytest.LogCaptureFixture
) -> None:
    class Away(Redis):
        def pipeline(self, transaction: bool = True, shard_hint: object = None) -> Pipeline:
            raise RedisError

    assert ask(limit, 1300, Away()) == 1300
    assert "requests not limited" in caplog.text


@pytest.fixture
def limited(
    addresses: Addresses, database: Database, clean_redis: str, tmp_path: Path
) -> Iterator[Flask]:
    config = make_config(
        addresses,
        database,
        clean_redis,
        tmp_path,
        app_env=Env.DEVELOPMENT,
        request_limit="3 per hour",
    )
    app = create_app(config)
    yield app
    with app.app_context():
        db.engine.dispose()


def statuses(client: FlaskClient, path: str, times: int) -> list[int]:
    return [client.get(path).status_code for _ in range(times)]


def test_the_limit_holds_over_all_pages_together(limited: Flask) -> None:
    client = limited.test_client()
    assert statuses(client, "/robots.txt", 2) == [200, 200]
    assert statuses(client, "/no-such-page", 1) == [404]
    assert statuses(client, "/robots.txt", 2) == [429, 429]


def test_health_styles_and_webhooks_are_not_counted(limited: Flask) -> None:
    client = limited.test_client()
    statuses(client, "/robots.txt", 5)
    assert statuses(client, "/health", 5) == [200] * 5
    assert statuses(client, "/static/css/app.css", 5) == [200] * 5
    assert client.post("/webhooks/stripe").status_code == 400
