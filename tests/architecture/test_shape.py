"""The architecture itself: what must hold for every table, job and queue."""

import re
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import Connection, Enum, inspect

from jobs.schedule import SCHEDULE
from webapp.core.db import Base
from webapp.core.forks import MIGRATIONS
from webapp.core.queue import Queue, resolve
from webapp.payments.services import PAID

ROOT = Path(__file__).resolve().parents[2]


def script() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return ScriptDirectory.from_config(config)


def test_there_is_one_migration_head() -> None:
    assert len(script().get_heads()) == 1


def test_every_migration_goes_back() -> None:
    for revision in script().walk_revisions():
        source = Path(revision.path).read_text(encoding="utf-8")
        downgrade = source.split("def downgrade", 1)[1]
        assert "op." in downgrade, f"{revision.revision} can't be undone"


def test_models_and_migrations_agree(connection: Connection) -> None:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    assert compare_metadata(context, Base.metadata) == []


def test_every_enum_member_is_allowed_by_its_check(connection: Connection) -> None:
    inspector = inspect(connection)
    for table in Base.metadata.tables.values():
        checks = {c["name"]: c["sqltext"] for c in inspector.get_check_constraints(table.name)}
        for column in table.columns:
            if isinstance(column.type, Enum):
                text = checks[f"ck_{table.name}_{column.type.name}"]
                assert set(re.findall(r"'([a-z_]+)'", text)) == set(column.type.enums)


def test_every_constraint_has_a_name(connection: Connection) -> None:
    for table in Base.metadata.tables.values():
        assert all(constraint.name for constraint in table.constraints), table.name


def test_every_foreign_key_has_an_index(connection: Connection) -> None:
    inspector = inspect(connection)
    missing = []
    for table in Base.metadata.tables:
        leading = {i["column_names"][0] for i in inspector.get_indexes(table)}
        leading |= {u["column_names"][0] for u in inspector.get_unique_constraints(table)}
        leading.add(inspector.get_pk_constraint(table)["constrained_columns"][0])
        for key in inspector.get_foreign_keys(table):
            if key["constrained_columns"][0] not in leading:
                missing.append(f"{table}.{key['constrained_columns'][0]}")
    assert missing == []


def test_the_schedule_calls_jobs_that_exist_once(app: Flask) -> None:
    paths = [entry.path for entry in SCHEDULE]
    assert len(set(paths)) == len(paths)
    for path in paths:
        assert callable(resolve(path))


def test_every_enqueued_path_is_a_job(app: Flask) -> None:
    sources = [p for folder in ("webapp", "admin", "jobs") for p in (ROOT / folder).rglob("*.py")]
    named = set()
    for source in sources:
        named |= set(re.findall(r'"(jobs\.[a-z_]+\.[a-z_]+)"', source.read_text(encoding="utf-8")))
    assert named
    for path in named:
        assert callable(resolve(path)), path


def test_every_handled_event_type_has_a_handler() -> None:
    from jobs.payments import HANDLERS

    assert set(HANDLERS) == PAID


def test_workers_listen_to_every_queue() -> None:
    procfile = (ROOT / "Procfile").read_text(encoding="utf-8")
    assert "worker: flask worker\n" in procfile
    assert {queue.value for queue in Queue} == {
        "critical",
        "mail",
        "bulk",
        "tracking",
        "maintenance",
    }


@pytest.mark.parametrize("folder", ["webapp", "jobs", "admin", "sandbox", "tests", "bench"])
def test_no_file_is_named_after_nothing(folder: str) -> None:
    vague = {"utils", "helpers", "common", "misc"}
    stems = {path.stem for path in (ROOT / folder).rglob("*.py")}
    assert stems
    assert not stems & vague
