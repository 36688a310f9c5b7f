"""Whether somebody may be written to at all: what they said, and what came back."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, Subquery, and_, exists, select
from sqlalchemy.orm import aliased

from webapp.messaging.models import MailConsent, MailSuppression, MailTopic


def wants(person: Subquery, topic: MailTopic) -> ColumnElement[bool]:
    """Return whether the newest answer of a person to the topic is yes; silence is no."""
    return wants_any(person, [topic])


def wants_any(person: Subquery, topics: Collection[MailTopic]) -> ColumnElement[bool]:
    """Return whether a person wants one of the topics, at least."""
    said_yes = exists().where(
        MailConsent.email == person.c.address, MailConsent.topic.in_(topics), is_in_force()
    )
    return said_yes.correlate(person)


def is_in_force() -> ColumnElement[bool]:
    """Return whether a row of MailConsent is a yes that was not taken back."""
    newer = aliased(MailConsent)
    taken_back = exists().where(
        newer.email == MailConsent.email,
        newer.topic == MailConsent.topic,
        newer.id > MailConsent.id,
    )
    return and_(MailConsent.wanted, ~taken_back.correlate(MailConsent))


def yeses(topic: MailTopic) -> Subquery:
    """Return the addresses (``email``) of all who want a topic, each once."""
    return (
        select(MailConsent.email).where(MailConsent.topic == topic, is_in_force()).subquery("yes")
    )


def is_suppressed(person: Subquery) -> ColumnElement[bool]:
    """Return whether a person's address gets no campaigns; either scope of suppression says so."""
    return exists().where(MailSuppression.email == person.c.address).correlate(person)
