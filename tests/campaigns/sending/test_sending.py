"""A mail on its way: once to each, within the limits, and only to those who want it."""

import email as parser
from datetime import timedelta
from email import policy

import pytest
from flask import Flask

from jobs.campaigns import keep_sending, send_due
from jobs.campaigns import sending as jobs_sending
from tests.campaigns.sending.conftest import (
    arrived,
    let_want,
    make_sending,
    readers,
    states_of,
)
from tests.factories.emails import code_of, recipient_of
from tests.factories.people import make_user
from tests.messaging.sink import HANG_UP, TAKE_AND_HANG_UP, Sink
from webapp.campaigns.errors import WrongEmailState
from webapp.campaigns.models import (
    EmailState,
    TrackingOptOut,
)
from webapp.campaigns.services import sending
from webapp.campaigns.services.sending import dispatch, leases
from webapp.campaigns.services.sending.letters import Addressee, Letter
from webapp.core import clock
from webapp.core.audit import SYSTEM
from webapp.core.db import db
from webapp.core.redis import redis_client
from webapp.messaging.models import (
    MailDomainLimit,
    MailSender,
    MailTopic,
    SuppressionReason,
    SuppressionScope,
)
from webapp.messaging.services import limits
from webapp.messaging.services.consent import give_consent
from webapp.messaging.services.suppressing import suppress, suppressed


def test_everybody_gets_it_once_and_the_mail_is_sent(app: Flask, sink: Sink) -> None:
    email = make_sending(readers(12))
    send_due()
    send_due()
    assert sorted(arrived(sink)) == sorted(readers(12))
    db.session.refresh(email)
    assert email.state is EmailState.SENT
    assert email.finished_at is not None
    assert recipient_of(email, "reader3@example.com").smtp_reply == "250 2.0.0 taken"


def test_the_message_is_what_mail_programs_expect(app: Flask, sink: Sink) -> None:
    email = make_sending(["reader0@example.com", "björn@example.com"])
    recipient = recipient_of(email, "reader0@example.com")
    recipient.fields = {"first_name": "Ann\r\nBcc: x@example.com <b>"}
    email.variants[0].subject = "Hello {{first_name|you}}"
    email.variants[0].text += "In the browser: {{@browser}}\n"
    db.session.commit()
    sending.send_lease(email.id)
    assert arrived(sink) == ["reader0@example.com"]
    message = parser.message_from_bytes(sink.messages[0].content, policy=policy.default)
    code = code_of(recipient)
    assert message.defects == []
    assert message["To"] == "reader0@example.com"
    assert message["Bcc"] is None
    assert message["Subject"] == "Hello Ann Bcc: x@example.com <b>"
    assert message["Message-ID"] == f"<{code}@northwind.example>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["List-Unsubscribe"].startswith("<http://localhost/u/")
    assert code not in message["List-Unsubscribe"]
    text, html = (part.get_content() for part in message.iter_parts())
    assert f"http://localhost/c/{code}/1" in text
    own_copy = message["List-Unsubscribe"].strip("<>").replace("/u/", "/m/")
    assert f"In the browser: {own_copy}" in text
    assert app.test_client().get(own_copy).status_code == 200
    assert f'src="http://localhost/o/{code}.gif"' in html
    assert "Ann\r\nBcc: x@example.com &lt;b&gt;" in html
    # The server takes no international addresses, and says so of this one alone.
    assert recipient_of(email, "björn@example.com").state == "failed"


def test_who_is_suppressed_or_said_no_meanwhile_gets_nothing(app: Flask, sink: Sink) -> None:
    email = make_sending([*readers(4), "anna@bücher.example"])
    for address in ("Reader1@example.com", "anna@xn--bcher-kva.example"):
        suppress(address, SuppressionScope.MARKETING, SuppressionReason.COMPLAINT, "test")
    give_consent("reader2@example.com", MailTopic.NEWSLETTER, False, "test")
    db.session.commit()
    send_due()
    assert sorted(arrived(sink)) == ["reader0@example.com", "reader3@example.com"]
    assert states_of(email) == {"sent": 2, "suppressed": 3}
    assert sending.progress(email.id).suppressed == 3
    assert "suppression list" in (recipient_of(email, "reader1@example.com").smtp_reply or "")


def test_who_wants_no_tracking_gets_plain_links(app: Flask, sink: Sink) -> None:
    email = make_sending(readers(1))
    email.links[0].url = "http://localhost/products?a=1&b=%22"
    db.session.add(TrackingOptOut(email="reader0@example.com"))
    db.session.commit()
    sending.send_lease(email.id)
    message = parser.message_from_bytes(sink.messages[0].content, policy=policy.default)
    for part in message.iter_parts():
        assert "http://localhost/products" in part.get_content()
        assert "/c/" not in part.get_content()
        assert "/o/" not in part.get_content()
    assert 'href="http://localhost/products?a=1&amp;b=%22"' in part.get_content()


def test_a_pause_holds_the_rest_and_resuming_sends_only_what_is_missing(
    app: Flask, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = make_sending(readers(6))
    monkeypatch.setattr(leases, "SIZE", 2)
    sending.send_lease(email.id)
    sending.pause(email.id, SYSTEM)
    db.session.commit()
    send_due()
    assert len(sink.messages) == 2
    with pytest.raises(WrongEmailState):
        sending.pause(email.id, SYSTEM)
    sending.resume(email.id, SYSTEM)
    db.session.commit()
    send_due()
    assert sorted(arrived(sink)) == sorted(readers(6))


def test_a_cancelled_mail_reaches_nobody_more(app: Flask, sink: Sink) -> None:
    email = make_sending(readers(3))
    sending.cancel(email.id, SYSTEM)
    db.session.commit()
    send_due()
    keep_sending()
    assert sink.messages == []
    with pytest.raises(WrongEmailState):
        sending.resume(email.id, SYSTEM)


def test_a_refused_address_is_suppressed_and_a_deferred_one_tried_later(
    app: Flask, sink: Sink
) -> None:
    sink.cue("RCPT", "550 5.1.1 no such user", "450 4.2.0 later", "250 OK")
    email = make_sending(["a@one.example", "b@two.example", "c@three.example"])
    send_due()
    assert states_of(email) == {"failed": 1, "pending": 1, "sent": 1}
    assert suppressed(["a@one.example", "b@two.example"], marketing=False) == {"a@one.example"}
    later = recipient_of(email, "b@two.example")
    assert later.due_at > clock.now() + timedelta(minutes=4)
    # Redis counts the domain's rest in its own time.
    redis_client().flushdb()
    with clock.frozen(later.due_at + timedelta(seconds=1)):
        sending.send_lease(email.id)
    assert arrived(sink) == ["c@three.example", "b@two.example"]


def test_a_server_that_gives_no_session_is_no_recipients_fault(app: Flask, sink: Sink) -> None:
    sink.cue("CONNECT", "421 4.3.2 too many connections", "421 4.3.2 too many connections")
    email = make_sending(readers(3))
    assert sending.send_lease(email.id) == sending.Turn(wait=dispatch.SERVER_REST_SECONDS)
    first = recipient_of(email, "reader0@example.com")
    assert (first.state, first.attempts, first.due_at <= clock.now()) == ("pending", 0, True)
    assert limits.held_back() == {}
    # One at whom the server hangs up comes later, so that it isn't the first for ever.
    sink.cue("CONNECT")
    sink.cue("RCPT", HANG_UP)
    assert sending.send_lease(email.id).wait == dispatch.SERVER_REST_SECONDS
    assert recipient_of(email, "reader0@example.com").due_at > clock.now()
    send_due()
    assert arrived(sink) == readers(3)[1:]


@pytest.mark.parametrize(
    ("step", "reply", "state"),
    [("MAIL", "554 5.7.1 relay access denied", "failed"), ("END", TAKE_AND_HANG_UP, "unknown")],
)
def test_a_server_that_takes_nothing_of_ours_costs_few_of_many(
    app: Flask, sink: Sink, step: str, reply: str, state: str
) -> None:
    sink.cue(step, *[reply] * 100)
    email = make_sending(readers(50))
    turn = sending.send_lease(email.id)
    assert (turn.sent, turn.wait) == (0, dispatch.SERVER_REST_SECONDS)
    found = states_of(email)
    assert found[state] <= dispatch.AMISS_IN_A_ROW + 1
    assert found["pending"] == 50 - found[state]


def test_a_domain_that_puts_off_one_is_left_alone_for_the_others_too(
    app: Flask, sink: Sink
) -> None:
    sink.cue("RCPT", "421 4.7.0 slow down")
    email = make_sending([*readers(5, "slow.example"), "a@quick.example"])
    for _ in range(3):
        sending.send_lease(email.id)
    assert arrived(sink) == ["a@quick.example"]
    assert states_of(email) == {"sent": 1, "pending": 5}


def test_limits_of_sender_domain_and_day_hold(app: Flask, sink: Sink) -> None:
    sender = MailSender(
        name="News", address="news@northwind.example", is_default=True, per_second=5, per_day=8
    )
    db.session.add_all([sender, MailDomainLimit(domain="slow.example", per_second=1)])
    db.session.commit()
    email = make_sending([*readers(4, "slow.example"), *readers(20)])
    assert 0 < sending.send_lease(email.id).sent <= 5
    for _ in range(20):
        with clock.frozen(clock.now() + timedelta(seconds=30)):
            sending.send_lease(email.id)
    assert len(sink.messages) <= 8
    assert sink.messages[0].sender == "news@northwind.example"


def test_a_window_that_is_closed_sends_nothing(app: Flask, sink: Sink) -> None:
    email = make_sending(readers(2))
    minute = clock.now().hour * 60 + clock.now().minute
    closed = (0, 60) if minute > 120 else (600, 660)
    email.window_from, email.window_to = closed
    db.session.commit()
    assert sending.send_lease(email.id).sent == 0
    email.window_from, email.window_to = None, None
    db.session.commit()
    assert sending.send_lease(email.id).sent == 2


def test_a_mail_that_breaks_keeps_no_other_waiting(
    app: Flask, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = make_sending(readers(1), state=EmailState.AUTOMATED)
    broken.variants.clear()
    db.session.commit()
    whole = make_sending(readers(3))
    write = Letter.render

    def render(letter: Letter, to: Addressee, date: bytes) -> bytes:
        if to.address == "reader1@example.com":
            raise ValueError("unwritable")
        return write(letter, to, date)

    monkeypatch.setattr(Letter, "render", render)
    send_due()
    assert sorted(arrived(sink)) == ["reader0@example.com", "reader2@example.com"]
    unwritten = recipient_of(whole, "reader1@example.com")
    assert (unwritten.state, unwritten.attempts) == ("pending", 1)
    assert unwritten.due_at > clock.now()
    assert sending.recover() == 1
    assert states_of(broken) == {"pending": 1}


def test_a_person_may_repeat_what_failed_and_a_machine_never_does(app: Flask, sink: Sink) -> None:
    sink.cue("END", "554 5.7.1 not now")
    email = make_sending(readers(2))
    send_due()
    failed = recipient_of(email, "reader0@example.com")
    assert failed.state == "failed"
    by = make_user("staff@example.com").id
    assert by
    sending.send_again(email.id, failed.id, SYSTEM)
    db.session.commit()
    with pytest.raises(WrongEmailState):
        sending.send_again(email.id, failed.id, SYSTEM)
    send_due()
    reached = sending.progress(email.id)
    assert (reached.sent, reached.failed, reached.pending) == (2, 0, 0)
    assert reached.state is EmailState.SENT


def test_steps_of_sequences_are_sent_and_never_over(app: Flask, sink: Sink) -> None:
    email = make_sending(readers(2), state=EmailState.AUTOMATED)
    send_due()
    keep_sending()
    db.session.refresh(email)
    assert len(sink.messages) == 2
    assert email.state is EmailState.AUTOMATED


def test_the_minutes_of_a_send_add_up(app: Flask, sink: Sink) -> None:
    email = make_sending(readers(3))
    let_want([])
    sending.send_lease(email.id)
    assert sum(each.sent for each in sending.rates(email.id)) == 3
    assert sending.progress(email.id).rate > 0


def test_a_mail_that_has_to_wait_keeps_no_worker_busy(
    app: Flask, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers that call each other for a mail nobody may send now would do so all night."""
    rings: list[str] = []
    monkeypatch.setattr(jobs_sending, "ring", lambda path, _queue: rings.append(path))
    db.session.add(MailSender(name="N", address="n@x.example", is_default=True, per_day=1))
    db.session.commit()
    make_sending(readers(3))
    send_due()
    assert len(sink.messages) == 1
    rings.clear()
    send_due()
    assert (rings, len(sink.messages)) == ([], 1)
