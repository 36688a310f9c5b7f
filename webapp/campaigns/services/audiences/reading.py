"""What people got, opened and clicked: people's own opens and clicks, never a machine's."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Subquery, exists
from sqlalchemy.orm import InstrumentedAttribute

from webapp.campaigns.models import EmailRecipient
from webapp.campaigns.services.audiences.fields import Ask, Op, Question, Takes, offer
from webapp.campaigns.services.audiences.rules import Condition
from webapp.core import clock

THEME = "Mails"


def _happened(moment: InstrumentedAttribute[datetime | None]) -> Ask:
    """Return the question for mails where ``moment`` has come."""

    def ask(person: Subquery, condition: Condition) -> ColumnElement[bool]:
        found = [EmailRecipient.address == person.c.address, moment.is_not(None)]
        if condition.numbers:
            found.append(EmailRecipient.email_id.in_(condition.numbers))
        if condition.days is not None:
            found.append(moment >= clock.now() - timedelta(days=condition.days))
        return exists().where(*found).correlate(person)

    return ask


def _did(words: str, never: str) -> tuple[Op, ...]:
    return (
        Op("did", words, Takes.MAILS, within=True),
        Op("did_not", never, Takes.MAILS, within=True, negates=True),
    )


QUESTIONS = (
    Question(
        "received",
        "Mails sent to them",
        THEME,
        _did("was sent {value}", "wasn't sent {value}"),
        _happened(EmailRecipient.sent_at),
    ),
    Question(
        "opened",
        "Mails opened",
        THEME,
        _did("opened {value}", "didn't open {value}"),
        _happened(EmailRecipient.opened_at),
    ),
    Question(
        "clicked",
        "Links clicked",
        THEME,
        _did("clicked in {value}", "didn't click in {value}"),
        _happened(EmailRecipient.clicked_at),
    ),
)

for _question in QUESTIONS:
    offer(_question)
