"""Someone asks to be forgotten, and the search for what still says who they were."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from jobs.privacy import erase_due
from tests.accounts.searching import find_in_database, find_in_files, find_in_redis
from tests.factories.lives import ALICE, RunJobs
from webapp.accounts.models import User
from webapp.accounts.services.closing import close_account
from webapp.core import clock
from webapp.core.audit import SYSTEM
from webapp.core.db import db
from webapp.core.state import current_fork

# All that may still say something of somebody who was erased, and why.
REMAINS = {
    ("audit_entry", "network", ALICE.network): (
        "The first part of the network an act came from. The audit can't be changed by anybody, "
        "which is its worth; it names people by an id that leads nowhere once they are erased."
    ),
}


def close(user: User) -> None:
    """Ask to be forgotten, and let the grace pass."""
    close_account(user, SYSTEM)
    user.erase_after = clock.now() - timedelta(seconds=1)
    db.session.commit()


def erase(run_jobs: RunJobs) -> None:
    """Goodbye, its mail, and the erasure, as the clock and the workers take them."""
    say_goodbye(run_jobs)
    erase_due()


def say_goodbye(run_jobs: RunJobs) -> None:
    erase_due()
    run_jobs()
    # The jobs had sessions of their own within this one's savepoint: keep what they did.
    db.session.commit()


def found(connection: Connection) -> set[Any]:
    db.session.commit()
    everywhere: set[Any] = find_in_database(connection, ALICE.marks)
    everywhere |= find_in_redis(ALICE.marks)
    return everywhere | find_in_files(current_fork().upload_folder, ALICE.marks)
