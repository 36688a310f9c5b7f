"""Where links lead: a map for each mail, in this process, in Redis, and truly in Postgres.

A link that was mailed never changes, so a map goes on answering when nobody can be asked. One that
may be out of date is asked for again each minute: a mail that went back to draft is frozen anew.
"""

import json
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

from flask import current_app
from redis import RedisError
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from webapp.campaigns.errors import LinksUnavailable
from webapp.campaigns.models import EmailLink
from webapp.core.db import db
from webapp.core.redis import redis_client
from webapp.core.state import current_config, current_fork

logger = logging.getLogger(__name__)

FRESH_SECONDS = 60
# Mails that nobody knows: somebody guesses, or a mail was made a moment ago.
UNKNOWN_SECONDS = 5
# How long those who didn't answer aren't asked again.
REST_SECONDS = 3
# Codes cost nothing to make up: what a process asks Postgres about unknown mails is bounded.
ASKS_PER_SECOND = 20
MAX_MAPS = 5000
KEEP_SECONDS = 400 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Link:
    """``ours``: a page of this shop. ``trap``: no person sees it."""

    url: str
    trap: bool
    ours: bool


@dataclass(slots=True)
class _Map:
    links: dict[int, Link]
    fresh_until: float


@dataclass(slots=True)
class _Maps:
    """What one process knows. Threads share it: each step is one operation on a dict."""

    by_email: dict[int, _Map] = field(default_factory=dict)
    redis_rests_until: float = 0
    postgres_rests_until: float = 0
    second: int = 0
    asked: int = 0


def find_link(email_id: int, number: int) -> Link | None:
    """Return where a link leads; None for one that was never registered.

    Raises LinksUnavailable when the mail isn't known here and nobody answers.
    """
    maps = _maps()
    known = maps.by_email.get(email_id)
    now = time.monotonic()
    if known is None or now >= known.fresh_until:
        known = _renew(maps, email_id, known, now)
    return known.links.get(number)


def publish_links(email_id: int) -> None:
    """Put a mail's links where every process finds them while Postgres is away.

    Called when a mail is frozen, and again when it starts: what is committed by then holds. Redis
    away is no failure, as a map is also filled from Postgres.
    """
    _maps().by_email.pop(email_id, None)
    _put_into_redis(email_id, _rows(email_id))


def _renew(maps: _Maps, email_id: int, known: _Map | None, now: float) -> _Map:
    if known is not None:
        # The others go on with what is known while one asks.
        known.fresh_until = now + FRESH_SECONDS
    links = _from_redis(maps, email_id, now) or _from_postgres(maps, email_id, now)
    if links is None:
        if known is None:
            raise LinksUnavailable
        known.fresh_until = now + REST_SECONDS
        return known
    if len(maps.by_email) >= MAX_MAPS:
        maps.by_email.clear()
    fresh = _Map(links, now + (FRESH_SECONDS if links else UNKNOWN_SECONDS))
    maps.by_email[email_id] = fresh
    return fresh


def _from_redis(maps: _Maps, email_id: int, now: float) -> dict[int, Link]:
    """Return the links; none when Redis has none, or doesn't answer."""
    if now < maps.redis_rests_until:
        return {}
    try:
        found = cast("dict[bytes, bytes]", redis_client().hgetall(_key(email_id)))
    except RedisError:
        maps.redis_rests_until = time.monotonic() + REST_SECONDS
        return {}
    links = {}
    for number, value in found.items():
        url, trap = json.loads(value)
        links[int(number)] = _link(url, trap)
    return links


def _from_postgres(maps: _Maps, email_id: int, now: float) -> dict[int, Link] | None:
    """Return the links, perhaps none; None when Postgres doesn't answer."""
    if now < maps.postgres_rests_until or _is_too_much(maps, now):
        return None
    try:
        rows = _rows(email_id)
        db.session.rollback()
    except SQLAlchemyError as error:
        db.session.remove()
        maps.postgres_rests_until = time.monotonic() + REST_SECONDS
        logger.warning("links not found, Postgres is away", extra={"why": type(error).__name__})
        return None
    if rows:
        _put_into_redis(email_id, rows)
    return {row.number: _link(row.url, row.trap) for row in rows}


def _is_too_much(maps: _Maps, now: float) -> bool:
    second = int(now)
    if maps.second != second:
        maps.second, maps.asked = second, 0
    maps.asked += 1
    return maps.asked > ASKS_PER_SECOND


def _rows(email_id: int) -> list[Any]:
    columns = EmailLink.number, EmailLink.url, EmailLink.trap
    return list(db.session.execute(select(*columns).where(EmailLink.email_id == email_id)).all())


def _put_into_redis(email_id: int, rows: Iterable[Any]) -> None:
    values: dict[Any, Any] = {row.number: json.dumps([row.url, row.trap]) for row in rows}
    key = _key(email_id)
    try:
        with redis_client().pipeline() as pipe:
            pipe.delete(key)
            if values:
                pipe.hset(key, mapping=values)
                pipe.expire(key, KEEP_SECONDS)
            pipe.execute()
    except RedisError as error:
        logger.warning("links not published", extra={"why": type(error).__name__})


def _link(url: str, trap: bool) -> Link:
    return Link(url, trap, _origin(url) == _origin(current_config().base_url))


def _origin(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", url
    return parts.scheme.lower(), parts.netloc.lower()


def _key(email_id: int) -> str:
    return current_fork().redis_key("email_links", email_id)


def _maps() -> _Maps:
    return cast(_Maps, current_app.extensions.setdefault("email_links", _Maps()))
