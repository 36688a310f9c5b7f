"""What timelines and the dashboard ask about mails, without dragging their bodies along."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, literal, select

from webapp.core.db import db
from webapp.messaging.models import BounceKind, Mail, MailBounce, MailState


@dataclass(frozen=True, slots=True)
class MailLine:
    """One mail as a line of a list."""

    id: int
    kind: str
    recipient: str
    subject: str
    state: MailState
    attempts: int
    smtp_reply: str | None
    created_at: datetime
    sent_at: datetime | None


def list_mails(*subject_refs: str) -> list[MailLine]:
    """Return the mails about a thing ("order:42") or some, oldest first, for a timeline."""
    statement = (
        select(
            Mail.id,
            Mail.kind,
            Mail.recipient,
            Mail.subject,
            Mail.state,
            Mail.attempts,
            Mail.smtp_reply,
            Mail.created_at,
            Mail.sent_at,
        )
        .where(Mail.subject_ref.in_(subject_refs))
        .order_by(Mail.id)
    )
    return [MailLine(*row) for row in db.session.execute(statement)]


def count_lately(recipient: str, kinds: Collection[str], since: datetime) -> int:
    """Return how many mails of these kinds were written to somebody since a moment."""
    return (
        db.session.scalar(
            select(func.count()).where(
                Mail.recipient == recipient, Mail.kind.in_(kinds), Mail.created_at >= since
            )
        )
        or 0
    )


@dataclass(frozen=True, slots=True)
class BounceLine:
    """What another mail server reported about one of our mails."""

    kind: BounceKind
    status: str
    diagnostic: str
    at: datetime


def list_bounces(code: str) -> list[BounceLine]:
    """Return what came back of the mail with this code, oldest first."""
    return _bounces(Mail.code == code)


def list_bounces_about(*subject_refs: str) -> list[BounceLine]:
    """Return what came back of the mails about a thing ("order:42") or some, oldest first."""
    return _bounces(Mail.subject_ref.in_(subject_refs))


def _bounces(of: ColumnElement[bool]) -> list[BounceLine]:
    """A bounce's key is its kind and its mail's code: found by that, it needs no other index."""
    keys = [literal(f"{kind.value}:") + Mail.code for kind in BounceKind]
    statement = (
        select(MailBounce.kind, MailBounce.status, MailBounce.diagnostic, MailBounce.at)
        .join(Mail, MailBounce.key.in_(keys))
        .where(of)
        .order_by(MailBounce.at, MailBounce.id)
    )
    return [BounceLine(*row) for row in db.session.execute(statement)]
