"""A sequence while it is written: steps in their order, words that stand once they were sent."""

import pytest
from sqlalchemy.orm import Session

from tests.campaigns.sequences.conftest import (
    ALICE,
    DAY,
    WORDS,
    begin,
    make_sequence,
    pass_time,
    subscribe,
)
from tests.factories.people import make_user
from webapp.accounts.models import Role
from webapp.campaigns.errors import (
    EmailNotReady,
    InvalidSequence,
    NoSuchSequence,
    NotApproved,
    SequenceIsActive,
    SequenceNameTaken,
    WrongEmailState,
)
from webapp.campaigns.models import Email, EmailState, Sequence, SequenceTrigger
from webapp.campaigns.services import sequences
from webapp.campaigns.services.emails import EmailDetails, VariantDetails
from webapp.campaigns.services.readying import back_to_draft, make_ready
from webapp.campaigns.services.sequences import SequenceDetails
from webapp.campaigns.services.settings import SettingsDetails, edit_settings
from webapp.core.audit import OPERATOR, Actor
from webapp.core.models import ActorKind


def names(sequence: Sequence) -> list[str]:
    return [step.email.name for step in sequence.steps]


def test_steps_are_added_moved_and_taken_out(session: Session) -> None:
    sequence = make_sequence(0, 10, 20, active=False)
    assert [(s.number, s.wait_minutes) for s in sequence.steps] == [(1, 0), (2, 10), (3, 20)]
    first, second, third = sequence.steps
    sequences.reorder_steps(sequence.id, [third.id, first.id, second.id], OPERATOR)
    assert names(sequence) == ["Welcome 3", "Welcome 1", "Welcome 2"]
    gone = first.email_id
    sequences.remove_step(first.id, OPERATOR)
    sequences.set_wait(third.id, DAY, OPERATOR)
    session.commit()
    assert names(sequence) == ["Welcome 3", "Welcome 2"]
    assert [(s.number, s.wait_minutes) for s in sequence.steps] == [(1, DAY), (2, 10)]
    assert session.get(Email, gone) is None, "a draft that nobody got goes with its step"
    with pytest.raises(InvalidSequence):
        sequences.reorder_steps(sequence.id, [third.id], OPERATOR)
    with pytest.raises(InvalidSequence):
        sequences.set_wait(third.id, -1, OPERATOR)
    sequences.delete_sequence(sequence.id, OPERATOR)
    session.commit()
    assert session.query(Email).count() == 0


def test_names_are_given_once_and_on_one_line(session: Session) -> None:
    make_sequence(active=False)
    event = SequenceTrigger.MEMBER_JOINED
    with pytest.raises(SequenceNameTaken):
        sequences.create_sequence(SequenceDetails("Welcome", event), OPERATOR)
    for name in ("", "x" * 121, "a\r\nBcc: b"):
        with pytest.raises(InvalidSequence):
            sequences.create_sequence(SequenceDetails(name, event), OPERATOR)
    with pytest.raises(NoSuchSequence):
        sequences.get_sequence(10**9)


def test_while_it_is_on_its_mails_stand(session: Session) -> None:
    sequence = make_sequence(0, 10)
    assert {step.email.state for step in sequence.steps} == {EmailState.AUTOMATED}
    assert all(step.email.variants[0].html for step in sequence.steps)
    step = sequence.steps[0]
    for change in (
        lambda: sequences.add_step(sequence.id, 0, OPERATOR),
        lambda: sequences.remove_step(step.id, OPERATOR),
        lambda: sequences.rewrite_step(step.id, OPERATOR),
        lambda: sequences.reorder_steps(sequence.id, [], OPERATOR),
        lambda: sequences.delete_sequence(sequence.id, OPERATOR),
    ):
        with pytest.raises(SequenceIsActive):
            change()
    with pytest.raises(WrongEmailState):
        back_to_draft(step.email_id, OPERATOR)


def test_words_that_somebody_got_are_replaced_by_a_new_mail(session: Session) -> None:
    sequence = make_sequence(0, 10)
    subscribe(ALICE)
    begin(ALICE)
    pass_time(0)
    sequences.deactivate(sequence.id, OPERATOR)
    step = sequence.steps[0]
    before = step.email
    draft = sequences.rewrite_step(step.id, OPERATOR)
    assert sequences.rewrite_step(step.id, OPERATOR) is draft
    session.commit()
    assert before.state is EmailState.CANCELLED
    assert before.variants[0].html
    assert (draft.state, draft.name) == (EmailState.DRAFT, before.name)
    sequences.activate(sequence.id, OPERATOR)
    session.commit()
    assert draft.state is EmailState.AUTOMATED
    sequences.deactivate(sequence.id, OPERATOR)
    with pytest.raises(InvalidSequence):
        sequences.delete_sequence(sequence.id, OPERATOR)


def test_it_is_switched_on_with_good_mails_alone(session: Session) -> None:
    empty = make_sequence(name="Empty", active=False)
    with pytest.raises(InvalidSequence):
        sequences.activate(empty.id, OPERATOR)
    sequences.add_step(empty.id, 0, OPERATOR)
    with pytest.raises(EmailNotReady):
        sequences.activate(empty.id, OPERATOR)
    session.rollback()
    two = make_sequence(name="Two", active=False)
    variants = (WORDS, VariantDetails("Other", body="Hello [x](http://localhost/)"))
    sequences.add_step(two.id, 0, OPERATOR, EmailDetails("Two", variants))
    with pytest.raises(InvalidSequence):
        sequences.activate(two.id, OPERATOR)
    one = make_sequence(0, name="One", active=False)
    one.steps[0].email.state = EmailState.READY
    with pytest.raises(WrongEmailState):
        sequences.activate(one.id, OPERATOR)


def test_where_two_must_agree_the_second_switches_it_on(session: Session) -> None:
    edit_settings(SettingsDetails(approval=True), OPERATOR)
    people = [make_user(f"{name}@example.com", role=Role.STAFF) for name in ("dana", "erin")]
    dana, erin = (Actor(ActorKind.STAFF, user.id) for user in people)
    sequence = make_sequence(active=False)
    sequences.add_step(sequence.id, 0, dana, EmailDetails("Hello", (WORDS,)))
    with pytest.raises(NotApproved):
        sequences.activate(sequence.id, dana)
    assert sequences.activate(sequence.id, erin).active


def test_a_step_is_not_made_ready_as_a_mail_to_everybody(session: Session) -> None:
    step = make_sequence(0, active=False).steps[0]
    with pytest.raises(WrongEmailState, match="step of a sequence"):
        make_ready(step.email_id, OPERATOR)
