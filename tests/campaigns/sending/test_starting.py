"""When a mail begins: by hand, at its time, and the better version when it is decided."""

from datetime import timedelta

import pytest
from flask import Flask

from jobs.campaigns import keep_sending, send_due
from tests.campaigns.sending.conftest import (
    make_sending,
    readers,
)
from tests.factories.emails import make_frozen, recipient_of
from tests.messaging.sink import Sink
from webapp.campaigns.errors import NotSendable
from webapp.campaigns.models import (
    NOT_YET,
    Email,
    EmailState,
    EmailVariant,
)
from webapp.campaigns.services import sending
from webapp.campaigns.services.sending import deciding
from webapp.core import clock
from webapp.core.audit import SYSTEM
from webapp.core.db import db
from webapp.messaging.models import (
    MailSender,
)


def test_a_scheduled_mail_starts_when_its_time_has_come(app: Flask, sink: Sink) -> None:
    email = make_sending(readers(2), state=EmailState.READY)
    with pytest.raises(NotSendable):
        sending.schedule(email.id, clock.now() - timedelta(minutes=1), SYSTEM)
    sending.schedule(email.id, clock.now() + timedelta(hours=1), SYSTEM)
    db.session.commit()
    keep_sending()
    send_due()
    assert sink.messages == []
    with clock.frozen(clock.now() + timedelta(hours=1, seconds=1)):
        keep_sending()
        keep_sending()
        send_due()
    assert len(sink.messages) == 2


def test_a_mail_that_cannot_start_keeps_no_other_from_it(app: Flask, sink: Sink) -> None:
    off = MailSender(name="Old", address="old@northwind.example", active=False)
    db.session.add(off)
    db.session.commit()
    soon = clock.now() + timedelta(minutes=1)
    mails = [make_sending(readers(2), state=EmailState.READY) for _ in range(2)]
    mails[0].sender_id = off.id
    for number, email in enumerate(mails):
        sending.schedule(email.id, soon + timedelta(seconds=number), SYSTEM)
    db.session.commit()
    with clock.frozen(soon + timedelta(minutes=1)):
        assert sending.start_due() == [mails[1].id]
    db.session.refresh(mails[0])
    assert mails[0].state is EmailState.SCHEDULED


def test_what_is_sent_now_waits_for_no_schedule(app: Flask) -> None:
    email = make_sending(readers(1), state=EmailState.READY)
    email.in_recipients_zone = True
    sending.schedule(email.id, clock.now() + timedelta(days=7), SYSTEM)
    sending.start(email.id, SYSTEM)
    db.session.commit()
    assert recipient_of(email, "reader0@example.com").due_at <= clock.now()
    assert email.scheduled_at is None


def test_an_empty_or_uncounted_audience_is_not_started(app: Flask) -> None:
    empty = make_frozen([], state=EmailState.READY)
    with pytest.raises(NotSendable):
        sending.start(empty.id, SYSTEM)
    uncounted = make_frozen(["a@example.com"], state=EmailState.READY)
    uncounted.populated_at = None
    db.session.commit()
    with pytest.raises(NotSendable):
        sending.start(uncounted.id, SYSTEM)


def make_tested(addresses: list[str]) -> Email:
    """Return a mail whose first four readers test two variants."""
    email = make_sending(addresses, state=EmailState.READY)
    email.ab_share, email.ab_minutes = 40, 60
    first = email.variants[0]
    email.variants.append(
        EmailVariant(number=2, subject="Other", body="x", html=first.html, text=first.text)
    )
    for number, address in enumerate(addresses):
        row = recipient_of(email, address)
        row.variant = number % 2 + 1
        row.due_at = clock.now() if number < 4 else NOT_YET
    db.session.commit()
    return email


def test_the_rest_of_an_audience_gets_the_variant_that_won(
    app: Flask, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two at a time, and no time for more: the next call goes on.
    monkeypatch.setattr(deciding, "AT_ONCE", 2)
    monkeypatch.setattr(deciding, "BUDGET_SECONDS", 0)
    email = make_tested(readers(10))
    sending.start(email.id, SYSTEM)
    db.session.commit()
    send_due()
    assert len(sink.messages) == 4
    recipient_of(email, "reader1@example.com").clicked_at = clock.now()
    db.session.commit()
    keep_sending()
    db.session.refresh(email)
    assert email.state is EmailState.SENDING
    with clock.frozen(clock.now() + timedelta(minutes=61)):
        keep_sending()
        send_due()
        assert len(sink.messages) == 6
        for _ in range(3):
            keep_sending()
        send_due()
    db.session.refresh(email)
    assert (email.ab_winner, email.state) == (2, EmailState.SENT)
    assert len(sink.messages) == 10
    assert sum(b"Subject: Other" in each.content for each in sink.messages) == 8
