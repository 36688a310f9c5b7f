"""A welcome of two mails, and people for whom it begins."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from jobs.campaigns import advance_sequences
from webapp.accounts.models import ProspectSource
from webapp.accounts.services.prospects import note_prospect
from webapp.campaigns.models import (
    EmailRecipient,
    Sequence,
    SequenceGoal,
    SequenceRun,
    SequenceTrigger,
)
from webapp.campaigns.services import sequences
from webapp.campaigns.services.emails import EmailDetails, VariantDetails
from webapp.campaigns.services.sequences import SequenceDetails
from webapp.core.audit import OPERATOR
from webapp.core.db import db
from webapp.messaging.models import MailTopic
from webapp.messaging.services.consent import give_consent

ALICE, BOB = "alice@example.com", "bob@example.com"
DAY = 24 * 60
WORDS = VariantDetails(
    "Welcome, {{ first_name | friend }}", body="Hello. [Look](http://localhost/products)"
)


def make_sequence(
    *waits: int,
    name: str = "Welcome",
    trigger: SequenceTrigger = SequenceTrigger.NEWSLETTER_JOINED,
    goal: SequenceGoal = SequenceGoal.NONE,
    active: bool = True,
) -> Sequence:
    """Return a committed sequence with a mail for each of ``waits`` (minutes)."""
    sequence = sequences.create_sequence(SequenceDetails(name, trigger, goal), OPERATOR)
    for number, wait in enumerate(waits, start=1):
        details = EmailDetails(f"{name} {number}", (WORDS,))
        sequences.add_step(sequence.id, wait, OPERATOR, details)
    if active:
        sequences.activate(sequence.id, OPERATOR)
    db.session.commit()
    return sequence


def subscribe(address: str, name: str = "Alice Adams") -> None:
    note_prospect(address, ProspectSource.NEWSLETTER, name)
    give_consent(address, MailTopic.NEWSLETTER, True, "newsletter form")
    db.session.commit()


def begin(*addresses: str, trigger: SequenceTrigger = SequenceTrigger.NEWSLETTER_JOINED) -> int:
    begun = sum(sequences.begin(trigger, address) for address in addresses)
    db.session.commit()
    return begun


def pass_time(minutes: int) -> None:
    """Let what is due in ``minutes`` be due now, and the workers come by."""
    earlier = timedelta(minutes=minutes)
    for run in db.session.scalars(select(SequenceRun)):
        run.due_at -= earlier
        run.started_at -= earlier
    db.session.commit()
    advance_sequences()
    db.session.commit()


def run_of(address: str) -> SequenceRun:
    found = select(SequenceRun).where(SequenceRun.address == address)
    return db.session.scalars(found.execution_options(populate_existing=True)).one()


def mails_to(address: str) -> list[EmailRecipient]:
    found = select(EmailRecipient).where(EmailRecipient.address == address)
    fresh = found.order_by(EmailRecipient.id).execution_options(populate_existing=True)
    return list(db.session.scalars(fresh))


@pytest.fixture
def welcome(session: Session) -> Sequence:
    """One mail at once, the next a day later."""
    return make_sequence(0, DAY)
