"""From the stream and the files on this disk into Postgres, each event once.

What died on the way is done again: an event's id is unique, so writing it twice adds nothing.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    CursorResult,
    DateTime,
    SmallInteger,
    Table,
    Text,
    Uuid,
    bindparam,
    column,
    delete,
    exists,
    func,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from webapp.campaigns.models import EmailRecipient, TrackingEvent, TrackingOptOut
from webapp.campaigns.services import streams
from webapp.campaigns.services.streams import Batch
from webapp.campaigns.services.tracking import spool
from webapp.campaigns.services.tracking.event import Event, read_event
from webapp.campaigns.services.tracking.holding import FIELD, stream_key
from webapp.core import clock
from webapp.core.db import db

TURN = 0x434C_4B53  # any constant: advisory locks are per database, so per fork


def take(limit: int) -> Batch[Event]:
    """Return the events of the stream's oldest entries. They stay there until ``forget``."""
    bundles = streams.take(stream_key(), FIELD.encode(), _lines, limit)
    events, unreadable = streams.read_all(
        [line for each in bundles.items for line in each], read_event
    )
    return Batch(bundles.entries, events, unreadable)


def _lines(bundle: bytes) -> list[bytes]:
    # One line at the least: an entry without any is poison, too.
    return bundle.split(b"\n")


def forget(batch: Batch[Event]) -> None:
    """Take a batch out of the stream: once its rows are committed, or it is hopeless."""
    streams.forget(stream_key(), batch.entries)


def take_spooled(limit: int) -> Iterator[tuple[Path, Iterator[Batch[Event]]]]:
    """Yield the files on this disk that nobody writes to any more, each with its batches.

    A file is whoever read it all to delete, before asking for the next one.
    """
    for path in spool.list_files():
        with spool.taken(path) as is_ours:
            if is_ours:
                yield path, map(_batch, spool.read(path, limit))


def _batch(lines: list[bytes]) -> Batch[Event]:
    return Batch([], *streams.read_all(lines, read_event))


def take_turn() -> bool:
    """Let one worker write at a time, until its transaction ends; False if another does.

    Two would do no harm, only the same work.
    """
    return bool(db.session.scalar(select(func.pg_try_advisory_xact_lock(TURN))))


def write(events: Sequence[Event]) -> int:
    """Insert the events that aren't there yet, in one statement; returns how many were new.

    Made-up codes and those of people who were erased fall out: no recipient has their secret. So
    do mails from before their reader chose not to be recorded.
    """
    if not events:
        return 0
    values = {"rows": [_row(event) for event in events], "now": clock.now()}
    return cast("CursorResult[Any]", db.session.execute(_INSERT, values)).rowcount


def _row(event: Event) -> dict[str, Any]:
    return {
        "event_id": str(event.event_id),
        "email_id": event.email_id,
        "recipient_id": event.recipient_id,
        "secret": event.secret,
        "kind": event.kind.value,
        "link": event.link,
        "method": event.method,
        "agent": event.agent,
        "network": event.network,
        "at": event.at.isoformat(),
    }


def _insert() -> Any:
    sent = (
        func.jsonb_to_recordset(bindparam("rows", type_=JSONB))
        .table_valued(
            column("event_id", Uuid()),
            column("email_id", BigInteger()),
            column("recipient_id", BigInteger()),
            column("secret", BigInteger()),
            column("kind", Text()),
            column("link", SmallInteger()),
            column("method", Text()),
            column("agent", Text()),
            column("network", Text()),
            column("at", DateTime(timezone=True)),
        )
        .render_derived(name="sent", with_types=True)
    )
    columns = [c for c in sent.c if c.name != "secret"]
    now = bindparam("now", type_=DateTime(timezone=True))
    statement = (
        select(*columns, now, literal("", Text()))
        .select_from(sent)
        .join(
            EmailRecipient,
            (EmailRecipient.email_id == sent.c.email_id)
            & (EmailRecipient.id == sent.c.recipient_id)
            & (EmailRecipient.secret == sent.c.secret),
        )
        .where(~exists().where(TrackingOptOut.email == EmailRecipient.address))
        # One order for all, so that two who write the same events don't lock each other out.
        .order_by(sent.c.event_id)
    )
    return (
        insert(cast(Table, TrackingEvent.__table__))
        .from_select(
            [*(c.name for c in columns), "received_at", "why"], statement, include_defaults=False
        )
        .on_conflict_do_nothing(index_elements=["event_id"])
    )


_INSERT = _insert()


def purge(before: datetime, limit: int) -> int:
    """Delete up to ``limit`` events older than ``before``; returns how many. Flushes."""
    old = select(TrackingEvent.id).where(TrackingEvent.at < before).order_by(TrackingEvent.at)
    gone = delete(TrackingEvent).where(TrackingEvent.id.in_(old.limit(limit)))
    return cast("CursorResult[Any]", db.session.execute(gone)).rowcount
