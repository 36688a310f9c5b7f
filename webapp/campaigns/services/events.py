"""What visitors did: held in a Redis stream for the moment, written to Postgres in batches.

A browser's event id makes every step repeatable: whatever dies in between, an event that was held
is written once. Only a Redis that is emptied loses the few seconds it held.
"""

import logging
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from pydantic import BaseModel, ConfigDict
from redis import RedisError
from sqlalchemy import (
    CursorResult,
    DateTime,
    Table,
    Text,
    Uuid,
    bindparam,
    column,
    delete,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from webapp.accounts.models import User
from webapp.campaigns.models import ClientEvent, ClientEventKind
from webapp.campaigns.services import streams
from webapp.campaigns.services.streams import Batch
from webapp.core.db import db
from webapp.core.queue import Queue, ring
from webapp.core.redis import redis_client
from webapp.core.state import current_fork

logger = logging.getLogger(__name__)

DRAIN = "jobs.campaigns.drain_client_events"
# As many as Redis holds while nobody drains: some 300 MB.
MAX_WAITING = 1_000_000
# The clock drains every few seconds; a ring before that has to be worth a job.
WORTH_A_RING = 200
FIELD = b"event"
TURN = 0x4556_5453  # any constant: advisory locks are per database, so per fork


class Happening(BaseModel):
    """One event as it is kept, in Redis as JSON and in Postgres as a row."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_id: uuid.UUID
    kind: ClientEventKind
    visitor_id: uuid.UUID
    user_id: uuid.UUID | None
    path: str
    label: str
    ad_code: str | None
    email_code: str | None
    details: dict[str, Any]
    at: datetime
    received_at: datetime


def hold(happenings: Sequence[Happening]) -> bool:
    """Put events into the stream; False if Redis is away, and then perhaps some of them."""
    stream = _stream()
    try:
        with redis_client().pipeline(transaction=False) as pipe:
            for happening in happenings:
                entry: dict[Any, Any] = {FIELD: happening.model_dump_json()}
                pipe.xadd(stream, entry, maxlen=MAX_WAITING, approximate=True)
            pipe.xlen(stream)
            waiting = int(pipe.execute()[-1])
    except RedisError as error:
        logger.warning("client events not held", extra={"why": type(error).__name__})
        return False
    if waiting >= WORTH_A_RING:
        ring(DRAIN, Queue.TRACKING)
    return True


def take(limit: int) -> Batch[Happening]:
    """Return the oldest events that wait. They stay in the stream until ``forget``."""
    return streams.take(_stream(), FIELD, Happening.model_validate_json, limit)


def forget(batch: Batch[Happening]) -> None:
    """Take a batch out of the stream: once its rows are committed, or it is hopeless."""
    streams.forget(_stream(), batch.entries)


def take_turn() -> bool:
    """Let one worker write at a time, until its transaction ends; False if another does.

    Two would do no harm, only the same work.
    """
    return bool(db.session.scalar(select(func.pg_try_advisory_xact_lock(TURN))))


def write(happenings: Sequence[Happening]) -> int:
    """Insert the events that aren't there yet, in one statement; returns how many were new.

    Of people who are gone, or erased since, only the anonymous part is written.
    """
    if not happenings:
        return 0
    rows = [happening.model_dump(mode="json") for happening in happenings]
    result = db.session.execute(_INSERT, {"rows": rows})
    return cast("CursorResult[Any]", result).rowcount


def _insert() -> Any:
    sent = (
        func.jsonb_to_recordset(bindparam("rows", type_=JSONB))
        .table_valued(
            column("event_id", Uuid()),
            column("kind", Text()),
            column("visitor_id", Uuid()),
            column("user_id", Uuid()),
            column("path", Text()),
            column("label", Text()),
            column("ad_code", Text()),
            column("email_code", Text()),
            column("details", JSONB()),
            column("at", DateTime(timezone=True)),
            column("received_at", DateTime(timezone=True)),
        )
        .render_derived(name="sent", with_types=True)
    )
    values = {c.name: User.id if c.name == "user_id" else c for c in sent.c}
    statement = (
        select(*values.values())
        .select_from(sent)
        .join(User, (User.id == sent.c.user_id) & User.erased_at.is_(None), isouter=True)
        # One order for all, so that two who write the same events don't lock each other out.
        .order_by(sent.c.event_id)
    )
    return (
        insert(cast(Table, ClientEvent.__table__))
        .from_select(list(values), statement, include_defaults=False)
        .on_conflict_do_nothing(index_elements=["event_id"])
    )


_INSERT = _insert()


def purge(before: datetime, limit: int) -> int:
    """Delete up to ``limit`` events older than ``before``; returns how many."""
    old = select(ClientEvent.id).where(ClientEvent.at < before).order_by(ClientEvent.at)
    gone = db.session.execute(delete(ClientEvent).where(ClientEvent.id.in_(old.limit(limit))))
    return cast("CursorResult[Any]", gone).rowcount


def _stream() -> str:
    return current_fork().redis_key("client_events")
