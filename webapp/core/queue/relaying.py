"""The clock's side: what was promised and not kept is rung for again."""

from datetime import datetime, timedelta

from sqlalchemy import or_, select, update

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
    dead = Job.state == JobState.RUNNING, Job.lease_until < now
    again = {"state": JobState.QUEUED, "run_at": now, "pushed_at": None, "lease_until": None}
    lost = "The worker was lost during the last try."
    db.session.execute(
        update(Job).where(*dead, Job.attempts < Job.max_attempts).values(error=lost, **again)
    )
    db.session.execute(
        update(Job).where(*dead).values(error=lost, state=JobState.FAILED, finished_at=now)
    )
