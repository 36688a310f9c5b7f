"""The clock's side: what was promised and not kept is rung for again."""

from datetime import datetime, timedelta

from sqlalchemy import case, or_, select, update

from webapp.core import clock
from webapp.core.db import db
from webapp.core.models import Job, JobState
from webapp.core.queue.bells import push_again
from webapp.core.state import current_config


def relay(limit: int = 500) -> int:
    """Ring for due rows that no worker has closed, and free rows of dead workers.

    Called by the clock about every second. Returns the number of bells rung.
    """
    now = clock.now()
    _free_expired_leases(now)
    stale = now - timedelta(seconds=current_config().relay_after_seconds)
    due = (
        select(Job.id)
        .where(
            Job.state == JobState.QUEUED,
            Job.run_at <= now,
            or_(Job.pushed_at.is_(None), Job.pushed_at < stale),
        )
        .order_by(Job.run_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = db.session.execute(
        update(Job).where(Job.id.in_(due)).values(pushed_at=now).returning(Job.id, Job.queue)
    ).all()
    db.session.commit()
    return push_again((row.id, row.queue) for row in rows)


def _free_expired_leases(now: datetime) -> None:
    """Give them back to be tried again, or close them as failed after their last try."""
    may_try = Job.attempts < Job.max_attempts
    db.session.execute(
        update(Job)
        .where(Job.state == JobState.RUNNING, Job.lease_until < now)
        .values(
            state=case((may_try, JobState.QUEUED), else_=JobState.FAILED),
            run_at=case((may_try, now), else_=Job.run_at),
            pushed_at=case((may_try, None), else_=Job.pushed_at),
            finished_at=case((may_try, Job.finished_at), else_=now),
            lease_until=None,
            error="The worker was lost during the last try.",
        )
    )
