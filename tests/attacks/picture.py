"""The whole database in one look, to show that an attack changed nothing."""

from collections.abc import Collection

from sqlalchemy import text

from webapp.core.db import Base, db

Picture = dict[str, tuple[int, str]]
# What a mere visit may add to.
TRACES = frozenset({"audit_entry", "client_event", "login_session", "job"})


def picture(*, without: Collection[str] = (), about: Collection[str] = ()) -> Picture:
    """Return each table's number of rows and a digest of them.

    ``about`` keeps only rows in which one of the words occurs, whatever the column.
    """
    tables = sorted(set(Base.metadata.tables) - set(without))
    words = {f"w{number}": f"%{word}%" for number, word in enumerate(about)}
    where = " OR ".join(f"t::text ILIKE :{name}" for name in words)
    parts = [
        f"SELECT '{name}' AS name, count(*) AS n,"
        f" md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) AS digest"
        f' FROM "{name}" t' + (f" WHERE {where}" if where else "")
        for name in tables
    ]
    found = db.session.execute(text(" UNION ALL ".join(parts)), words).all()
    db.session.rollback()
    return {row.name: (row.n, row.digest) for row in found}


def changed(before: Picture, after: Picture) -> list[str]:
    """Return the tables that differ, with their numbers of rows."""
    return [
        f"{name}: {before[name][0]} -> {after[name][0]} rows"
        for name in before
        if before[name] != after[name]
    ]
