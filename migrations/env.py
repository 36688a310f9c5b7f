"""Runs migrations one process at a time: an advisory lock, short lock waits, bounded statements."""

from alembic import context
from flask import current_app
from sqlalchemy import text

import webapp.accounts.models
import webapp.billing.models
import webapp.campaigns.models
import webapp.catalog.models
import webapp.core.models
import webapp.messaging.models
import webapp.orders.models
import webapp.payments.models  # noqa: F401 - all models must be known to the metadata
from webapp.core.db import Base, db

LOCK = 0x5741_4D49  # any constant: advisory locks are per database, so per fork
TIMEOUTS = "SET lock_timeout = '5s'; SET statement_timeout = '10min'"


def run() -> None:
    assert current_app
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as guard:
        guard.execute(text("SET lock_timeout = '60s'; SET statement_timeout = 0"))
        guard.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
        try:
            migrate()
        finally:
            guard.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
            guard.invalidate()  # its time-outs must not follow it into the pool


def migrate() -> None:
    with db.engine.connect() as connection:
        connection.execute(text(TIMEOUTS))
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            compare_type=True,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()
        connection.invalidate()  # the time-outs must not follow the connection into the pool


run()
