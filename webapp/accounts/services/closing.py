"""Closing one's account: two weeks in which one can still change one's mind."""

from datetime import datetime, timedelta

from webapp.accounts.errors import ErasureBegun, StaffMayNotClose
from webapp.accounts.models import SessionEnd, User
from webapp.accounts.services.alerts import write_to_owner
from webapp.accounts.services.sessions import end_all
from webapp.accounts.signals import account_closed
from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db
from webapp.core.queue import Queue, enqueue
from webapp.core.shop import get_shop
from webapp.core.state import current_config

GRACE = timedelta(days=14)


def close_account(user: User, by: Actor) -> datetime:
    """Close the account and log it out everywhere; returns when it will be erased. Flushes.

    Closing a closed one changes nothing. Raises StaffMayNotClose.
    """
    db.session.refresh(user, with_for_update=True)
    if user.erase_after is not None:
        return user.erase_after
    now = clock.now()
    _close(user, by, now, now + GRACE)
    _tell(user, "account_closing", now, erase_after=now + GRACE, days=GRACE.days)
    return now + GRACE


def erase_soon(user: User, by: Actor) -> None:
    """Close the account without a grace, or end the one it has; flushes. The jobs do the rest.

    Raises StaffMayNotClose.
    """
    db.session.refresh(user, with_for_update=True)
    now = clock.now()
    _close(user, by, now, now)
    enqueue("jobs.privacy.erase_due", queue=Queue.MAINTENANCE)


def _close(user: User, by: Actor, now: datetime, erase_after: datetime) -> None:
    if user.role is not None:
        raise StaffMayNotClose
    user.closed_at = now
    user.erase_after = erase_after
    end_all(user.id, SessionEnd.CLOSED, by)
    record(by, "account.closed", f"user:{user.id}", user_id=user.id)
    db.session.flush()
    account_closed.send(user=user, by=by)


def keep_account(user: User, by: Actor) -> bool:
    """Take the closing back; False if there was nothing to take back. Flushes.

    Raises ErasureBegun.
    """
    db.session.refresh(user, with_for_update=True)
    if user.erased_at is not None or not user.active:
        raise ErasureBegun
    closed_at = user.closed_at
    if closed_at is None:
        return False
    user.closed_at = None
    user.erase_after = None
    record(by, "account.kept", f"user:{user.id}", user_id=user.id)
    db.session.flush()
    _tell(user, "account_kept", closed_at, has_plans=get_shop().has_plans)
    return True


def _tell(user: User, kind: str, closed_at: datetime, **context: object) -> None:
    """Write to the owner, once for each closing."""
    context["login_url"] = current_config().base_url.rstrip("/") + "/login"
    write_to_owner(user, kind, f"{closed_at:%Y%m%d%H%M%S%f}", context)
