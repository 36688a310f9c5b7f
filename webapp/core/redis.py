"""The app's one connection pool to Redis, where nothing is kept that can't be lost."""

from typing import cast

from flask import Flask, current_app
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

EXTENSION = "redis"


def init_redis(app: Flask, url: str) -> None:
    app.extensions[EXTENSION] = Redis.from_url(
        url,
        socket_connect_timeout=2,
        socket_timeout=5,
        health_check_interval=30,
        # Once more for a connection that died; the default spends seconds on a Redis that is away.
        retry=Retry(NoBackoff(), 1),
    )


def redis_client() -> Redis:
    return cast(Redis, current_app.extensions[EXTENSION])
