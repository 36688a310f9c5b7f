"""What client events know of a person: handed over, or made anybody's."""

from collections.abc import Iterator

from sqlalchemy import ColumnElement, and_, func, or_, select, update

from webapp.campaigns.models import ClientEvent
from webapp.core.db import db
from webapp.core.privacy import Chapter, Person, Tally, among, rows_of, run

KEPT = "That somebody saw a page and when, for the figures of the shop; nothing says who."


def chapters(person: Person) -> Iterator[Chapter]:
    """Yield what the person did here while logged in."""
    events = rows_of(
        ClientEvent, ClientEvent.user_id == person.user_id, leave_out=("id", "user_id")
    )
    yield Chapter("events", "Pages you looked at and buttons you pressed.", events)


def erase(person: Person, tally: Tally) -> None:
    """Untie the person's events, also those of their browsers from before they logged in."""
    tally.anonymised("client_event", _untie(_of(person)), KEPT)


def _of(person: Person) -> ColumnElement[bool]:
    mine = ClientEvent.user_id == person.user_id
    browsers = list(db.session.scalars(select(ClientEvent.visitor_id).where(mine).distinct()))
    before = and_(ClientEvent.user_id.is_(None), among(ClientEvent.visitor_id, browsers))
    return or_(mine, before)


def _untie(where: ColumnElement[bool]) -> int:
    # What a path asked for may name somebody, and a long part of it is a key.
    bare = func.regexp_replace(ClientEvent.path, "[?#].*$", "")
    short = func.regexp_replace(bare, "/[^/]*(@|%40|[^/]{40})[^/]*", "/...", "gi")
    return run(
        update(ClientEvent)
        .where(where)
        .values(
            user_id=None,
            # A fresh one for each: nothing says that two events were one person's.
            visitor_id=func.gen_random_uuid(),
            path=short,
            label="",
            email_code=None,
            details={},
        )
    )
