"""The room of the audit: who did what to whom and when, to search, to narrow and to take along."""

import csv
import io
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from flask import Response, request, stream_with_context
from sqlalchemy import ColumnElement, select, union

from admin.base import Column, Filter, Link, Room, page, record
from admin.subjects import person_link, subject_links
from webapp.accounts.permissions import Permission
from webapp.accounts.queries.naming import find_ids_by_email, find_prospect_id, name_people
from webapp.core import clock
from webapp.core.audit_reading import list_actions, words
from webapp.core.db import db
from webapp.core.models import ActorKind, AuditEntry
from webapp.core.spreadsheets import defused
from webapp.core.state import current_fork

PERIODS = {"1": "Last 24 hours", "7": "Last 7 days", "30": "Last 30 days", "365": "Last year"}
BATCH = 1000
HEAD = (
    "id",
    "at",
    "actor_kind",
    "actor_id",
    "actor_email",
    "action",
    "subject",
    "user_id",
    "user_email",
    "network",
    "request_id",
    "details",
)


def _actions() -> list[tuple[str, str]]:
    return [(action, words(action)) for action in list_actions()]


class Audit(Room):
    """What was done, for good: a trigger in the database refuses to change or remove it."""

    noun = "entry"
    may_see = Permission.AUDIT_VIEW
    intro = "Entries are added and never changed. People are named by the address they have now."
    search_hint = "Email of a person, or subject like order:42"
    columns = (
        Column("at", "When", "moment", sort=AuditEntry.id),
        Column("action", "What", "text", lambda row: words(row.action)),
        Column("actor", "Who", "link"),
        Column("subject", "About", "link"),
        Column("user", "Whose", "link"),
        Column("network", "From", "code"),
    )
    facts = (
        Column("at", "When", "moment"),
        Column("action", "What", "code"),
        Column("actor", "Who", "link"),
        Column("actor_kind", "As", "text", lambda row: row.actor_kind.value.capitalize()),
        Column("subject", "About", "link"),
        Column("user", "Whose", "link"),
        Column("network", "From network", "code"),
        Column("request_id", "Request", "code"),
    )
    filters = (
        Filter(
            "kind",
            "Who",
            [(kind.value, kind.value.capitalize()) for kind in ActorKind],
            lambda value: AuditEntry.actor_kind == ActorKind(value),
        ),
        Filter("action", "What", _actions, lambda value: AuditEntry.action == value),
        Filter(
            "period",
            "When",
            list(PERIODS.items()),
            lambda value: AuditEntry.at >= clock.now() - timedelta(days=int(value)),
        ),
    )
    details_template = "admin/audit/entry.html"

    def search(self, text: str) -> ColumnElement[bool]:
        """Match what was done to a thing, to a person, or by a person; each by its own index."""
        if "@" in text:
            people, prospect = find_ids_by_email(text), find_prospect_id(text)
            subjects = [f"prospect:{prospect}"] if prospect is not None else []
        else:
            people, subjects = _uuids(text), [text]
        subjects += [f"user:{person}" for person in people]
        return AuditEntry.id.in_(
            union(
                select(AuditEntry.id).where(AuditEntry.user_id.in_(people)),
                select(AuditEntry.id).where(AuditEntry.actor_id.in_(people)),
                select(AuditEntry.id).where(AuditEntry.subject.in_(subjects)),
            )
        )

    def gather(self, rows: Sequence[AuditEntry]) -> Mapping[Any, Mapping[str, Any]]:
        people = name_people([each for row in rows for each in (row.actor_id, row.user_id)])
        links = subject_links(row.subject for row in rows)
        return {
            row.id: {
                "actor": person_link(row.actor_id, people)
                or Link(row.actor_kind.value.capitalize(), None),
                "subject": links.get(row.subject),
                "user": person_link(row.user_id, people),
            }
            for row in rows
        }

    def title_of(self, row: AuditEntry) -> str:
        return f"{words(row.action)}, entry {row.id}"

    def detail(self, row: AuditEntry) -> dict[str, Any]:
        return {
            "gathered": self.gather([row])[row.id],
            "details": json.dumps(row.details, indent=2, ensure_ascii=False),
        }

    def links(self) -> list[Link]:
        chosen = {each.name: each.chosen() or None for each in self.filters}
        search = request.args.get("search") or None
        return [Link("Export as CSV", self.get_url(".export", search=search, **chosen))]

    @page("/export.csv", read=Permission.AUDIT_VIEW)
    def export(self) -> Response:
        """Everything that search and filters leave, the newest first, as it is read."""
        chosen = {each.name: each.chosen() for each in self.filters if each.chosen()}
        record("audit.exported", "audit", filters=chosen)
        db.session.commit()
        name = f"{current_fork().name}-audit-{clock.now():%Y-%m-%d}.csv"
        return Response(
            stream_with_context(self._lines(request.args.get("search"))),
            mimetype="text/csv",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    def _lines(self, search: str | None) -> Iterator[str]:
        """Yield the file in batches, each read by its key: memory stays flat, however many."""
        yield _line(HEAD)
        found = self._narrowed(search).order_by(AuditEntry.id.desc()).limit(BATCH)
        batch = db.session.scalars(found).all()
        while batch:
            people = name_people([each for row in batch for each in (row.actor_id, row.user_id)])
            emails = {key: person.email for key, person in people.items()}
            yield "".join(_line(_cells(row, emails)) for row in batch)
            last = batch[-1].id
            for row in batch:
                db.session.expunge(row)
            batch = db.session.scalars(found.where(AuditEntry.id < last)).all()


def _cells(row: AuditEntry, emails: Mapping[uuid.UUID, str]) -> tuple[object, ...]:
    return (
        row.id,
        row.at.isoformat(),
        row.actor_kind.value,
        row.actor_id,
        emails.get(row.actor_id) if row.actor_id else None,
        row.action,
        row.subject,
        row.user_id,
        emails.get(row.user_id) if row.user_id else None,
        row.network,
        row.request_id,
        json.dumps(row.details, ensure_ascii=False),
    )


def _line(cells: Sequence[object]) -> str:
    written = io.StringIO()
    texts = ["" if cell is None else str(cell) for cell in cells]
    csv.writer(written).writerow([defused(text) for text in texts])
    return written.getvalue()


def _uuids(text: str) -> list[uuid.UUID]:
    try:
        return [uuid.UUID(text.removeprefix("user:"))]
    except ValueError:
        return []
