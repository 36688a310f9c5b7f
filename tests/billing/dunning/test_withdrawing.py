"""A mail whose words are no longer true doesn't go out, whatever a worker is doing with it."""

from collections.abc import Callable

from flask import Flask
from sqlalchemy import select

from tests.billing.dunning.conftest import DAY, Story
from tests.factories.billing import NOON, make_attempt
from webapp.billing.models import InvoiceStatus
from webapp.core import clock
from webapp.core.db import db
from webapp.messaging.gateway import Handover, Outcome
from webapp.messaging.models import Mail, MailState
from webapp.messaging.services import begin, claim, conclude, post, settle_stale
from webapp.messaging.services.withdrawing import withdraw

LATER = Handover(Outcome.DEFERRED, "451 later")


def make_mail(key: str = "dunning:1:mail:0", ref: str = "case:1") -> Mail:
    context = {
        "card_url": "http://localhost/",
        "card": {"name": "Visa"},
        "days": 7,
        "last_day": NOON.date(),
    }
    kind = "dunning_card_expiring"
    mail = post(kind, "alice@example.com", context, dedupe_key=key, subject_ref=ref)
    db.session.commit()
    return mail


def state_of(mail: Mail) -> MailState:
    found = select(Mail.state).where(Mail.id == mail.id)
    return db.session.scalars(found).one()


def test_a_waiting_mail_is_withdrawn_and_its_job_sends_nothing(
    app: Flask, run_jobs: Callable[[], int]
) -> None:
    mail, other = make_mail(), make_mail("receipt:1", "case:12")
    assert withdraw("case:1") == ["dunning:1:mail:0"]
    assert withdraw("case:1") == []
    db.session.commit()
    assert claim(mail.id) is None
    run_jobs()
    settle_stale()
    assert (state_of(mail), state_of(other)) == (MailState.WITHDRAWN, MailState.SENT)


def test_only_what_the_key_begins_with_is_withdrawn(app: Flask) -> None:
    mail = make_mail()
    assert withdraw("case:1", "dunning:1_") == []
    assert withdraw("case:1", "dunning:1:") == [mail.dedupe_key]


def test_a_worker_that_claimed_it_finds_its_claim_gone_before_the_end(app: Flask) -> None:
    mail = make_mail()
    letter = claim(mail.id)
    assert letter is not None
    assert withdraw("case:1") == [mail.dedupe_key]
    assert not begin(letter)
    assert conclude(letter, Handover(Outcome.WITHDRAWN, "")) is None
    assert conclude(letter, LATER) is None
    assert state_of(mail) is MailState.WITHDRAWN


def test_one_whose_end_is_being_sent_may_arrive_but_is_not_tried_again(app: Flask) -> None:
    put_off, accepted = make_mail(), make_mail("dunning:2:mail:0", "case:2")
    letters = [claim(mail.id) for mail in (put_off, accepted)]
    assert letters[0] is not None
    assert letters[1] is not None
    assert all(begin(letter) for letter in letters if letter is not None)
    assert withdraw("case:1") == []
    assert withdraw("case:2") == []
    assert conclude(letters[0], LATER) is MailState.WITHDRAWN
    assert conclude(letters[1], Handover(Outcome.ACCEPTED, "250 ok")) is MailState.SENT


def test_paying_withdraws_what_was_not_sent_and_the_steps_say_so(
    story: Story, run_jobs: Callable[[], int]
) -> None:
    story.look(NOON)
    with clock.frozen(NOON):
        run_jobs()
    story.look(NOON + 3 * DAY)
    story.invoice.status, story.invoice.paid_at = InvoiceStatus.PAID, NOON + 3 * DAY
    make_attempt(story.invoice, at=NOON + 3 * DAY)
    story.follow()
    with clock.frozen(NOON + 4 * DAY):
        run_jobs()
    assert [mail.state for mail in story.mails()] == [MailState.SENT, MailState.WITHDRAWN]
    assert story.steps() == {"mail:0": "done", "mail:3": "withdrawn"}
