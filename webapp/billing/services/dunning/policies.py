"""The policy in force, and the versions before it that older cases still go by."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from webapp.billing.errors import InvalidPolicy
from webapp.billing.models import DunningPolicy
from webapp.billing.policy import Policy
from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db, take_turns
from webapp.core.models import ActorKind

# The templates there are: ``email/dunning_<name>.*``, and what each is for.
MAILS = {
    "failed": "The payment failed",
    "reminder": "A reminder while everything still works",
    "walled": "Access is on hold",
    "urgent": "It ends in a few days",
    "last": "The last reminder",
}


def in_force() -> DunningPolicy:
    """Return the policy in force; the default one is written where nobody chose any. Flushes."""
    found = _find()
    if found is None:
        values = {
            "rules": Policy().as_rules(),
            "in_force": True,
            "note": "What everybody begins with.",
            "author": ActorKind.SYSTEM.value,
            "created_at": clock.now(),
        }
        # Two that begin at once write one: the second waits for the first and finds its row.
        db.session.execute(insert(DunningPolicy).values(values).on_conflict_do_nothing())
        found = _find()
    if found is None:
        raise LookupError("no policy in force")
    return found


def put_in_force(rules: dict[str, Any], by: Actor, note: str = "") -> DunningPolicy:
    """Put a new version in force for cases that open from now on; flushes.

    Cases under way keep theirs. The same rules again change nothing. Raises InvalidPolicy.
    """
    policy = Policy.of(rules)
    _check_mails(policy)
    take_turns("dunning-policy")
    current = _find()
    if current is not None and Policy.of(current.rules) == policy:
        return current
    if current is not None:
        current.in_force = False
        db.session.flush()
    author = f"{by.kind.value}:{by.id}" if by.id else by.kind.value
    version = DunningPolicy(rules=policy.as_rules(), note=note, author=author)
    db.session.add(version)
    db.session.flush()
    record(by, "dunning_policy.put_in_force", f"dunning_policy:{version.id}")
    return version


def _find() -> DunningPolicy | None:
    return db.session.scalar(select(DunningPolicy).where(DunningPolicy.in_force))


def _check_mails(policy: Policy) -> None:
    unknown = sorted({mailing.mail for mailing in policy.mailings} - MAILS.keys())
    if unknown:
        raise InvalidPolicy(f"There is no mail named {', '.join(unknown)}.")
