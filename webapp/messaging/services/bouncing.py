"""What a bounce or a complaint means for whom we write to.

Hard bounces end all mail to an address, complaints end what it may do without, soft bounces end
all mail when too many different mails meet them. Only what names a mail of ours counts: anybody
can send a report, so one with nothing but an address in it is kept and does nothing.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from webapp.core import clock
from webapp.core.db import db
from webapp.core.privacy import among
from webapp.core.state import current_config
from webapp.messaging.bounces import Report, judge_reply
from webapp.messaging.bounces.judging import NOT_THE_ADDRESS
from webapp.messaging.bounces.report import clean
from webapp.messaging.models import (
    BounceKind,
    Mail,
    MailBounce,
    MailState,
    ReportSource,
    SuppressionReason,
    SuppressionScope,
)
from webapp.messaging.services.addresses import folded
from webapp.messaging.services.composing import ADDRESS
from webapp.messaging.services.suppressing.keeping import stricter

SOFT_WINDOW = timedelta(days=30)
SMTP = "smtp"
# How the suppression list names where it knows something from.
_SOURCES = {
    ReportSource.MAIL.value: "bounce mail",
    ReportSource.SES.value: "ses",
    ReportSource.SENDGRID.value: "sendgrid",
    SMTP: "smtp reply",
}


@dataclass(frozen=True, slots=True)
class Match:
    """The mail of ours that a report is about, by the address it went to.

    No ``code``: a provider that signed its report named an address that we wrote to. ``at`` is
    when it happened, as the mail was told.
    """

    email: str
    code: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Refusal:
    """A mail server's 5xx to one recipient, while the mail was handed over."""

    code: str
    email: str
    reply: str
    at: datetime


def recipient_of(code: str) -> str | None:
    """Return the address that the mail with this code went to; None if no mail has it."""
    return db.session.scalar(select(Mail.recipient).where(Mail.code == code)) or None


def has_written_to(email: str) -> bool:
    """Say whether a mail went to this address lately."""
    sent = (MailState.SENT, MailState.UNKNOWN)
    return bool(
        db.session.scalar(
            select(Mail.id)
            .where(
                among(Mail.recipient, sorted({email, folded(email)})),
                Mail.state.in_(sent),
                Mail.created_at > clock.now() - SOFT_WINDOW,
            )
            .limit(1)
        )
    )


def note(found: Sequence[tuple[Report, Match | None]], source: ReportSource) -> int:
    """Write down the claims of one report and act on those about mails of ours; flushes.

    A claim counts once for ever: by its mail and kind, or by its own key where it names no mail
    of ours. Returns how many were new.
    """
    rows = [_row(report, match, source) for report, match in found]
    ours = [row for row, (_, match) in zip(rows, found, strict=True) if match is not None]
    return _write(rows, ours)


def note_refusals(refusals: Iterable[Refusal]) -> int:
    """Write down who was refused while mails were handed over, and act on it; flushes.

    A refusal for the sake of the mailbox suppresses at once; one for what we sent, or who we are,
    says nothing of the address and never does.
    """
    rows = []
    for refusal in refusals:
        judged = judge_reply(refusal.reply)
        rows.append(
            {
                "key": f"{judged.kind.value}:{refusal.code}",
                "email": folded(refusal.email),
                "code": refusal.code,
                "kind": judged.kind,
                "status": judged.status,
                "diagnostic": clean(refusal.reply),
                "source": SMTP,
                "at": refusal.at,
            }
        )
    return _write(rows, rows)


def _row(report: Report, match: Match | None, source: ReportSource) -> dict[str, Any]:
    code = match.code if match else None
    return {
        "key": f"{report.kind.value}:{code}" if code else report.key,
        "email": folded(match.email if match else report.email or ""),
        "code": code,
        "kind": report.kind,
        "status": report.status,
        "diagnostic": report.diagnostic,
        "source": source.value,
        "at": match.at if match else believable(report.at),
    }


def believable(at: datetime | None) -> datetime:
    """Return when it happened, or now where the report tells a time that can't be."""
    now = clock.now()
    return at if at is not None and now - SOFT_WINDOW < at < now else now


def _write(rows: Sequence[dict[str, Any]], ours: Sequence[dict[str, Any]]) -> int:
    # In the order of their keys: two workers with the same claims then wait, not deadlock.
    unique = {row["key"]: row for row in rows if ADDRESS.fullmatch(row["email"])}
    if not unique:
        return 0
    statement = insert(MailBounce).values([unique[key] for key in sorted(unique)])
    new = set(
        db.session.scalars(statement.on_conflict_do_nothing().returning(MailBounce.key)).all()
    )
    fresh = [row for row in ours if row["key"] in new]
    _suppress([row for row in fresh if row["kind"] is BounceKind.HARD])
    _suppress([row for row in fresh if row["kind"] is BounceKind.COMPLAINT])
    soft = [row for row in fresh if row["kind"] is BounceKind.SOFT]
    if soft:
        worn_out = _worn_out({row["email"] for row in soft})
        _suppress([row for row in soft if row["email"] in worn_out])
    return len(new)


def _worn_out(emails: Collection[str]) -> set[str]:
    """Return those whose soft bounces reached the limit: of different mails, within 30 days.

    What was refused for what it said, or who we are, is no fault of theirs.
    """
    rows = db.session.scalars(
        select(MailBounce.email)
        .where(
            among(MailBounce.email, sorted(emails)),
            MailBounce.kind == BounceKind.SOFT,
            MailBounce.code.is_not(None),
            MailBounce.at > clock.now() - SOFT_WINDOW,
            ~MailBounce.status.regexp_match(NOT_THE_ADDRESS),
        )
        .group_by(MailBounce.email)
        .having(func.count(MailBounce.code.distinct()) >= current_config().soft_bounce_limit)
    )
    return set(rows)


def _suppress(rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    now = clock.now()
    by_email = {row["email"]: _suppression(row, now) for row in reversed(rows)}
    db.session.execute(stricter([by_email[email] for email in sorted(by_email)]))


def _suppression(row: dict[str, Any], now: datetime) -> dict[str, Any]:
    complaint = row["kind"] is BounceKind.COMPLAINT
    words = " ".join(part for part in (row["status"], row["diagnostic"]) if part)
    if row["kind"] is BounceKind.SOFT:
        words = f"Too many soft bounces; the last: {words}"
    return {
        "email": row["email"],
        "scope": SuppressionScope.MARKETING if complaint else SuppressionScope.ALL,
        "reason": SuppressionReason.COMPLAINT if complaint else SuppressionReason.BOUNCE,
        "source": _SOURCES[row["source"]],
        "detail": words,
        "at": now,
    }
