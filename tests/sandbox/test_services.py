"""The test run's own servers: every worker has a migrated database and a Redis of its own."""

import psycopg
import redis
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from tests.services import Addresses, Database


def connect(database: Database) -> psycopg.Connection:
    plain = make_url(database.url).set(drivername="postgresql")
    return psycopg.connect(plain.render_as_string(hide_password=False), autocommit=True)


def test_sqlalchemy_reaches_the_workers_database(database: Database) -> None:
    with create_engine(database.url).connect() as connection:
        name = connection.execute(text("SELECT current_database()")).scalar_one()
    assert name == database.name


def test_a_fresh_database_has_what_the_template_has(
    database: Database, fresh_database: Database
) -> None:
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
    with connect(database) as shared, connect(fresh_database) as fresh:
        assert fresh.execute(tables).fetchall() == shared.execute(tables).fetchall()


def test_what_a_test_commits_to_a_fresh_database_stays_there(
    database: Database, fresh_database: Database
) -> None:
    with connect(fresh_database) as fresh:
        fresh.execute("CREATE TABLE only_here (id int)")
    with connect(database) as shared:
        found = shared.execute("SELECT to_regclass('only_here')").fetchone()
    assert found == (None,)


def test_redis_is_empty_at_the_start_of_a_test(clean_redis: str) -> None:
    with redis.Redis.from_url(clean_redis) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_each_worker_has_its_own_numbered_redis_database() -> None:
    addresses = Addresses("postgresql://x/y", "redis://127.0.0.1:1/4", "test")
    workers = ("main", "gw0", "gw1", "gw2")
    numbered = [addresses.redis_database(worker) for worker in workers]
    assert [url.rsplit("/", 1)[1] for url in numbered] == ["5", "6", "7", "8"]
