"""How many people audiences have, kept for some minutes: to count a million takes a second."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from pydantic import TypeAdapter, ValidationError
from redis import RedisError
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from webapp.campaigns.errors import InvalidRules
from webapp.campaigns.models import Audience, EmailType
from webapp.campaigns.services import audiences
from webapp.campaigns.services.audiences import Rules, Size
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.redis import redis_client
from webapp.core.state import current_fork
from webapp.messaging.models import MailTopic

KEPT = timedelta(minutes=10)
# A list counts what it can in this time; what is left is counted by the next look at it.
PATIENCE_SECONDS = 2.0
LONGEST_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Known:
    """An audience's rules in words, and how many they take in; None where they make no sense."""

    words: str
    size: Size | None


_JSON = TypeAdapter(Known)


class TooLong(DomainError):
    code = "count_too_long"

    def __init__(self) -> None:
        super().__init__("There are so many that counting them takes too long just now.")


def count(type_: EmailType, topic: MailTopic, rules: Rules) -> Size:
    """Return how many the rules take in now. Raises TooLong."""
    with db.session.begin_nested() as attempt:
        db.session.execute(text(f"SET LOCAL statement_timeout = '{LONGEST_SECONDS}s'"))
        try:
            return audiences.count_people(type_, topic, rules)
        except OperationalError:
            raise TooLong from None
        finally:
            if attempt.is_active:
                attempt.rollback()


def known_of(rows: Sequence[Audience]) -> dict[int, Known]:
    """Return what is known of the audiences that could be counted in time."""
    found = _kept(rows)
    until = monotonic() + PATIENCE_SECONDS
    for row in rows:
        if row.id in found or monotonic() > until:
            continue
        with suppress(TooLong):
            found[row.id] = look_at(row)
    return found


def sizes_of(rows: Sequence[Audience]) -> dict[int, Size]:
    """Return the sizes for the newsletter of those audiences that could be counted in time."""
    return {key: known.size for key, known in known_of(rows).items() if known.size}


def look_at(row: Audience) -> Known:
    """Return an audience in words and its size for the newsletter now. Raises TooLong."""
    try:
        rules = audiences.read_rules(row.rules)
        size = count(EmailType.BOTH, MailTopic.NEWSLETTER, rules)
        known = Known(audiences.describe(rules), size)
    except InvalidRules as error:
        # They ask for what is gone by now.
        known = Known(error.sentence, None)
    with suppress(RedisError):
        redis_client().set(_key(row), _JSON.dump_json(known), ex=KEPT)
    return known


def _kept(rows: Sequence[Audience]) -> dict[int, Known]:
    found: dict[int, Known] = {}
    if not rows:
        return found
    with suppress(RedisError):
        texts = redis_client().mget([_key(row) for row in rows])
        for row, text_ in zip(rows, texts, strict=True):
            if isinstance(text_, bytes):
                with suppress(ValidationError):
                    found[row.id] = _JSON.validate_json(text_)
    return found


def _key(row: Audience) -> str:
    """Its rules are named by when they changed last, so that the size is never another's."""
    return current_fork().redis_key("audience", f"{row.id}:{row.updated_at.timestamp()}")
