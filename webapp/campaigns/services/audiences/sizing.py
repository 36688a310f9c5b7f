"""How many an audience reaches, who is left out and why, and a few of them by name."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Subquery, func, select, text

from webapp.campaigns.models import Email, EmailType
from webapp.campaigns.services.audiences.people import belongs, everyone, may_get, people
from webapp.campaigns.services.audiences.rules import EVERYBODY, Rules
from webapp.campaigns.services.audiences.wanting import yeses
from webapp.core.db import db
from webapp.messaging.models import MailSuppression, MailTopic

SAMPLE = 10


@dataclass(frozen=True, slots=True)
class Size:
    """``total`` meet the rules; of them ``wanted`` get the mail.

    The others are ``suppressed``, or never said yes to the topic or took it back
    (``no_consent``); who is both counts as suppressed. The three add up to the total.
    """

    total: int
    wanted: int
    suppressed: int
    no_consent: int


@dataclass(frozen=True, slots=True)
class PersonView:
    """One of those who get a mail."""

    address: str
    name: str
    country: str
    is_member: bool


def count_people(
    type_: EmailType, topic: MailTopic, rules: Rules = EVERYBODY, exclude: Rules | None = None
) -> Size:
    """Return how many the rules take in, and how many of them may be written to."""
    person = everyone(type_)
    return _count(person, topic, belongs(person, rules, exclude))


def count_people_of(email: Email) -> Size:
    """Return how many a mail is meant for, and how many of them get it."""
    person = everyone(email.type)
    return _count(person, email.topic, may_get(person, email))


def sample_people(
    type_: EmailType,
    topic: MailTopic,
    rules: Rules = EVERYBODY,
    exclude: Rules | None = None,
    limit: int = SAMPLE,
) -> list[PersonView]:
    """Return a few of those who get a mail of this kind, by address."""
    return _sample(people(type_, topic, rules, exclude).subquery(), limit)


def give_room() -> None:
    """Let the rest of the transaction hold whole audiences in hash tables instead of sorting."""
    db.session.execute(text("SET LOCAL work_mem = '128MB'"))


def _count(person: Subquery, topic: MailTopic, inside: ColumnElement[bool]) -> Size:
    give_room()
    # Joined and not asked by EXISTS: one pass over each table instead of a look for each person.
    yes, refused = yeses(topic), MailSuppression.email
    statement = (
        select(
            func.count(),
            func.count(refused),
            func.count(yes.c.email).filter(refused.is_(None)),
        )
        .select_from(person)
        .outerjoin(MailSuppression, refused == person.c.address)
        .outerjoin(yes, yes.c.email == person.c.address)
        .where(inside)
    )
    total, suppressed, reached = db.session.execute(statement).one()
    return Size(total, reached, suppressed, total - suppressed - reached)


def _sample(found: Subquery, limit: int) -> list[PersonView]:
    """Return the first that are found, whoever they are: all would have to be sorted to choose."""
    statement = select(found.c.address, found.c.name, found.c.country, found.c.is_member)
    rows = db.session.execute(statement.limit(limit))
    return sorted((PersonView(*row) for row in rows), key=lambda person: person.address)
