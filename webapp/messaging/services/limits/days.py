"""A sender's share of the day, kept in Postgres: no two workers take the same mail of it."""

from sqlalchemy import func, update
from sqlalchemy.dialects.postgresql import insert

from webapp.core.db import db
from webapp.messaging.models import MailSenderDay
from webapp.messaging.services.senders import Identity


def take_of_day(identity: Identity, wanted: int) -> int:
    """Take up to ``wanted`` mails of the identity's day and return how many there were.

    The day's row stays locked until the caller commits, so that workers take turns: commit soon.
    What is not sent in the end is given back with the same identity.
    """
    if identity.sender_id is None or identity.day_limit_today is None:
        return wanted
    if wanted <= 0:
        return 0
    first = insert(MailSenderDay).values(sender_id=identity.sender_id, day=identity.day, taken=0)
    # An update that changes nothing both locks the row and reads what is in force.
    locked = first.on_conflict_do_update(
        index_elements=["sender_id", "day"], set_={"taken": MailSenderDay.taken}
    )
    taken = db.session.scalars(locked.returning(MailSenderDay.taken)).one()
    granted = max(0, min(wanted, identity.day_limit_today - taken))
    if granted:
        _add(identity, granted)
    return granted


def give_back_of_day(identity: Identity, count: int) -> None:
    """Give back mails that were taken of the identity's day and not sent."""
    if identity.sender_id is None or identity.day_limit_today is None or count <= 0:
        return
    _add(identity, -count)


def _add(identity: Identity, count: int) -> None:
    db.session.execute(
        update(MailSenderDay)
        .where(MailSenderDay.sender_id == identity.sender_id, MailSenderDay.day == identity.day)
        .values(taken=func.greatest(MailSenderDay.taken + count, 0))
        .execution_options(synchronize_session=False)
    )
