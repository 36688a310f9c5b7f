"""Who wins an A/B test: the variant that more people opened or clicked, of those it was sent to."""

from sqlalchemy import case, func, select, text, update

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


def decide_due() -> list[int]:
    """Give the rest of each audience the variant that won; returns the mails. Commits each."""
    due = select(Email.id).where(
        Email.state == EmailState.SENDING,
        Email.ab_winner.is_(None),
        Email.ab_decide_at <= clock.now(),
    )
    decided = []
    for email_id in db.session.scalars(due).all():
        if _decide(email_id):
            decided.append(email_id)
        db.session.commit()
    return decided


def _decide(email_id: int) -> bool:
    email = db.session.get(Email, email_id, with_for_update=True, populate_existing=True)
    if email is None or email.ab_winner is not None or email.state is not EmailState.SENDING:
        return False
    email.ab_winner = winner_of(email)
    db.session.execute(text("SET LOCAL statement_timeout = '10min'"))
    db.session.execute(
        update(EmailRecipient)
        .where(
            EmailRecipient.email_id == email_id,
            EmailRecipient.state == RecipientState.PENDING,
            EmailRecipient.due_at == NOT_YET,
        )
        .values(variant=email.ab_winner, due_at=clock.now()),
        execution_options={"synchronize_session": False},
    )
    record(SYSTEM, "email.ab_decided", f"email:{email_id}", winner=email.ab_winner)
    db.session.flush()
    return True


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
