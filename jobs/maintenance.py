"""Keeping the tables that only grow from growing without end."""

from datetime import timedelta

from sqlalchemy import delete, or_, select

from webapp.accounts.services.sessions import forget_old
from webapp.core import clock
from webapp.core.db import db
from webapp.core.models import Job, JobState
from webapp.orders.models import Cart, CartState, Checkout

KEEP_JOBS = timedelta(days=90)
BATCH = 5000


def purge() -> None:
    """Delete carts nobody came back to, and jobs and sessions that ended a quarter ago."""
    now = clock.now()
    stale = (
        select(Cart.id)
        .where(
            Cart.expires_at < now,
            Cart.state == CartState.OPEN,
            ~select(Checkout.id).where(Checkout.cart_id == Cart.id).exists(),
        )
        .limit(BATCH)
    )
    db.session.execute(delete(Cart).where(Cart.id.in_(stale)))
    old = (
        select(Job.id)
        .where(
            Job.finished_at < now - KEEP_JOBS,
            or_(Job.state == JobState.DONE, Job.state == JobState.CANCELLED),
        )
        .limit(BATCH)
    )
    db.session.execute(delete(Job).where(Job.id.in_(old)))
    forget_old(BATCH)
    db.session.commit()
