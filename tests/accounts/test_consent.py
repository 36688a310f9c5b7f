"""Yes and no to mails: the newest counts, all are kept, and silence is no."""

from collections.abc import Callable

from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.races import Race
from webapp.core.db import db
from webapp.messaging.models import MailConsent, MailTopic
from webapp.messaging.services.consent import TOPICS, consents_of, give_consent, wants

pytest_plugins = ["tests.races"]

EMAIL = "alice@example.com"


def test_silence_is_no(app: Flask) -> None:
    assert consents_of(EMAIL) == {}
    assert not wants(EMAIL, MailTopic.NEWSLETTER)


def test_the_newest_answer_is_in_force_and_all_are_kept(app: Flask, session: Session) -> None:
    for wanted in (True, False, True):
        give_consent("Alice@Example.com", MailTopic.OFFERS, wanted, "account")
    give_consent(EMAIL, MailTopic.NEWSLETTER, False, "unsubscribe")
    session.commit()
    assert wants(EMAIL, MailTopic.OFFERS)
    standing = consents_of(EMAIL)[MailTopic.NEWSLETTER]
    assert (standing.wanted, standing.source) == (False, "unsubscribe")
    rows = session.scalars(select(MailConsent).order_by(MailConsent.id)).all()
    assert [row.wanted for row in rows] == [True, False, True, False]
    assert {row.email for row in rows} == {EMAIL}


def test_saying_it_again_keeps_since_when(app: Flask, session: Session) -> None:
    first = give_consent(EMAIL, MailTopic.OFFERS, True, "account")
    again = give_consent(EMAIL, MailTopic.OFFERS, True, "checkout")
    assert again == first
    assert len(session.scalars(select(MailConsent)).all()) == 1


def test_one_persons_answer_is_not_anothers(app: Flask) -> None:
    give_consent(EMAIL, MailTopic.OFFERS, True, "account")
    assert wants(EMAIL, MailTopic.OFFERS)
    assert not wants("bob@example.com", MailTopic.OFFERS)


def test_every_topic_has_its_words() -> None:
    assert [each.topic for each in TOPICS] == list(MailTopic)


def test_a_double_click_is_one_answer(open_shop: Flask, race: Race) -> None:
    race.run(*([_saying(True)] * 4))
    assert len(db.session.scalars(select(MailConsent)).all()) == 1


def _saying(wanted: bool) -> Callable[[], None]:
    def say() -> None:
        give_consent(EMAIL, MailTopic.OFFERS, wanted, "account")
        db.session.commit()

    return say
