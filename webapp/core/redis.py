"""The app's one connection pool to Redis, where nothing is kept that can't be lost."""

from typing import cast

from flask import Flask, current_app
from redis import Redis

EXTENSION = "redis"


def init_redis(app: Flask, url: str) -> None:
    app.extensions[EXTENSION] = Redis.from_url(
        url,
        socket_connect_timeout=2,
        socket_timeout=5,
        health_check_interval=30,
    )


def redis_client() -> Redis:
    return cast(Redis, current_app.extensions[EXTENSION])
