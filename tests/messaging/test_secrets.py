"""A mail that carries a key to an account keeps it no longer than it takes to send it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from flask import Flask

from jobs.messaging import deliver, settle_stale
from tests.messaging.conftest import state_of
from tests.messaging.sink import HANG_UP, Sink
from webapp.core import clock
from webapp.core.db import db
from webapp.messaging.errors import BodyRemoved, NotOver
from webapp.messaging.models import Mail, MailState
from webapp.messaging.queries import count_lately
from webapp.messaging.services import post, send_again
from webapp.messaging.services.secrets import REMOVED

KEY = "http://localhost/password/reset/key"


@pytest.fixture
def secret_id(app: Flask, templates: Callable[..., None]) -> int:
    templates("key", subject="Your key", words=f"Open {KEY}", html=f"<p>{KEY}</p>")
    mail = post(
        "key", "alice@example.com", {}, dedupe_key="key:1", subject_ref="user:1", secret=True
    )
    db.session.commit()
    return mail.id


def words_of(mail_id: int) -> tuple[str, str]:
    db.session.rollback()
    mail = db.session.get_one(Mail, mail_id, populate_existing=True)
    return mail.text, mail.html


@contextmanager
def days_later(days: int) -> Iterator[None]:
    with clock.frozen(clock.now() + timedelta(days=days)):
        yield


def test_the_words_arrive_and_are_gone_here(secret_id: int, sink: Sink) -> None:
    deliver(secret_id)
    [caught] = sink.messages
    assert KEY.encode() in caught.content
    assert state_of(secret_id) is MailState.SENT
    assert words_of(secret_id) == (REMOVED, REMOVED)


def test_any_other_mail_keeps_its_words(mail_id: int, sink: Sink) -> None:
    deliver(mail_id)
    assert words_of(mail_id)[0].startswith("Words")


@pytest.mark.parametrize("reply", ["550 5.1.1 nobody here", HANG_UP])
def test_one_that_was_not_sent_can_be_sent_again(secret_id: int, sink: Sink, reply: str) -> None:
    sink.cue("END", reply)
    deliver(secret_id)
    assert state_of(secret_id) in (MailState.FAILED, MailState.UNKNOWN)
    assert KEY in words_of(secret_id)[0]
    send_again(secret_id)
    db.session.commit()
    deliver(secret_id)
    assert KEY.encode() in sink.messages[-1].content
    assert words_of(secret_id) == (REMOVED, REMOVED)


def test_one_that_was_sent_says_why_it_is_not_sent_again(secret_id: int, sink: Sink) -> None:
    deliver(secret_id)
    with pytest.raises(BodyRemoved) as refusal:
        send_again(secret_id)
    assert "its words are gone" in refusal.value.sentence
    assert len(sink.messages) == 1


def test_a_key_that_was_never_sent_does_not_outlive_its_time(secret_id: int, sink: Sink) -> None:
    sink.cue("RCPT", "550 5.1.1 nobody here")
    deliver(secret_id)
    with days_later(2):
        settle_stale()
    assert KEY in words_of(secret_id)[0]
    with days_later(4):
        settle_stale()
    assert words_of(secret_id) == (REMOVED, REMOVED)
    with pytest.raises(BodyRemoved):
        send_again(secret_id)
    assert state_of(secret_id) is MailState.FAILED


def test_an_open_one_is_not_sent_again_whatever_it_carries(secret_id: int, sink: Sink) -> None:
    with pytest.raises(NotOver):
        send_again(secret_id)


def test_mails_of_a_kind_to_one_mailbox_are_counted(secret_id: int, mail_id: int) -> None:
    hour = clock.now() - timedelta(hours=1)
    assert count_lately("alice@example.com", ("key", "other"), hour) == 1
    assert count_lately("alice@example.com", ("other",), hour) == 0
    assert count_lately("bob@example.com", ("key",), hour) == 0
    assert count_lately("alice@example.com", ("key",), clock.now() + timedelta(1)) == 0
