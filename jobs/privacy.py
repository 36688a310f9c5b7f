"""Copies for people of what we know about them, and forgetting them: every capability's part."""

import logging
import time
import uuid
from collections.abc import Iterator

from webapp.accounts.queries.privacy import list_due_erasures
from webapp.accounts.services import chapters as accounts
from webapp.accounts.services import erasing, exporting
from webapp.billing.services import copying
from webapp.billing.services import privacy as billing
from webapp.campaigns.services import privacy as campaigns
from webapp.core import clock
from webapp.core.db import db
from webapp.core.privacy import Chapter, Person, Tally
from webapp.core.traces import forget_in_redis, forget_jobs, is_at_work
from webapp.messaging.services import privacy as messaging
from webapp.orders.services import privacy as orders
from webapp.payments.scrubbing import scrub_events

logger = logging.getLogger(__name__)

BATCH = 100
BUDGET_SECONDS = 60


def export(export_id: str) -> None:
    """Make somebody's copy and tell them; quiet when it is made, or not wanted any more."""
    wanted = uuid.UUID(export_id)
    person = exporting.find_open_export(wanted)
    if person is None:
        db.session.rollback()
        return
    written = exporting.write_copy(wanted, _chapters(person))
    db.session.rollback()
    made = exporting.finish_copy(wanted, written)
    db.session.commit()
    logger.info("copy of data", extra={"export": export_id, "made": made})


def _chapters(person: Person) -> Iterator[Chapter]:
    yield from accounts.chapters(person)
    yield from orders.chapters(person)
    yield from copying.chapters(person)
    yield from messaging.chapters(person, orders.list_order_subjects(person))
    yield from campaigns.chapters(person)


def delete_old_exports() -> None:
    """Delete copies past their time, and every file that a killed worker left."""
    expired = exporting.expire_copies()
    db.session.commit()
    removed = exporting.remove_strays()
    db.session.rollback()
    if expired or removed:
        logger.info("copies of data deleted", extra={"expired": expired, "files": removed})


def erase_due() -> None:
    """Forget whose grace is over, one after the other; one who can't be yet waits for a round."""
    until = time.monotonic() + BUDGET_SECONDS
    due = list_due_erasures(clock.now(), BATCH)
    while due and time.monotonic() < until:
        db.session.rollback()
        for each in due:
            _try_to_forget(each.user_id)
        due = list_due_erasures(clock.now(), BATCH, after=due[-1])
    db.session.rollback()


def _try_to_forget(user_id: uuid.UUID) -> None:
    try:
        _forget(user_id)
    except Exception as error:
        db.session.rollback()
        logger.error("not erased yet", exc_info=error, extra={"user": str(user_id)})


def _forget(user_id: uuid.UUID) -> None:
    going = erasing.say_goodbye(user_id)
    db.session.commit()
    if going:
        billing.end_at_stripe(user_id)
    person = erasing.begin(user_id) if going else None
    files = _erase(person) if person is not None else None
    if files is None:
        db.session.rollback()
        return
    db.session.commit()
    # Killed here, the hourly sweep finds files that nothing stands for.
    for name in files:
        (exporting.folder() / name).unlink(missing_ok=True)
    logger.info("member erased", extra={"user": str(user_id)})


def _erase(person: Person) -> list[str] | None:
    """Erase everything in one transaction, for the caller to commit; None: not yet."""
    tally = Tally()
    trail = orders.follow(person)
    paid = billing.follow(person)
    subjects = [*erasing.list_subjects(person), *trail.subjects, *paid.subjects]
    if is_at_work(subjects):
        return None
    words = [*person.addresses, *erasing.telling([*trail.words, *erasing.words_of(person)])]
    sessions = erasing.list_session_ids(person)
    references = [*trail.references, *paid.references]
    scrub_events([*trail.subjects, *paid.subjects], references, person.addresses, tally)
    orders.erase(person, trail, tally)
    billing.erase(person, paid, tally)
    campaigns.erase(person, tally)
    messaging.erase(person, subjects, trail.order_subjects, tally)
    files = erasing.erase(person, tally)
    forget_jobs(subjects, words, tally)
    forget_in_redis(person.addresses, [person.user_id, *sessions])
    erasing.finish(person, tally)
    return files
