"""`flask fork` as an operator types it: each command a process, on a Postgres of its own."""

import subprocess
from collections.abc import Callable, Iterator

import pytest
from psycopg import sql

from sandbox.postgres import Postgres
from tests.commands import begin_flask, run_flask
from tests.services import app_environment
from tests.waiting import eventually
from webapp.core.forks import MARK

pytestmark = pytest.mark.chaos

Ended = subprocess.CompletedProcess[str]
MIGRATION_LOCK = 0x5741_4D49

COLUMNS = """
    SELECT table_name, column_name, data_type, is_nullable, column_default, is_identity
    FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"""
CONSTRAINTS = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2"""
INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"


class Operator:
    """Types commands; ``DATABASE_NAME`` names no database unless they say so."""

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self.env = app_environment(server.url(), "nothing_yet", "redis://127.0.0.1:1/0")

    def begin(self, *arguments: str, **env: str) -> Callable[[], Ended]:
        return begin_flask({**self.env, **env}, *arguments)

    def run(self, *arguments: str, **env: str) -> Ended:
        return run_flask({**self.env, **env}, *arguments)

    def run_together(self, *commands: tuple[str, ...]) -> list[Ended]:
        """Start all of them, then wait for each."""
        started = [self.begin(*command) for command in commands]
        return [finish() for finish in started]

    def add_empty_fork(self, name: str) -> None:
        """A fork that was created, and whose process died before the first migration."""
        self.server.create_database(name)
        with self.server.connect() as connection:
            mark = sql.SQL("COMMENT ON DATABASE {} IS {}")
            connection.execute(mark.format(sql.Identifier(name), sql.Literal(MARK)))

    def ask(self, name: str, query: str) -> list[tuple[object, ...]]:
        with self.server.connect(name) as connection:
            return connection.execute(query.encode()).fetchall()

    def schema(self, name: str) -> list[list[tuple[object, ...]]]:
        return [self.ask(name, query) for query in (COLUMNS, CONSTRAINTS, INDEXES)]


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    server = Postgres(tmp_path_factory.mktemp("cluster"), durable=False)
    server.start()
    yield Operator(server)
    server.stop()


@pytest.fixture(scope="module")
def shop(operator: Operator) -> str:
    """A fork made by the command; returns its name."""
    face = ["--title", "Harbor & Thread", "--currency", "EUR", "--country", "de"]
    made = operator.run("fork", "create", "harbor", *face)
    assert (made.returncode, made.stdout) == (0, "Fork harbor is ready.\n"), made.stderr
    return "harbor"


def test_a_created_fork_is_migrated_and_has_its_face(operator: Operator, shop: str) -> None:
    face = operator.ask(shop, "SELECT name, currency, country, sender_email FROM shop")
    assert face == [("Harbor & Thread", "eur", "DE", "hello@harbor.example")]


def test_creating_it_again_is_refused(operator: Operator, shop: str) -> None:
    again = operator.run("fork", "create", shop, "--title", "Other")
    assert again.returncode == 1
    assert "There is already a database named harbor." in again.stderr
    assert operator.ask(shop, "SELECT name FROM shop") == [("Harbor & Thread",)]


def test_two_who_create_one_name_if_missing_make_one_fork(operator: Operator) -> None:
    create = ("fork", "create", "twins", "--if-missing", "--title")
    both = operator.run_together((*create, "Castor"), (*create, "Pollux"))
    assert [ended.returncode for ended in both] == [0, 0], [ended.stderr for ended in both]
    assert operator.ask("twins", "SELECT name FROM shop") in ([("Castor",)], [("Pollux",)])


def test_bad_names_make_nothing(operator: Operator) -> None:
    before = operator.server.database_names()
    names = ("Shop", 'x"; DROP DATABASE postgres; --')
    for refused in operator.run_together(*(("fork", "create", name) for name in names)):
        assert refused.returncode == 1
        assert "Traceback" not in refused.stderr
        assert refused.stderr.startswith("Error: ")
    assert operator.server.database_names() == before


def test_the_list_shows_forks_and_nothing_else(operator: Operator, shop: str) -> None:
    operator.server.create_database("somebody_elses")
    operator.add_empty_fork("unborn")
    listed = operator.run("fork", "list", DATABASE_NAME=shop)
    assert listed.returncode == 0, listed.stderr
    lines = {line[2:].split()[0]: line for line in listed.stdout.splitlines()}
    revision = operator.ask(shop, "SELECT version_num FROM alembic_version")[0][0]
    assert lines[shop].startswith("* ")
    assert lines[shop].endswith(str(revision))
    assert lines["unborn"].startswith("  ")
    assert lines["unborn"].endswith("not migrated")
    assert "somebody_elses" not in lines
    operator.server.drop_database("unborn")


def test_what_to_migrate_has_to_be_said_and_to_be_there(operator: Operator, shop: str) -> None:
    unknown, unclear = operator.run_together(
        ("fork", "migrate", "nosuch"), ("fork", "migrate", shop, "--all")
    )
    assert unknown.returncode == 1
    assert "There is no fork nosuch. Forks: " in unknown.stderr
    assert shop in unknown.stderr
    assert unclear.returncode == 2
    assert "Name one fork, or say --all." in unclear.stderr
    assert "nosuch" not in operator.server.database_names()


def test_migrating_all_goes_on_after_one_that_fails_and_names_it(
    operator: Operator, shop: str
) -> None:
    operator.add_empty_fork("behind")
    operator.add_empty_fork("a_broken_one")
    with operator.server.connect("a_broken_one") as connection:
        connection.execute("CREATE TABLE shop (in_the_way int)")
    ended = operator.run("fork", "migrate", "--all")
    assert ended.returncode == 1
    assert {f"{shop}: migrated", "behind: migrated"} <= set(ended.stdout.splitlines())
    assert ended.stderr.rstrip().endswith("Error: Not migrated: a_broken_one.")
    assert operator.ask("behind", TABLES) == operator.ask(shop, TABLES)
    # Each migration is one transaction: nothing of the one that failed stays.
    left = {name for (name,) in operator.ask("a_broken_one", TABLES)}
    assert left <= {"shop", "alembic_version"}
    for name in ("behind", "a_broken_one"):
        operator.server.drop_database(name)


def test_two_migrations_at_once_take_turns(operator: Operator) -> None:
    operator.add_empty_fork("contested")
    waiting = (
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database ="
        " (SELECT oid FROM pg_database WHERE datname = 'contested')"
    )
    with operator.server.connect("contested") as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
        migrations = [operator.begin("fork", "migrate", "contested") for _ in range(2)]
        eventually(lambda: operator.ask("contested", waiting) == [(2,)], "both wait")
        assert operator.ask("contested", TABLES) == []
    ended = [finish() for finish in migrations]
    assert [each.returncode for each in ended] == [0, 0], [each.stderr for each in ended]
    assert operator.ask("contested", "SELECT count(*) FROM alembic_version") == [(1,)]
    assert operator.ask("contested", waiting) == [(0,)]


def test_a_shop_that_sent_campaigns_goes_back_a_release_and_forward_again(
    operator: Operator, shop: str
) -> None:
    operator.ask(
        shop,
        """
        WITH mail AS (
            INSERT INTO mail (dedupe_key, kind, code, recipient, sender, subject, text, html, state,
                              attempts, created_at)
            VALUES ('a', 'note', 'b', 'alice@example.com', 'shop@example.com', 'Hi', 'Hi', '',
                    'suppressed', 0, now())
        ), people AS (
            INSERT INTO prospect (email, name, source, created_at, country, attributes)
            VALUES ('alice@example.com', 'Alice', 'newsletter', now(), 'DE', '{"a": 1}')
        )
        INSERT INTO email_recipient (email_id, secret, address, fields, variant, state, attempts,
                                     due_at)
        SELECT 1, i, i || '@example.com', '{}', 1, 'sent', 1, now() FROM generate_series(1, 1000) i
        RETURNING id
        """,
    )
    before = operator.schema(shop)
    down = operator.run("db", "downgrade", "0002", DATABASE_NAME=shop)
    assert down.returncode == 0, down.stderr
    assert operator.ask(shop, "SELECT state FROM mail") == [("failed",)]
    up = operator.run("db", "upgrade", DATABASE_NAME=shop)
    assert up.returncode == 0, up.stderr
    assert operator.schema(shop) == before
    assert operator.ask(shop, "SELECT name, country FROM prospect") == [("Alice", "")]


def test_down_to_nothing_and_up_again_ends_where_it_began(operator: Operator, shop: str) -> None:
    before = operator.schema(shop)
    down = operator.run("db", "downgrade", "base", DATABASE_NAME=shop)
    assert down.returncode == 0, down.stderr
    assert operator.ask(shop, TABLES) == [("alembic_version",)]
    up = operator.run("db", "upgrade", DATABASE_NAME=shop)
    assert up.returncode == 0, up.stderr
    assert operator.schema(shop) == before


def test_a_server_that_is_away_is_told_in_a_sentence(operator: Operator) -> None:
    away = "postgresql://postgres:secret@127.0.0.1:1/postgres"
    ended = operator.run("fork", "list", DATABASE_URL=away)
    assert ended.returncode == 1
    assert ended.stderr.startswith("Error: The database can't be used: ")
    assert "secret" not in ended.stderr
