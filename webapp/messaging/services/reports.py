"""The inbox of bounce reports: kept once, claimed one by one, emptied after a month."""

from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert

from webapp.core import clock
from webapp.core.db import db
from webapp.core.privacy import run
from webapp.messaging.bounces.report import key_of
from webapp.messaging.errors import EmptyReport, ReportTooLarge
from webapp.messaging.models import MailBounce, MailReport, ReportSource, ReportState

READ = "jobs.messaging.read_reports"
MAX_BYTES = 25 * 1024**2
# Raw reports hold other people's words; what they said is kept as bounces.
KEEP_CONTENT = timedelta(days=30)
KEEP_ROWS = timedelta(days=365)
BATCH = 5000


def keep_report(source: ReportSource, key: str, content: bytes) -> bool:
    """Keep a report, once for its key; flushes. Returns whether it is new.

    The caller rings ``jobs.messaging.read_reports`` after its commit.
    """
    values = {
        "key": f"{source.value}:{key}",
        "source": source,
        "content": content,
        "state": ReportState.WAITING,
        "received_at": clock.now(),
    }
    statement = insert(MailReport).values(values).on_conflict_do_nothing()
    return db.session.scalar(statement.returning(MailReport.id)) is not None


def receive_message(content: bytes) -> bool:
    """Keep a message that came to the bounce address. Raises EmptyReport or ReportTooLarge."""
    if not content.strip():
        raise EmptyReport
    if len(content) > MAX_BYTES:
        raise ReportTooLarge(MAX_BYTES)
    return keep_report(ReportSource.MAIL, key_of(content), content)


def claim_report() -> MailReport | None:
    """Lock the oldest waiting report that nobody else reads, until the transaction ends."""
    return db.session.scalar(
        select(MailReport)
        .where(MailReport.state == ReportState.WAITING)
        .order_by(MailReport.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )


def finish_report(report: MailReport, trouble: str) -> None:
    """Close a claimed report; ``trouble`` says why it could not be read, "" that it was."""
    report.state = ReportState.UNREADABLE if trouble else ReportState.DONE
    report.error = trouble or None
    db.session.flush()


def purge_reports() -> int:
    """Forget what is old: first the words of reports, later that they came; flushes.

    So are bounces that nobody here was found for: anybody may have written those.
    """
    now = clock.now()
    full = (
        select(MailReport.id)
        .where(
            MailReport.received_at < now - KEEP_CONTENT,
            MailReport.state != ReportState.WAITING,
            MailReport.content != b"",
        )
        .order_by(MailReport.received_at)
        .limit(BATCH)
    )
    emptied = run(update(MailReport).where(MailReport.id.in_(full)).values(content=b""))
    old = (
        select(MailReport.id)
        .where(MailReport.received_at < now - KEEP_ROWS, MailReport.content == b"")
        .order_by(MailReport.received_at)
        .limit(BATCH)
    )
    run(delete(MailReport).where(MailReport.id.in_(old)))
    strange = (
        select(MailBounce.id)
        .where(MailBounce.code.is_(None), MailBounce.at < now - KEEP_CONTENT)
        .limit(BATCH)
    )
    run(delete(MailBounce).where(MailBounce.id.in_(strange)))
    return emptied
