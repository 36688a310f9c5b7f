"""A worker may die at any instruction: nobody gets a mail twice, and nothing is lost unsaid."""

import os
from collections.abc import Iterable, Iterator
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from tests.campaigns.sending.conftest import arrived, make_sending, readers, states_of
from tests.factories.emails import recipient_of
from tests.messaging.sink import TAKE_AND_HANG_UP, Sink
from webapp.campaigns.models import EmailState
from webapp.campaigns.services import sending
from webapp.campaigns.services.sending import dispatch, journal, leases, recovering
from webapp.campaigns.services.sending.journal import LeaseJournal, Step
from webapp.core import clock
from webapp.core.db import db
from webapp.messaging.gateway import Envelope, Handover, Outcome, Result


class Killed(BaseException):
    """What a process that is killed never gets to handle."""


class Dying:
    """A door at which the worker dies: before or after the end of the third message."""

    def __init__(self, heard: bool) -> None:
        self.heard = heard
        self.taken: list[str] = []

    def send(self, parcels: Iterable[Envelope], journal: object, go_on: object) -> Iterator[Result]:
        for index, parcel in enumerate(parcels):
            journal.begin(index)  # type: ignore[attr-defined] # a Journal
            if index == 3 and not self.heard:
                raise Killed
            self.taken.append(parcel.recipient)
            yield Result(index, Handover(Outcome.ACCEPTED, "250 ok"))
            if index == 3:
                raise Killed


def die(monkeypatch: pytest.MonkeyPatch, email_id: int, heard: bool) -> Dying:
    door = Dying(heard)
    monkeypatch.setattr(dispatch, "current_bulk_gateway", lambda: door)
    with pytest.raises(Killed):
        sending.send_lease(email_id)
    return door


@pytest.mark.parametrize("heard", [True, False])
def test_a_killed_worker_leaves_at_most_the_mail_in_flight_unknown(
    app: Flask, monkeypatch: pytest.MonkeyPatch, heard: bool
) -> None:
    email = make_sending(readers(10))
    door = die(monkeypatch, email.id, heard)
    assert states_of(email) == {"claimed": 10}
    assert sending.recover() == 1
    assert sending.recover() == 0
    if heard:
        assert states_of(email) == {"sent": 4, "pending": 6}
    else:
        assert states_of(email) == {"sent": 3, "unknown": 1, "pending": 6}
    for address in door.taken:
        row = recipient_of(email, address)
        assert row.state == "sent"
        assert row.sent_at is not None
    assert recipient_of(email, "reader9@example.com").attempts == 0


def test_after_a_crash_only_the_missing_are_sent(
    app: Flask, monkeypatch: pytest.MonkeyPatch, sink: Sink
) -> None:
    email = make_sending(readers(10))
    with monkeypatch.context() as patch:
        door = die(patch, email.id, heard=False)
    sending.recover()
    assert sending.send_lease(email.id).sent == 6
    assert sorted([*door.taken, *arrived(sink)]) == sorted(
        set(readers(10)) - {"reader3@example.com"}
    )
    assert sending.finish() == [email.id]
    reached = sending.progress(email.id)
    assert (reached.sent, reached.unknown, reached.pending) == (9, 1, 0)


def test_what_was_heard_is_kept_when_postgres_is_lost_at_the_end(
    app: Flask, monkeypatch: pytest.MonkeyPatch, sink: Sink
) -> None:
    email = make_sending(readers(5))

    def lost(*_: object) -> None:
        raise OperationalError("x", {}, Exception("gone"))

    with monkeypatch.context() as patch:
        patch.setattr(leases, "close", lost)
        with pytest.raises(OperationalError):
            sending.send_lease(email.id)
    db.session.rollback()
    assert states_of(email) == {"claimed": 5}
    sending.recover()
    assert states_of(email) == {"sent": 5}
    assert sending.send_lease(email.id).sent == 0
    assert len(sink.messages) == 5


def test_a_journal_of_another_boot_is_not_trusted(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last marks may never have reached the disk: what it calls untouched may be sent."""
    email = make_sending(readers(10))
    die(monkeypatch, email.id, heard=True)
    monkeypatch.setattr(journal, "boot_id", lambda: os.urandom(16))
    sending.recover()
    assert states_of(email) == {"sent": 4, "unknown": 6}


def test_a_lease_whose_journal_is_gone_ends_unknown_and_only_when_it_is_over(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = make_sending(readers(10))
    die(monkeypatch, email.id, heard=True)
    for path in journal._folder().glob("*.journal"):
        path.unlink()
    assert (sending.recover(), sending.expire()) == (0, 0)
    with clock.frozen(clock.now() + leases.LASTS + timedelta(seconds=1)):
        assert sending.expire() == 10
        assert sending.expire() == 0
    assert states_of(email) == {"unknown": 10}
    assert sending.progress(email.id).unknown == 10


def test_a_journal_without_its_lease_is_from_a_claim_that_never_was(app: Flask) -> None:
    email = make_sending(readers(3))
    book = LeaseJournal.create(987654, email.id, [1, 2, 3])
    book.close()
    # The claim's commit may still be on its way in Postgres.
    assert sending.recover() == 0
    assert book.path.exists()
    os.utime(book.path, (0, 0))
    assert sending.recover() == 0
    assert not book.path.exists()
    assert states_of(email) == {"pending": 3}


def test_a_journal_that_the_disk_spoilt_leaves_nobody_claimed(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = make_sending(readers(10))
    die(monkeypatch, email.id, heard=True)
    (path,) = journal._folder().glob("*.journal")
    content = path.read_bytes()
    # The end of it never reached the disk, and a mark before that is none.
    at = journal._step_at(5)
    path.write_bytes(content[:at] + b"\xff" + bytes(len(content) - at - 1))
    monkeypatch.setattr(journal, "boot_id", lambda: os.urandom(16))
    assert sending.recover() == 1
    assert states_of(email) == {"sent": 4, "unknown": 6}
    assert sending.progress(email.id).pending == 0


def test_a_lease_that_cannot_be_settled_keeps_nobody_from_sending(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = make_sending(readers(10))
    with monkeypatch.context() as patch:
        die(patch, email.id, heard=True)
        patch.setattr(recovering, "close", lambda *_: 1 / 0)
        assert sending.recover() == 0
    assert states_of(email) == {"claimed": 10}
    assert sending.recover() == 1
    assert states_of(email) == {"sent": 4, "pending": 6}


def test_a_living_workers_journal_is_left_alone(app: Flask) -> None:
    email = make_sending(readers(3))
    lease = leases.claim(email.id, email.topic, 500)
    assert lease is not None
    lease.journal.begin(0)
    assert sending.recover() == 0
    assert states_of(email) == {"claimed": 3}
    lease.journal.close()
    assert sending.recover() == 1
    assert states_of(email) == {"unknown": 1, "pending": 2}


def test_a_worker_thought_dead_still_tells_what_became_of_its_mails(app: Flask) -> None:
    email = make_sending(readers(3))
    lease = leases.claim(email.id, email.topic, 500)
    assert lease is not None
    with clock.frozen(clock.now() + leases.LASTS + timedelta(seconds=1)):
        sending.expire()
    assert states_of(email) == {"unknown": 3}
    assert sending.finish() == [email.id]
    accepted = Handover(Outcome.ACCEPTED, "250 ok")
    first, second, third = (each.id for each in lease.recipients)
    told = [leases.fate_of(each, 1, accepted) for each in (first, second)]
    leases.end(lease, [*told, leases.untouched(third)])
    assert states_of(email) == {"sent": 2, "pending": 1}
    reached = sending.progress(email.id)
    assert (reached.sent, reached.unknown, reached.pending) == (2, 0, 1)
    # It was called sent meanwhile, and nobody would come by for the third.
    assert reached.state is EmailState.SENDING


def test_a_reply_that_never_came_is_unknown_and_never_repeated(app: Flask, sink: Sink) -> None:
    sink.cue("END", "250 ok", TAKE_AND_HANG_UP)
    email = make_sending(readers(4))
    assert sending.send_lease(email.id).sent == 3
    assert states_of(email) == {"sent": 3, "unknown": 1}
    sending.send_lease(email.id)
    assert len(arrived(sink)) == len(set(arrived(sink))) == 4


def test_rubbish_among_the_journals_is_passed_over(app: Flask) -> None:
    folder = journal._folder()
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {"1.journal": b"", "2.journal": b"x" * 500}.items():
        (folder / name).write_bytes(content)
    assert sending.recover() == 0
    for path in folder.iterdir():
        path.unlink()


def test_a_journal_keeps_each_step(app: Flask) -> None:
    book = LeaseJournal.create(1, 2, [10, 11, 12, 13])
    book.begin(0)
    book.begin(1)
    book.settle(1, Handover(Outcome.ACCEPTED, "250 2.0.0 ok"))
    book.begin(2)
    book.settle(2, Handover(Outcome.REFUSED, "550 no"))
    steps = [(each.recipient_id, each.step, each.status) for each in book.entries()]
    assert steps == [
        (10, Step.BEGUN, 0),
        (11, Step.ACCEPTED, 250),
        (12, Step.REFUSED, 550),
        (13, Step.UNTOUCHED, 0),
    ]
    assert (book.lease_id, book.email_id, book.is_of_this_boot) == (1, 2, True)
    book.remove()
