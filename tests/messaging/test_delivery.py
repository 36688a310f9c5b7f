"""Whatever the mail server or the machine does, nobody gets a mail twice, and no fate is hidden."""

import sys
from contextlib import suppress
from datetime import timedelta
from threading import Barrier, Thread
from types import FrameType
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, select, update

from jobs.messaging import deliver, settle_stale
from tests.messaging.conftest import after_the_lease, close_connection, reply_of, state_of
from tests.messaging.sink import HANG_UP, STALL, TAKE_AND_HANG_UP, Sink
from webapp.core import clock
from webapp.core.db import db
from webapp.core.errors import RetryLater
from webapp.core.models import Job, JobState
from webapp.core.queue import perform
from webapp.core.state import current_fork
from webapp.messaging.errors import NoSuchMail, NotOver
from webapp.messaging.gateway import Outcome, current_gateway, lines
from webapp.messaging.gateway.lines import Line
from webapp.messaging.models import Mail, MailState
from webapp.messaging.services import Settled, begin, claim, post, send_again


def test_it_arrives_and_the_reply_is_kept(mail_id: int, sink: Sink) -> None:
    deliver(mail_id)
    assert state_of(mail_id) is MailState.SENT
    assert reply_of(mail_id) == "250 2.0.0 taken"
    [caught] = sink.messages
    assert (caught.sender, caught.recipient) == ("hello@birch.example", "alice@example.org")
    assert b"Subject: A note\r\n" in caught.content


def test_a_second_try_after_success_does_nothing(mail_id: int, sink: Sink) -> None:
    deliver(mail_id)
    deliver(mail_id)
    assert len(sink.messages) == 1


def test_there_is_no_such_mail(app: Flask) -> None:
    with pytest.raises(NoSuchMail):
        deliver(404)


@pytest.mark.parametrize("step", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "END"])
@pytest.mark.parametrize("reply", ["421 going down", "451 greylisted, come back"])
def test_not_now_means_later(mail_id: int, sink: Sink, step: str, reply: str) -> None:
    sink.cue(step, reply)
    if step == "EHLO":
        sink.cue("HELO", reply)
    with pytest.raises(RetryLater):
        deliver(mail_id)
    assert state_of(mail_id) is MailState.PENDING
    assert reply_of(mail_id).startswith(reply[:3])
    assert sink.messages == []
    deliver(mail_id)
    assert state_of(mail_id) is MailState.SENT
    assert len(sink.messages) == 1


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "END"])
def test_no_means_failed_with_the_reply_kept(mail_id: int, sink: Sink, step: str) -> None:
    sink.cue(step, "550 5.1.1 nobody here")
    deliver(mail_id)
    assert state_of(mail_id) is MailState.FAILED
    assert reply_of(mail_id) == "550 5.1.1 nobody here"
    deliver(mail_id)
    assert sink.messages == []


def test_a_greeting_that_refuses_everybody_is_not_the_mails_fault(mail_id: int, sink: Sink) -> None:
    sink.cue("CONNECT", "554 no service here")
    with pytest.raises(RetryLater):
        deliver(mail_id)
    assert state_of(mail_id) is MailState.PENDING


def test_a_connection_survives_a_refused_recipient(mail_id: int, sink: Sink) -> None:
    sink.cue("RCPT", "451 later", "250 OK")
    with pytest.raises(RetryLater):
        deliver(mail_id)
    deliver(mail_id)
    assert sink.connections == 1


@pytest.mark.parametrize("step", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "BODY"])
def test_a_connection_lost_before_the_end_is_tried_again(
    mail_id: int, sink: Sink, step: str
) -> None:
    sink.cue(step, HANG_UP)
    if step == "BODY":
        # A small message fits the socket's buffer; this one notices that nobody reads it.
        body = "x" * 78 + "\n"
        db.session.execute(update(Mail).values(html=body * 100_000))
        db.session.commit()
    with pytest.raises(RetryLater):
        deliver(mail_id)
    assert state_of(mail_id) is MailState.PENDING
    deliver(mail_id)
    assert state_of(mail_id) is MailState.SENT
    assert len(sink.messages) == 1


@pytest.mark.parametrize("reply", [HANG_UP, TAKE_AND_HANG_UP, "299", "354 what?"])
def test_silence_after_the_end_is_unknown_and_stays_so(
    mail_id: int, sink: Sink, reply: str
) -> None:
    sink.cue("END", reply)
    deliver(mail_id)
    if reply == "299":
        assert state_of(mail_id) is MailState.SENT
        return
    assert state_of(mail_id) is MailState.UNKNOWN
    with after_the_lease():
        deliver(mail_id)
        assert settle_stale() == Settled()
    assert state_of(mail_id) is MailState.UNKNOWN
    assert len(sink.messages) == (reply == TAKE_AND_HANG_UP)


@pytest.mark.parametrize("step", ["RCPT", "END"])
def test_a_server_that_never_answers(
    mail_id: int, sink: Sink, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if step == "RCPT":
        monkeypatch.setattr(lines, "COMMAND_SECONDS", 0.1)
        sink.cue("RCPT", STALL)
        with pytest.raises(RetryLater):
            deliver(mail_id)
        assert state_of(mail_id) is MailState.PENDING
    else:
        monkeypatch.setattr(lines, "END_SECONDS", 0.1)
        sink.cue("BODY", STALL)
        deliver(mail_id)
        assert state_of(mail_id) is MailState.UNKNOWN


def test_no_server_at_all(mail_id: int, sink: Sink) -> None:
    sink.stop()
    with pytest.raises(RetryLater):
        deliver(mail_id)
    assert state_of(mail_id) is MailState.PENDING
    assert "refused" in reply_of(mail_id)


def test_ten_workers_with_one_mail_send_it_once(app: Flask, mail_id: int, sink: Sink) -> None:
    start, wrong = Barrier(10), []

    def run() -> None:
        with app.app_context():
            start.wait()
            try:
                with suppress(RetryLater):
                    deliver(mail_id)
            except Exception as error:
                wrong.append(error)

    threads = [Thread(target=run) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert state_of(mail_id) is MailState.SENT
    assert len(sink.messages) == 1


def test_a_slow_worker_that_lost_its_claim_stops_before_the_end(mail_id: int, sink: Sink) -> None:
    slow = claim(mail_id)
    db.session.commit()
    assert slow is not None
    with after_the_lease():
        deliver(mail_id)
    assert len(sink.messages) == 1
    handover = current_gateway().hand_over(slow.envelope, lambda: begin(slow))
    assert handover.outcome is Outcome.WITHDRAWN
    assert len(sink.messages) == 1


def test_a_late_answer_corrects_the_doubt(
    mail_id: int, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = Line.end

    def slow_end(line: Any) -> str:
        with after_the_lease():
            with suppress(RetryLater):
                deliver(mail_id)
            assert state_of(mail_id) is MailState.UNKNOWN
            db.session.commit()
        return end(line)

    monkeypatch.setattr(Line, "end", slow_end)
    deliver(mail_id)
    assert state_of(mail_id) is MailState.SENT
    assert len(sink.messages) == 1


class Kill(BaseException):
    """No handler of ours catches it: as near to kill -9 as one process gets."""


class Killer:
    """Raises Kill at the n-th line of the modules of mail to be reached for the first time."""

    def __init__(self, line: int) -> None:
        self.left = line
        self.where = ""
        self.seen: set[tuple[str, int]] = set()

    def __call__(self, frame: FrameType, event: str, arg: object) -> Any:
        file = frame.f_code.co_filename
        ours = "messaging" in file and "tests" not in file and "composing" not in file
        return self.count if ours else None

    def count(self, frame: FrameType, event: str, arg: object) -> Any:
        here = frame.f_code.co_filename, frame.f_lineno
        if event == "line" and not self.where and here not in self.seen:
            self.seen.add(here)
            self.left -= 1
            if self.left == 0:
                self.where = f"{frame.f_code.co_name}:{frame.f_lineno} {event}"
                raise Kill
        return self.count


def kill_at(line: int, mail_id: int) -> str:
    """Run a delivery that dies at ``line``; returns where, or "" if it was over before."""
    killer = Killer(line)
    sys.settrace(killer)
    try:
        deliver(mail_id)
    except (Kill, RetryLater):
        pass
    finally:
        sys.settrace(None)
    close_connection()
    db.session.remove()
    return killer.where


def test_killed_at_any_line_it_is_sent_once_or_visibly_in_doubt(
    app: Flask, mail_id: int, sink: Sink
) -> None:
    seen: dict[MailState, int] = {}
    for line in range(1, 2000):
        mail = post("note", "bob@example.org", {}, dedupe_key=f"k:{line}", subject_ref=None)
        db.session.commit()
        number, code = mail.id, mail.code.encode()
        where = kill_at(line, number)
        if not where:
            break
        with after_the_lease():
            deliver(number)
        copies = sum(b"Message-ID: <" + code in each.content for each in sink.messages)
        sink.messages.clear()
        state = state_of(number)
        assert copies <= 1, where
        assert (state is MailState.SENT and copies == 1) or state is MailState.UNKNOWN, where
        seen[state] = seen.get(state, 0) + 1
    assert not where
    # In doubt is only what was killed between the end of the message and noting the answer.
    assert seen.keys() == {MailState.SENT, MailState.UNKNOWN}


def run_job(job_id: int) -> Job:
    perform(current_fork().name, job_id)
    db.session.rollback()
    return db.session.get_one(Job, job_id, populate_existing=True)


def test_the_job_backs_off_and_comes_back(mail_id: int, sink: Sink) -> None:
    sink.cue("RCPT", "451 greylisted")
    job_id = db.session.scalars(select(Job.id)).one()
    job = run_job(job_id)
    assert job.state is JobState.QUEUED
    assert job.run_at > clock.now()
    assert "alice" not in (job.error or "")
    with after_the_lease():
        assert run_job(job_id).state is JobState.DONE
    assert state_of(mail_id) is MailState.SENT


def test_the_last_try_leaves_a_failed_mail_and_no_failed_job(mail_id: int, sink: Sink) -> None:
    sink.cue("RCPT", "451 greylisted")
    db.session.execute(update(Job).values(max_attempts=1))
    db.session.commit()
    job_id = db.session.scalars(select(Job.id)).one()
    assert run_job(job_id).state is JobState.DONE
    assert state_of(mail_id) is MailState.FAILED
    assert reply_of(mail_id) == "Not delivered after the last try: 451 greylisted"


@pytest.mark.parametrize("state", [MailState.FAILED, MailState.UNKNOWN])
def test_a_person_sends_it_again_once(mail_id: int, sink: Sink, state: MailState) -> None:
    sink.cue("END", "550 no" if state is MailState.FAILED else HANG_UP)
    run_job(db.session.scalars(select(Job.id)).one())
    assert state_of(mail_id) is state
    send_again(mail_id)
    db.session.commit()
    with pytest.raises(NotOver):
        send_again(mail_id)
    db.session.rollback()
    _, second = db.session.scalars(select(Job.id).order_by(Job.id))
    assert run_job(second).state is JobState.DONE
    assert state_of(mail_id) is MailState.SENT
    assert len(sink.messages) == 1
    with pytest.raises(NotOver):
        send_again(mail_id)
    with pytest.raises(NoSuchMail):
        send_again(404)


def forget_jobs(state: JobState | None = None) -> None:
    if state is None:
        db.session.execute(delete(Job))
    else:
        db.session.execute(update(Job).values(state=state))
    db.session.commit()


def test_the_sweep_leaves_alone_what_a_job_cares_for(mail_id: int) -> None:
    with after_the_lease():
        assert settle_stale() == Settled()


def test_the_sweep_promises_a_forgotten_mail_again(mail_id: int, sink: Sink) -> None:
    forget_jobs()
    assert settle_stale() == Settled()
    with after_the_lease():
        assert settle_stale() == Settled(promised=1)
        assert settle_stale() == Settled()
        run_job(db.session.scalars(select(Job.id)).one())
    assert state_of(mail_id) is MailState.SENT


def test_the_sweep_settles_what_dead_workers_left(mail_id: int, sink: Sink) -> None:
    second = post("note", "bob@example.org", {}, dedupe_key="note:2", subject_ref=None).id
    claim(mail_id)
    letter = claim(second)
    assert letter is not None
    begin(letter)
    db.session.commit()
    forget_jobs()
    with after_the_lease():
        assert settle_stale() == Settled(promised=1, unknown=1)
        assert state_of(second) is MailState.UNKNOWN
        deliver(mail_id)
    assert state_of(mail_id) is MailState.SENT
    assert [each.recipient for each in sink.messages] == ["alice@example.org"]


def test_the_sweep_shows_a_mail_whose_job_gave_up(mail_id: int) -> None:
    forget_jobs(JobState.FAILED)
    with after_the_lease():
        assert settle_stale() == Settled(failed=1)
    assert state_of(mail_id) is MailState.FAILED
    send_again(mail_id)
    db.session.commit()
    with clock.frozen(clock.now() + timedelta(days=1)):
        assert settle_stale() == Settled()


def test_the_log_names_the_mail_and_nobody(
    mail_id: int, sink: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    sink.cue("RCPT", "550 5.1.1 <alice@example.org> unknown")
    deliver(mail_id)
    assert any(getattr(record, "mail_id", None) == mail_id for record in caplog.records)
    assert all("alice" not in str(record.__dict__) for record in caplog.records)
