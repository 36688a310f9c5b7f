"""The room of sequences: mails after an event, written in their order, switched on and off."""

from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.admin.campaigns import done_to
from tests.admin.conftest import DOOR, Enter, act, counting, said
from tests.admin.test_catalog import save, titles
from webapp.accounts.models import Role
from webapp.campaigns.models import Email, EmailState, EmailVariant, RunState, SequenceRun
from webapp.campaigns.models import Sequence as MailSequence
from webapp.campaigns.services import sequences
from webapp.core import clock
from webapp.core.audit import SYSTEM
from webapp.core.models import AuditEntry
from webapp.messaging.models import MailConsent

URL = "/admin/sequences"


def make_sequence(name: str = "Welcome", mails: int = 2, *, written: bool = True) -> MailSequence:
    """Return a committed sequence that is off, its mails a day apart."""
    from webapp.campaigns.models import SequenceTrigger
    from webapp.core.db import db

    details = sequences.SequenceDetails(name, SequenceTrigger.MEMBER_JOINED)
    made = sequences.create_sequence(details, SYSTEM)
    for number in range(mails):
        step = sequences.add_step(made.id, number * 1440, SYSTEM)
        if written:
            words = db.session.get_one(EmailVariant, (step.email_id, 1))
            words.subject, words.body = f"Mail {number + 1}", f"Words {number + 1}"
    db.session.commit()
    return made


def page_of(sequence: MailSequence) -> str:
    return f"{URL}/details/?id={sequence.id}"


def again(session: Session, sequence: MailSequence) -> MailSequence:
    session.expire_all()
    return session.get_one(MailSequence, sequence.id)


def test_a_sequence_is_made_and_its_mails_open_on_their_desk(
    owner: FlaskClient, session: Session
) -> None:
    page = save(owner, f"{URL}/new/", name="Welcome", trigger="newsletter_joined", goal="none")
    assert "Welcome is added." in said(page)
    made = session.scalars(select(MailSequence)).one()
    assert "one mail more" in act(owner, f"{URL}/add-step/", id=made.id, wait="2", unit="days")
    step = again(session, made).steps[0]
    assert step.wait_minutes == 2880
    page = owner.get(page_of(made)).text
    assert "Wait 2 days" in page
    desk = owner.get(f"/admin/emails/details/?id={step.email_id}").text
    assert 'id="editor"' in desk
    assert "A mail of the sequence" in desk
    # It has no audience, and is not sent by itself.
    assert 'name="audience"' not in desk
    assert "/admin/emails/make-ready/" not in desk
    assert "It goes to everybody" not in desk
    save(owner, f"{URL}/edit/?id={made.id}", name="Hello", goal="order_placed")
    assert again(session, made).name == "Hello"
    about = AuditEntry.subject == f"sequence:{made.id}"
    done = list(session.scalars(select(AuditEntry.action).where(about).order_by(AuditEntry.id)))
    assert done == ["sequence.created", "sequence.step_added", "sequence.edited"]


def test_steps_are_moved_waited_for_and_taken_out(owner: FlaskClient, session: Session) -> None:
    made, other = make_sequence(), make_sequence("Other")
    first, second = made.steps
    before = first.id, second.id
    told = act(owner, f"{URL}/move-up/", id=made.id, step=second.id)
    assert "comes earlier now" in told
    assert [step.id for step in again(session, made).steps] == [before[1], before[0]]
    assert "the first already" in act(owner, f"{URL}/move-up/", id=made.id, step=before[1])
    act(owner, f"{URL}/set-wait/", id=made.id, step=before[0], wait="3", unit="hours")
    assert again(session, made).steps[1].wait_minutes == 180
    assert "how long" in act(owner, f"{URL}/set-wait/", id=made.id, step=before[0], wait="-1")
    # A step of another sequence is none of this one's.
    foreign = again(session, other).steps[0].id
    assert "no longer in" in act(owner, f"{URL}/remove-step/", id=made.id, step=foreign)
    assert "taken out" in act(owner, f"{URL}/remove-step/", id=made.id, step=before[0])
    assert [step.id for step in again(session, made).steps] == [before[1]]
    assert len(again(session, other).steps) == 2


def test_a_sequence_is_switched_on_and_off(owner: FlaskClient, session: Session) -> None:
    made = make_sequence()
    email_id = made.steps[0].email_id
    assert "is switched on" in act(owner, f"{URL}/activate/", id=made.id)
    assert again(session, made).active
    assert session.get_one(Email, email_id).state is EmailState.AUTOMATED
    page = owner.get(page_of(made)).text
    assert f"{URL}/add-step/" not in page
    assert f"{URL}/deactivate/" in page
    refused = act(owner, f"{URL}/add-step/", id=made.id, wait="1", unit="days")
    assert refused
    assert len(again(session, made).steps) == 2
    desk = owner.get(f"/admin/emails/details/?id={email_id}").text
    assert 'id="editor"' not in desk
    assert "it goes out by itself" in desk
    assert "is switched off" in act(owner, f"{URL}/deactivate/", id=made.id)
    step = again(session, made).steps[0]
    assert "a draft again" in act(owner, f"{URL}/rewrite-step/", id=made.id, step=step.id)
    draft = again(session, made).steps[0].email
    assert (draft.id != email_id, draft.state) == (True, EmailState.DRAFT)
    assert done_to(session, draft)


def test_what_is_not_written_is_not_switched_on(owner: FlaskClient, session: Session) -> None:
    made = make_sequence(written=False)
    assert "subject" in act(owner, f"{URL}/activate/", id=made.id)
    assert not again(session, made).active
    assert "is deleted" in act(owner, f"{URL}/discard/", id=made.id)
    assert session.scalars(select(Email)).all() == []


def run(made: MailSequence, address: str, state: RunState = RunState.ACTIVE) -> SequenceRun:
    due = clock.now() + timedelta(days=1)
    return SequenceRun(sequence_id=made.id, address=address, state=state, due_at=due)


def test_people_in_it_are_counted_and_shown_to_those_who_may_see_them(
    enter: Enter, session: Session
) -> None:
    made = make_sequence()
    session.add(MailConsent(email="alice@example.com", topic="newsletter", wanted=True, source="x"))
    session.add(run(made, "alice@example.com"))
    session.add(run(made, "bob@example.com", RunState.GOAL))
    session.commit()
    staff, viewer = enter(Role.STAFF), enter(Role.VIEWER)
    people = f"{URL}/people/?id={made.id}"
    page = staff.get(people).text
    assert "alice@example.com" in page
    assert "bob@example.com" in page
    assert "alice@example.com" not in staff.get(f"{people}&state=goal").text
    assert staff.get(f"{people}&page=9&state=nonsense").status_code == 200
    found = staff.get(f"{people}&address=%20Bob@example.com").text
    assert "bob@example.com</th>" in found
    assert "alice@example.com" not in found
    assert "Nobody matches" in staff.get(f"{people}&address=bob").text
    assert f"{URL}/discard/" not in enter(Role.MANAGER).get(page_of(made)).text
    assert viewer.get(people).status_code == 403
    detail = viewer.get(page_of(made)).text
    assert "1 waiting" in detail
    assert "/people/" not in detail
    assert f"{URL}/activate/" not in detail
    for verb in ("activate", "deactivate", "add-step", "remove-step", "discard"):
        assert viewer.post(f"{URL}/{verb}/", data={"id": made.id}).status_code == 403, verb


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": ""}, "Name it"),
        ({"name": "Taken"}, "Taken"),
        ({"trigger": "never"}, "Not a valid choice"),
    ],
)
def test_a_sequence_that_can_not_be_is_refused(
    owner: FlaskClient, session: Session, changes: dict[str, str], why: str
) -> None:
    make_sequence("Taken", 0)
    values = {"name": "New", "trigger": "order_placed", "goal": "none"} | changes
    answer = owner.post(f"{URL}/new/", data=values)
    assert (answer.status_code, why in answer.text) == (422, True)
    assert len(session.scalars(select(MailSequence)).all()) == 1


def test_lists_take_few_statements_for_many(owner: FlaskClient, session: Session) -> None:
    for number in range(5):
        made = make_sequence(f"Number {number}")
        session.add(run(made, "alice@example.com"))
    session.commit()
    with counting() as counted:
        page = owner.get(f"{URL}/").text
    assert len(counted) <= DOOR + 7, "\n".join(counted.statements)
    assert len(titles(page)) == 5
    with counting() as one:
        owner.get(page_of(made))
    assert len(one) <= DOOR + 12, "\n".join(one.statements)
