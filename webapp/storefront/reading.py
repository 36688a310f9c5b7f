"""Cheap reads for the pages that change nothing."""

from sqlalchemy import Engine

from webapp.core.db import db


def read_without_transaction() -> None:
    """Let each statement of this request stand alone. To be called before the first of them.

    Without BEGIN and ROLLBACK a page saves two round trips, and psycopg keeps its prepared
    statements: it forgets them at every ROLLBACK, and then Postgres plans each shelf anew.
    Never where something is written: it would be committed at once, statement by statement.
    """
    session = db.session()
    # Within an open transaction (a test's, for one) the statements simply belong to that.
    if session.in_transaction() or not isinstance(session.get_bind(), Engine):
        return
    session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
