"""Which mails somebody wants beside those they need: each yes and no is kept as proof."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on

from webapp.core.db import db, take_turns
from webapp.messaging.models import MailConsent, MailTopic


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as people read it."""

    topic: MailTopic
    title: str
    about: str


TOPICS = (
    Topic(MailTopic.NEWSLETTER, "Newsletter", "What is new in the shop, now and then."),
    Topic(MailTopic.OFFERS, "Offers", "Sales and codes, for as long as they last."),
    Topic(MailTopic.REMINDERS, "Reminders", "When something waits in your cart."),
)


@dataclass(frozen=True, slots=True)
class Consent:
    """The answer in force for a topic, and since when."""

    topic: MailTopic
    wanted: bool
    at: datetime
    source: str


def give_consent(email: str, topic: MailTopic, wanted: bool, source: str) -> Consent:
    """Note a yes or no from ``source`` ("account", "checkout", "unsubscribe"); flushes.

    Saying again what is in force adds nothing. Whoever calls knows that it is the address's owner
    who speaks.
    """
    address = email.strip().lower()
    # Two answers at once (a double click, two tabs) take turns, so that the last one counts.
    take_turns(f"consent:{address}:{topic.value}")
    standing = consents_of(address).get(topic)
    if standing is not None and standing.wanted == wanted:
        return standing
    row = MailConsent(email=address, topic=topic, wanted=wanted, source=source)
    db.session.add(row)
    db.session.flush()
    return Consent(topic, wanted, row.at, source)


def consents_of(email: str) -> dict[MailTopic, Consent]:
    """Return the answer in force for each topic that was ever answered; the rest count as no."""
    newest = (
        select(MailConsent)
        .where(MailConsent.email == email.strip().lower())
        .order_by(MailConsent.topic, MailConsent.id.desc())
        .ext(distinct_on(MailConsent.topic))
    )
    return {
        row.topic: Consent(row.topic, row.wanted, row.at, row.source)
        for row in db.session.scalars(newest)
    }


def wants(email: str, topic: MailTopic) -> bool:
    """Say whether mails of this topic may go to ``email``; silence is no."""
    standing = consents_of(email).get(topic)
    return standing is not None and standing.wanted
