"""Redis is found where the machine has one, and writes nothing to disk."""

import sys
from pathlib import Path

import pytest
import redis

from sandbox import redis as sandbox_redis
from sandbox.ports import answers
from sandbox.processes import SandboxError
from sandbox.redis import Redis, external_redis


def test_it_answers_keeps_nothing_and_stops(tmp_path: Path) -> None:
    server = Redis(tmp_path)
    server.start()
    with redis.Redis.from_url(server.url) as client:
        client.set("key", "value")
        assert client.config_get("appendonly") == {"appendonly": "no"}
        assert client.config_get("save") == {"save": ""}
        port = client.connection_pool.connection_kwargs["port"]
    with redis.Redis.from_url(server.database_url(63)) as client:
        assert client.dbsize() == 0
    server.stop()
    assert not answers(port)
    assert [path.name for path in tmp_path.iterdir()] == ["redis.log"]


def test_without_any_binary_the_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox_redis, "find_binary", lambda: None)
    with pytest.raises(SandboxError, match="Install redis or valkey, or set REDIS_URL"):
        Redis(tmp_path).start()


def test_the_demo_may_stand_on_a_fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_redis, "find_binary", lambda: None)
    server = Redis(tmp_path, allow_fake=True)
    server.start()
    try:
        assert server.is_fake
        with redis.Redis.from_url(server.url) as client:
            client.set("key", "value")
            assert client.get("key") == b"value"
    finally:
        server.stop()


def test_a_binary_that_cannot_run_here_is_passed_over(tmp_path: Path) -> None:
    broken = tmp_path / "redis-server"
    broken.write_bytes(b"\x7fELF not for this machine")
    broken.chmod(0o755)
    assert not sandbox_redis.runs(broken)
    assert sandbox_redis.runs(Path(sys.executable))


def test_a_redis_url_that_does_not_answer_is_told_in_a_sentence() -> None:
    with pytest.raises(SandboxError, match="REDIS_URL names a Redis that doesn't answer"):
        external_redis("redis://127.0.0.1:1/0")
