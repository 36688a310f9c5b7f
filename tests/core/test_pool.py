"""A request never meets a connection that Postgres has closed, and no question is asked in vain."""

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url

from sandbox.postgres import PostgresServer
from tests.services import Addresses, Database
from webapp.core import pool


@pytest.fixture
def engine(database: Database) -> Iterator[Engine]:
    url = make_url(database.url).set(drivername="postgresql+psycopg")
    engine = create_engine(url, pool_size=2, pool_events=pool.EVENTS)
    yield engine
    engine.dispose()


def backend(engine: Engine) -> int:
    """Return the process at Postgres' end of the connection the pool hands out."""
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


def end(addresses: Addresses, pid: int) -> None:
    with PostgresServer(addresses.postgres).connect() as connection:
        connection.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


def test_a_connection_is_used_again(engine: Engine) -> None:
    assert backend(engine) == backend(engine)


def test_a_closed_connection_is_replaced_unnoticed(engine: Engine, addresses: Addresses) -> None:
    first = backend(engine)
    end(addresses, first)
    assert backend(engine) != first


def test_a_closed_connection_in_autocommit_is_replaced_too(
    engine: Engine, addresses: Addresses
) -> None:
    auto = engine.execution_options(isolation_level="AUTOCOMMIT")
    first = backend(auto)
    end(addresses, first)
    assert backend(auto) != first


def test_after_a_pause_it_is_asked_and_left_as_it_was(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = backend(engine)
    asked: list[object] = []
    answers = pool._answers

    def ask(connection: psycopg.Connection[Any]) -> bool:
        asked.append(connection)
        return answers(connection)

    monkeypatch.setattr(pool, "_answers", ask)
    assert backend(engine) == first
    assert not asked
    later = time.monotonic() + pool.IDLE_SECONDS + 1
    monkeypatch.setattr("webapp.core.pool.time.monotonic", lambda: later)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT pg_backend_pid()")).scalar_one() == first
        connection.execute(text("CREATE TEMPORARY TABLE kept (id int) ON COMMIT DROP"))
    assert len(asked) == 1
