"""Asks the app's processes whether they do their work yet, from outside."""

import contextlib

import psycopg
import redis
import requests

from sandbox.postgres import PostgresServer


def web_is_ready(url: str) -> bool:
    with contextlib.suppress(requests.RequestException):
        return requests.get(f"{url}/ready", timeout=5).ok
    return False


def worker_is_ready(redis_url: str, pid: int) -> bool:
    """RQ lists its workers by names, and ours carry the process id."""
    with contextlib.suppress(redis.RedisError), redis.Redis.from_url(redis_url) as client:
        names = [name.decode() for name in client.smembers("rq:workers")]
        return any(str(pid) in name.split("-") for name in names)
    return False


def clock_is_ready(database_url: str) -> bool:
    """The ticking clock holds its fork's advisory lock."""
    query = (
        "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND database ="
        " (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with contextlib.suppress(psycopg.Error), PostgresServer(database_url).connect() as connection:
        return connection.execute(query).fetchone() is not None
    return False
