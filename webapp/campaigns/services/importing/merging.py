"""The people of a file into the tables, set by set: nobody's no is turned into a yes."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, cast

from psycopg.types.json import Jsonb
from sqlalchemy import CursorResult, text

from webapp.campaigns.services.importing.people_reading import Person, Standing
from webapp.campaigns.services.importing.report import ImportReport
from webapp.core.db import db
from webapp.messaging.models import MailTopic

MANY = 5000
STAGE = """
CREATE TEMPORARY TABLE import_person (
    email text PRIMARY KEY, standing smallint, said_at timestamptz, name text, country text,
    time_zone text, tags text[], attributes jsonb
) ON COMMIT DROP
"""
COPY = b"COPY import_person FROM STDIN"
# Those who left are not met again: only what they said is kept.
PROSPECTS = """
INSERT INTO prospect AS p (email, name, source, country, time_zone, attributes, member_id,
                           converted_at, created_at)
SELECT s.email, s.name, 'import', s.country, s.time_zone, s.attributes, m.id,
       CASE WHEN m.id IS NOT NULL THEN CAST(:now AS timestamptz) END, :now
FROM import_person s
LEFT JOIN "user" u ON u.email = s.email AND u.email_verified_at IS NOT NULL
                  AND u.erased_at IS NULL
LEFT JOIN member m ON m.user_id = u.id
WHERE s.standing IN (:yes, :silent)
ORDER BY s.email
ON CONFLICT (email) DO UPDATE
SET name = coalesce(nullif(p.name, ''), excluded.name),
    country = coalesce(nullif(p.country, ''), excluded.country),
    time_zone = coalesce(nullif(p.time_zone, ''), excluded.time_zone),
    attributes = p.attributes || excluded.attributes
WHERE (p.name = '' AND excluded.name <> '')
   OR (p.country = '' AND excluded.country <> '')
   OR (p.time_zone = '' AND excluded.time_zone <> '')
   OR NOT p.attributes @> excluded.attributes
RETURNING xmax = 0 AS is_new
"""
TAGS = """
INSERT INTO person_tag (email, tag, created_at)
SELECT s.email, t.tag, :now FROM import_person s CROSS JOIN LATERAL unnest(s.tags) AS t(tag)
WHERE s.standing IN (:yes, :silent)
ORDER BY 1, 2
ON CONFLICT DO NOTHING RETURNING 1
"""
SUPPRESSIONS = """
INSERT INTO mail_suppression AS m (email, scope, reason, source, detail, at)
SELECT s.email, CASE WHEN s.standing = :dead THEN 'all' ELSE 'marketing' END, 'import', :source,
       '', coalesce(s.said_at, :now)
FROM import_person s
WHERE s.standing IN (:blocked, :dead)
ORDER BY s.email
ON CONFLICT (email) DO UPDATE
SET scope = excluded.scope, reason = excluded.reason, source = excluded.source,
    detail = excluded.detail, at = excluded.at
WHERE m.scope = 'marketing' AND excluded.scope = 'all'
RETURNING 1
"""
# Somebody who leaves while this runs must not find a yes after their no: they wait for us, and
# what they say comes after. Rolling back to the savepoint gives the lock back.
TURN = "LOCK TABLE mail_consent IN SHARE ROW EXCLUSIVE MODE"
STANDING = """
CREATE TEMPORARY TABLE import_answer ON COMMIT DROP AS
SELECT DISTINCT ON (c.email) c.email, c.wanted, c.at
FROM mail_consent c JOIN import_person s ON s.email = c.email
WHERE c.topic = :topic ORDER BY c.email, c.id DESC
"""
KEPT_NO = """
SELECT count(*) FROM import_person s JOIN import_answer a ON a.email = s.email
WHERE s.standing = :yes AND NOT a.wanted
"""
YES = """
INSERT INTO mail_consent (email, topic, wanted, source, at)
SELECT s.email, :topic, true, :source, coalesce(s.said_at, :now)
FROM import_person s LEFT JOIN import_answer a ON a.email = s.email
WHERE s.standing = :yes AND a.email IS NULL
ORDER BY s.email RETURNING 1
"""
# A no from before somebody said yes here is over.
NO = """
INSERT INTO mail_consent (email, topic, wanted, source, at)
SELECT s.email, :topic, false, :source, coalesce(s.said_at, :now)
FROM import_person s LEFT JOIN import_answer a ON a.email = s.email
WHERE s.standing IN (:left, :blocked)
  AND (a.email IS NULL OR (a.wanted AND coalesce(s.said_at, :now) >= a.at))
ORDER BY s.email RETURNING 1
"""


def merge(
    people: Iterable[Person], topic: MailTopic, source: str, now: datetime, report: ImportReport
) -> None:
    """Bring the people in and count what changed; the caller undoes it for a dry run."""
    _stage(people)
    values: dict[str, Any] = {each.name.lower(): each.value for each in Standing}
    values |= {"topic": topic.value, "source": source, "now": now}
    met = _run(PROSPECTS, values)
    report.created = sum(1 for (is_new,) in met if is_new)
    report.changed = len(met) - report.created
    report.tagged = len(_run(TAGS, values))
    report.suppressed = len(_run(SUPPRESSIONS, values))
    _run(TURN, {})
    _run(STANDING, values)
    report.kept_no = _run(KEPT_NO, values)[0][0]
    report.agreed = len(_run(YES, values))
    report.left = len(_run(NO, values))
    _run("DROP TABLE import_person, import_answer", {})
    if report.people > MANY and report.applied:
        # The audience may be asked for at once, and the planner would take the tables for small.
        _run("ANALYZE prospect, mail_consent, person_tag, mail_suppression", {})


def _stage(people: Iterable[Person]) -> None:
    _run(STAGE, {})
    connection: Any = db.session.connection().connection.driver_connection
    with connection.cursor() as cursor, cursor.copy(COPY) as copy:
        for each in people:
            copy.write_row(
                (
                    each.email,
                    each.standing.value,
                    each.said_at,
                    each.name,
                    each.country,
                    each.time_zone,
                    each.tags,
                    Jsonb(each.attributes),
                )
            )
    _run("ANALYZE import_person", {})


def _run(statement: str, values: dict[str, Any]) -> list[Any]:
    used = {name: value for name, value in values.items() if f":{name}" in statement}
    result = cast("CursorResult[Any]", db.session.execute(text(statement), used))
    return list(result.all()) if result.returns_rows else []
