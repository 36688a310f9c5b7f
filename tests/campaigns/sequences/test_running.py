"""A sequence follows one event with its mails, once, and stops when it should."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from jobs.campaigns import advance_sequences
from jobs.orders import fulfil
from tests.campaigns.sequences.conftest import (
    ALICE,
    BOB,
    DAY,
    begin,
    mails_to,
    make_sequence,
    pass_time,
    run_of,
    subscribe,
)
from tests.factories.emails import recipient_of
from tests.factories.orders import make_orders
from tests.factories.people import make_user
from tests.races import Race
from webapp.accounts.services.verifying import confirm_address
from webapp.campaigns.models import (
    Email,
    EmailRecipient,
    LeaveWay,
    RecipientState,
    RunState,
    Sequence,
    SequenceGoal,
    SequenceRun,
    SequenceTrigger,
)
from webapp.campaigns.services import newsletter, sequences
from webapp.campaigns.services.unsubscribing import leave
from webapp.core import clock
from webapp.core.audit import OPERATOR, SYSTEM
from webapp.core.db import db
from webapp.core.models import Job
from webapp.messaging.models import (
    MailSuppression,
    MailTopic,
    SuppressionReason,
    SuppressionScope,
)
from webapp.messaging.services.consent import give_consent
from webapp.orders.models import Order

pytest_plugins = ["tests.races"]


def test_each_mail_follows_in_its_time_and_once(welcome: Sequence) -> None:
    subscribe(ALICE)
    assert begin(ALICE) == 1
    assert begin(ALICE, ALICE.upper()) == 0
    pass_time(0)
    pass_time(0)
    (first,) = mails_to(ALICE)
    assert (first.state, first.fields) == (RecipientState.PENDING, {"first_name": "Alice"})
    assert first.due_at <= clock.now()
    run = run_of(ALICE)
    assert (run.state, run.step) == (RunState.ACTIVE, 2)
    assert run.due_at > clock.now() + timedelta(hours=23)
    pass_time(DAY - 1)
    assert len(mails_to(ALICE)) == 1
    pass_time(1)
    pass_time(DAY)
    assert [mail.email_id for mail in mails_to(ALICE)] == [s.email_id for s in welcome.steps]
    run = run_of(ALICE)
    assert run.state is RunState.DONE
    assert run.ended_at is not None
    population = select(Email.population).where(Email.id == first.email_id)
    assert db.session.scalar(population) == 1
    figures = sequences.figures_of(welcome.id)
    assert figures.runs[RunState.DONE] == 1
    assert [step.waiting for step in figures.steps] == [0, 0]


def test_only_who_wants_the_mails_begins(welcome: Sequence) -> None:
    make_sequence(0, name="Thanks", trigger=SequenceTrigger.ORDER_PLACED)
    make_sequence(0, name="Asleep", active=False)
    assert begin(ALICE) == 0
    subscribe(ALICE)
    give_consent(BOB, MailTopic.OFFERS, True, "account")
    assert begin(ALICE, BOB, "") == 1
    assert run_of(ALICE).sequence_id == welcome.id


def test_who_leaves_or_may_not_be_written_to_is_stopped(welcome: Sequence) -> None:
    for address in (ALICE, BOB, "charlie@example.com"):
        subscribe(address)
        begin(address)
    pass_time(0)
    (first,) = mails_to(ALICE)
    leave(first.email_id, first.id, LeaveWay.HEADER)
    db.session.add(
        MailSuppression(
            email=BOB,
            scope=SuppressionScope.MARKETING,
            reason=SuppressionReason.COMPLAINT,
            source="mail",
        )
    )
    db.session.commit()
    pass_time(DAY)
    assert run_of(ALICE).state is run_of(BOB).state is RunState.STOPPED
    assert [mail.state for mail in mails_to(ALICE)] == [RecipientState.SUPPRESSED]
    assert len(mails_to(BOB)) == 1
    assert run_of("charlie@example.com").state is RunState.DONE


def test_an_order_reaches_the_goal(session: Session) -> None:
    make_sequence(0, DAY, goal=SequenceGoal.ORDER_PLACED)
    make_orders(1, ALICE)
    for address in (ALICE, BOB):
        subscribe(address)
        begin(address)
    pass_time(0)
    assert len(mails_to(ALICE)) == 1, "an order from before is none"
    make_orders(1, ALICE, first_number=6001, placed_at=clock.now())
    pass_time(DAY)
    assert (run_of(ALICE).state, run_of(BOB).state) == (RunState.GOAL, RunState.DONE)
    assert (len(mails_to(ALICE)), len(mails_to(BOB))) == (1, 2)


def test_a_click_in_one_of_its_mails_reaches_the_goal(session: Session) -> None:
    sequence = make_sequence(0, DAY, goal=SequenceGoal.LINK_CLICKED)
    for address in (ALICE, BOB):
        subscribe(address)
        begin(address)
    pass_time(0)
    email = session.get_one(Email, sequence.steps[0].email_id)
    recipient_of(email, ALICE).clicked_at = clock.now()
    session.commit()
    pass_time(DAY)
    assert (run_of(ALICE).state, run_of(BOB).state) == (RunState.GOAL, RunState.DONE)


def test_a_member_a_reader_and_a_buyer_each_begin_theirs(
    app: Flask, session: Session, run_jobs: Callable[[], int]
) -> None:
    for trigger in SequenceTrigger:
        make_sequence(0, name=trigger.value, trigger=trigger)
    # The member's wish for the newsletter is known before the address is shown to be theirs.
    user = make_user(ALICE, verified=False, name="Alice")
    give_consent(ALICE, MailTopic.NEWSLETTER, True, "checkout")
    confirm_address(user, SYSTEM)
    newsletter._join(BOB, "", "newsletter form")
    give_consent("charlie@example.com", MailTopic.NEWSLETTER, True, "checkout")
    make_orders(1, "charlie@example.com")
    fulfil(session.scalars(select(Order.id)).one())
    run_jobs()
    session.commit()
    began = select(Sequence.name, SequenceRun.address).join(Sequence)
    assert {tuple(row) for row in session.execute(began)} == {
        ("member_joined", ALICE),
        ("newsletter_joined", BOB),
        ("order_placed", "charlie@example.com"),
    }
    assert "@" not in str(list(session.scalars(select(Job.args)))), "jobs name nobody"


def test_two_workers_at_once_send_each_mail_once(open_shop: Flask, race: Race) -> None:
    sequence_id = make_sequence(0, 0).id
    addresses = [f"reader{number}@example.com" for number in range(30)]
    for address in addresses:
        subscribe(address)
    race.run(*[lambda: [begin(address) for address in addresses]] * 2)

    def work() -> None:
        for _ in range(6):
            while sequences.advance(sequence_id, 7):
                db.session.commit()
            db.session.commit()

    race.run(work, work, advance_sequences)
    advance_sequences()
    advance_sequences()
    db.session.rollback()
    assert db.session.scalar(select(func.count()).select_from(EmailRecipient)) == 60
    assert set(db.session.scalars(select(SequenceRun.state))) == {RunState.DONE}
    assert set(db.session.scalars(select(Email.population))) == {30}


def test_a_worker_killed_half_way_leaves_nothing_half_done(welcome: Sequence) -> None:
    subscribe(ALICE)
    begin(ALICE)
    assert sequences.advance(welcome.id) == 1
    db.session.rollback()
    assert mails_to(ALICE) == []
    pass_time(0)
    assert len(mails_to(ALICE)) == 1


def test_one_broken_sequence_does_not_hold_up_the_others(
    welcome: Sequence, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_sequence(0, name="Second")
    subscribe(ALICE)
    assert begin(ALICE) == 2
    real = sequences.advance

    def advance(sequence_id: int) -> int:
        if sequence_id == welcome.id:
            raise ValueError("broken")
        return real(sequence_id)

    monkeypatch.setattr(sequences, "advance", advance)
    advance_sequences()
    assert [mail.email_id for mail in mails_to(ALICE)] == [other.steps[0].email_id]


def test_switching_off_stops_everybody_on_the_way(welcome: Sequence) -> None:
    subscribe(ALICE)
    begin(ALICE)
    pass_time(0)
    sequences.deactivate(welcome.id, OPERATOR)
    sequences.deactivate(welcome.id, OPERATOR)
    db.session.commit()
    pass_time(DAY)
    assert [mail.state for mail in mails_to(ALICE)] == [RecipientState.SUPPRESSED]
    assert run_of(ALICE).state is RunState.STOPPED
    sequences.activate(welcome.id, OPERATOR)
    db.session.commit()
    assert begin(ALICE) == 0, "nobody gets a welcome twice"
