"""Saved audiences: made, changed, thrown away."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import insert

from webapp.campaigns.errors import (
    AudienceInUse,
    AudienceNameTaken,
    InvalidAudience,
    InvalidRules,
    NoSuchAudience,
)
from webapp.campaigns.models import Audience, Email
from webapp.campaigns.services.audiences.conditions import meaning, read_rules
from webapp.campaigns.services.audiences.rules import write_rules
from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db

MAX_NAME = 100
SHOWN = 3


def create_audience(name: str, rules: Mapping[str, Any], by: Actor) -> Audience:
    """Save an audience; flushes. Raises InvalidAudience, AudienceNameTaken or InvalidRules."""
    values: dict[str, Any] = {
        "name": _checked(name),
        "rules": _kept(rules),
        "created_at": clock.now(),
        "updated_at": clock.now(),
    }
    statement = insert(Audience).values(values).on_conflict_do_nothing(index_elements=["name"])
    audience: Audience | None = db.session.scalar(statement.returning(Audience))
    if audience is None:
        raise AudienceNameTaken(values["name"])
    record(by, "audience.created", f"audience:{audience.id}")
    db.session.flush()
    return audience


def edit_audience(audience_id: int, name: str, rules: Mapping[str, Any], by: Actor) -> Audience:
    """Change an audience; flushes. Mails that are populated keep whom they have.

    Raises NoSuchAudience, InvalidAudience, AudienceNameTaken or InvalidRules.
    """
    audience = _locked(audience_id)
    wanted = {"name": _checked(name), "rules": _kept(rules)}
    changed = [field for field, value in wanted.items() if getattr(audience, field) != value]
    if "name" in changed:
        taken = select(Audience.id).where(Audience.name == wanted["name"])
        if db.session.scalar(taken) is not None:
            raise AudienceNameTaken(str(wanted["name"]))
    for field in changed:
        setattr(audience, field, wanted[field])
    if changed:
        record(by, "audience.edited", f"audience:{audience.id}", fields=changed)
    db.session.flush()
    return audience


def delete_audience(audience_id: int, by: Actor) -> None:
    """Throw an audience away; flushes. Raises NoSuchAudience, or AudienceInUse naming the mails."""
    audience = _locked(audience_id)
    uses = or_(Email.audience_id == audience.id, Email.exclude_id == audience.id)
    names = list(
        db.session.scalars(select(Email.name).where(uses).order_by(Email.id).limit(SHOWN + 1))
    )
    if names:
        shown = ", ".join(f"“{name}”" for name in names[:SHOWN])
        more = " and others" if len(names) > SHOWN else ""
        raise AudienceInUse(
            f"This audience is used by {shown}{more}. Choose another one there, or keep it: "
            "mails that were sent go on telling whom they were for."
        )
    db.session.delete(audience)
    record(by, "audience.deleted", f"audience:{audience_id}")
    db.session.flush()


def _locked(audience_id: int) -> Audience:
    # A mail that is given the audience meanwhile waits for this, or this for it.
    audience = db.session.get(Audience, audience_id, with_for_update=True, populate_existing=True)
    if audience is None:
        raise NoSuchAudience
    return audience


def _kept(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return rules as they are stored. Raises InvalidRules, also for what names nothing.

    That is asked only now: what is deleted later makes no saved audience unreadable.
    """
    rules = read_rules(raw)
    for condition in rules.conditions():
        question, _ = meaning(condition)
        lacking = question.lacks(condition)
        if lacking:
            raise InvalidRules(f"“{question.title}”: there is nothing named {', '.join(lacking)}.")
    return write_rules(rules)


def _checked(name: str) -> str:
    name = name.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidAudience(f"Give the audience a name of up to {MAX_NAME} characters.")
    return name
