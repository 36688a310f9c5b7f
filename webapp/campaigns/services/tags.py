"""Words that staff hang on people, to find them again as an audience."""

from collections.abc import Iterable

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from webapp.accounts.models import Prospect
from webapp.accounts.services.prospects import find_verified_member_id
from webapp.campaigns.errors import InvalidTag
from webapp.campaigns.models import PersonTag
from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db
from webapp.messaging.services.addresses import folded

MAX_TAG, MAX_TAGS = 60, 100


def read_tag(text: str) -> str:
    """Return a tag as it is kept: in small letters, on one line. Raises InvalidTag."""
    tag = " ".join(text.split()).lower()
    if not tag or len(tag) > MAX_TAG or not tag.isprintable() or "," in tag:
        raise InvalidTag(f"A tag is a word or a few, up to {MAX_TAG} characters without commas.")
    return tag


def add_tags(address: str, tags: Iterable[str], by: Actor) -> list[str]:
    """Hang tags on an address; flushes. Returns those it didn't have. Raises InvalidTag."""
    email, wanted = folded(address), sorted({read_tag(tag) for tag in tags})
    if not wanted:
        return []
    if len({*tags_of(email), *wanted}) > MAX_TAGS:
        raise InvalidTag(f"A person has at most {MAX_TAGS} tags.")
    rows = [{"email": email, "tag": tag, "created_at": clock.now()} for tag in wanted]
    statement = insert(PersonTag).values(rows).on_conflict_do_nothing().returning(PersonTag.tag)
    added = sorted(db.session.scalars(statement))
    if added:
        record(by, "tags.added", _subject(email), count=len(added))
        db.session.flush()
    return added


def remove_tags(address: str, tags: Iterable[str], by: Actor) -> list[str]:
    """Take tags off an address; flushes. Returns those it had."""
    email, wanted = folded(address), sorted({" ".join(tag.split()).lower() for tag in tags})
    statement = (
        delete(PersonTag)
        .where(PersonTag.email == email, PersonTag.tag.in_(wanted))
        .returning(PersonTag.tag)
    )
    removed = sorted(db.session.scalars(statement))
    if removed:
        record(by, "tags.removed", _subject(email), count=len(removed))
        db.session.flush()
    return removed


def tags_of(address: str) -> list[str]:
    """Return the tags of an address, by name."""
    statement = select(PersonTag.tag).where(PersonTag.email == folded(address))
    return list(db.session.scalars(statement.order_by(PersonTag.tag)))


def list_tags(limit: int = 200) -> list[tuple[str, int]]:
    """Return the tags in use with how many people have each, the most frequent first."""
    many = func.count()
    statement = select(PersonTag.tag, many).group_by(PersonTag.tag)
    rows = db.session.execute(statement.order_by(many.desc(), PersonTag.tag).limit(limit))
    return [(tag, count) for tag, count in rows]


def _subject(email: str) -> str:
    """Return how the audit names a person: never by the address."""
    member_id = find_verified_member_id(email)
    if member_id is not None:
        return f"member:{member_id}"
    prospect_id = db.session.scalar(select(Prospect.id).where(Prospect.email == email))
    return "person:unknown" if prospect_id is None else f"prospect:{prospect_id}"
