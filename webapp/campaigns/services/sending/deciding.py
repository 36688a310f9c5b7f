"""Who wins an A/B test: the variant that more people opened or clicked, of those it was sent to."""

import time
from typing import Any, cast

from sqlalchemy import CursorResult, case, exists, func, or_, select, text

from webapp.campaigns.models import (
    NOT_YET,
    AbMetric,
    Email,
    EmailRecipient,
    EmailState,
    RecipientState,
)
from webapp.core import clock
from webapp.core.audit import SYSTEM, record
from webapp.core.db import db

AT_ONCE = 10_000
# Longer waits are over with the next call: others need the worker, too.
BUDGET_SECONDS = 5.0

# Joined by columns for the reason that ``leases`` tells.
_LET_GO = text("""
    WITH waiting AS MATERIALIZED (
        SELECT email_id, id FROM email_recipient
        WHERE email_id = :email_id AND state = 'pending' AND due_at = :not_yet
            AND EXISTS (SELECT FROM email WHERE id = :email_id AND state = 'sending')
        LIMIT :most FOR UPDATE SKIP LOCKED
    )
    UPDATE email_recipient AS r
    SET variant = (SELECT ab_winner FROM email WHERE id = :email_id), due_at = :now
    FROM waiting WHERE r.email_id = waiting.email_id AND r.id = waiting.id
""")


def decide_due() -> list[int]:
    """Give the rest of each audience the variant that won; returns the mails newly decided.

    Commits each decision, and then the rest in parts: the mail itself is held for a moment only,
    so that it can be paused meanwhile. What there is no time for is left to the next call.
    """
    until = time.monotonic() + BUDGET_SECONDS
    waiting = exists().where(
        EmailRecipient.email_id == Email.id,
        EmailRecipient.state == RecipientState.PENDING,
        EmailRecipient.due_at == NOT_YET,
    )
    due = select(Email.id).where(
        Email.state == EmailState.SENDING,
        Email.ab_decide_at <= clock.now(),
        or_(Email.ab_winner.is_(None), waiting),
    )
    decided = []
    for email_id in db.session.scalars(due).all():
        if _decide(email_id):
            decided.append(email_id)
        db.session.commit()
        _let_go(email_id, until)
    return decided


def _decide(email_id: int) -> bool:
    email = db.session.get(Email, email_id, with_for_update=True, populate_existing=True)
    if email is None or email.ab_winner is not None or email.state is not EmailState.SENDING:
        return False
    email.ab_winner = winner_of(email)
    record(SYSTEM, "email.ab_decided", f"email:{email_id}", winner=email.ab_winner)
    db.session.flush()
    return True


def _let_go(email_id: int, until: float) -> None:
    """Make those who waited for the decision due, as many as there is time for; commits."""
    bound = {"email_id": email_id, "not_yet": NOT_YET, "now": clock.now(), "most": AT_ONCE}
    while True:
        gone = cast("CursorResult[Any]", db.session.execute(_LET_GO, bound)).rowcount
        db.session.commit()
        if gone < AT_ONCE or time.monotonic() >= until:
            return


def winner_of(email: Email) -> int:
    """Return the number of the variant with the highest share; the first of equals."""
    acted = (
        EmailRecipient.opened_at if email.ab_metric is AbMetric.OPENS else EmailRecipient.clicked_at
    )
    share = func.avg(case((acted.is_not(None), 1.0), else_=0.0))
    best = db.session.scalars(
        select(EmailRecipient.variant)
        .where(EmailRecipient.email_id == email.id, EmailRecipient.state == RecipientState.SENT)
        .group_by(EmailRecipient.variant)
        .order_by(share.desc(), EmailRecipient.variant)
        .limit(1)
    ).first()
    return best or 1
