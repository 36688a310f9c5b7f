"""Creating, listing and migrating forks: each is a Postgres database of the one server."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from alembic.runtime.migration import MigrationContext
from flask_migrate import upgrade
from sqlalchemy import URL, Connection, create_engine, text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.pool import NullPool

from webapp.core.config import Config
from webapp.core.errors import DomainError
from webapp.core.fork import Fork

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
MARK = "startupwebapp fork"


class ForkExists(DomainError):
    code = "fork_exists"
    status = 409


class NoSuchFork(DomainError):
    code = "fork_not_found"
    status = 404


@dataclass(frozen=True, slots=True)
class ForkRow:
    """One line of ``flask fork list``; ``revision`` is None before the first migration."""

    name: str
    size_bytes: int
    revision: str | None


@contextmanager
def _connect(url: URL) -> Iterator[Connection]:
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def create_fork(config: Config, name: str) -> None:
    """Create the fork's empty, marked database. Raises InvalidForkName or ForkExists."""
    Fork(name, config.upload_folder)
    with _connect(config.maintenance_database_url) as connection:
        try:
            connection.execute(text(f'CREATE DATABASE "{name}" ENCODING UTF8 TEMPLATE template0'))
        except (ProgrammingError, IntegrityError) as error:
            # 23505: somebody else is creating it at this very moment.
            if getattr(error.orig, "sqlstate", "") in ("42P04", "23505"):
                raise ForkExists(f"There is already a database named {name}.") from None
            raise
    mark_fork(config, name)


def mark_fork(config: Config, name: str) -> None:
    """Mark a database as ours, also one whose creation was cut short before its mark."""
    Fork(name, config.upload_folder)
    with _connect(config.maintenance_database_url) as connection:
        connection.execute(text(f"""COMMENT ON DATABASE "{name}" IS '{MARK}'"""))


def list_forks(config: Config) -> list[ForkRow]:
    """Return all forks of the server by name. Databases that aren't ours are left out."""
    query = text(
        "SELECT datname, pg_database_size(oid) FROM pg_database"
        " WHERE shobj_description(oid, 'pg_database') = :mark ORDER BY datname"
    )
    with _connect(config.maintenance_database_url) as connection:
        rows = connection.execute(query, {"mark": MARK}).all()
    return [ForkRow(name, size, _revision(config, name)) for name, size in rows]


def _revision(config: Config, name: str) -> str | None:
    url = config.maintenance_database_url.set(database=name)
    with _connect(url) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def require_fork(config: Config, name: str) -> None:
    """Raise NoSuchFork, naming those there are, unless ``name`` is one."""
    names = [row.name for row in list_forks(config)]
    if name not in names:
        known = ", ".join(names) or "none yet"
        raise NoSuchFork(f"There is no fork {name}. Forks: {known}.")


def migrate_current() -> None:
    """Bring the current app's fork to the newest revision; ``migrations/env.py`` takes the lock."""
    upgrade(directory=str(MIGRATIONS))
