"""What staff do in a case: wait, leave alone, try now, give up."""

from collections.abc import Callable

import pytest
from sqlalchemy import select, update

from tests.billing.dunning.conftest import DAY, Story
from tests.factories.billing import NOON
from webapp.billing.errors import CaseClosed, CaseHeld, NoSuchCase
from webapp.billing.models import (
    BillingOperation,
    CaseState,
    DunningCase,
    Entitlement,
    OperationKind,
    OperationState,
    StepAction,
)
from webapp.billing.queries.dunning import list_owed, look_ahead, steps_of
from webapp.billing.services.carrying_out import LEASE
from webapp.billing.services.dunning import acting
from webapp.core import clock
from webapp.core.audit import OPERATOR
from webapp.core.db import db
from webapp.core.models import AuditEntry
from webapp.messaging.models import Mail, MailState


def audited(case_id: int) -> list[str]:
    found = select(AuditEntry.action).where(AuditEntry.subject == f"case:{case_id}")
    return list(db.session.scalars(found.order_by(AuditEntry.id)))


def entitlement_of(story: Story) -> Entitlement:
    return db.session.get_one(Entitlement, story.user.id, populate_existing=True)


def ends() -> list[OperationState]:
    asked = select(BillingOperation).where(BillingOperation.kind == OperationKind.CANCEL)
    rows = db.session.scalars(
        asked.order_by(BillingOperation.id).execution_options(populate_existing=True)
    )
    return [row.state for row in rows]


def ahead(story: Story) -> list[tuple[str, float]]:
    case = story.case
    coming = look_ahead(case, steps_of([case.id])[case.id])
    return [(due.step.key, (due.at - NOON) / DAY) for due in coming]


def test_a_pause_stops_the_clock_and_ends_by_itself(story: Story) -> None:
    story.look(NOON)
    db.session.execute(update(Mail).values(state=MailState.SENT))
    with clock.frozen(NOON + 2 * DAY):
        acting.pause(story.case.id, NOON + 20 * DAY, OPERATOR)
        db.session.commit()
        assert ahead(story)[:2] == [("mail:3", 21.0), ("wall:7", 25.0)]
        [owed] = list_owed(story.customer.id)
        assert (owed.wall_on, owed.ends_on) == ((NOON + 25 * DAY).date(), (NOON + 32 * DAY).date())
    for day in (3, 8, 15):
        story.look(NOON + day * DAY)
    assert story.steps() == {"mail:0": "done"}
    story.look(NOON + 20 * DAY)
    assert story.steps() == {"mail:0": "done"}
    assert (story.case.paused_at, story.case.next_due_at) == (None, NOON + 21 * DAY)
    story.look(NOON + 21 * DAY)
    assert story.steps() == {"mail:0": "done", "mail:3": "done"}
    assert audited(story.case.id) == ["case.paused"]


def test_a_pause_without_an_end_lasts_until_somebody_ends_it(story: Story) -> None:
    with clock.frozen(NOON):
        acting.pause(story.case.id, None, OPERATOR)
    story.look(NOON + 30 * DAY)
    assert (story.steps(), ahead(story)) == ({}, [])
    [owed] = list_owed(story.customer.id)
    assert (owed.wall_on, owed.end, owed.ends_on) == (None, None, None)
    with clock.frozen(NOON + 30 * DAY):
        acting.unpause(story.case.id, OPERATOR)
    story.look(NOON + 30 * DAY)
    assert story.steps() == {"mail:0": "done"}
    assert story.case.next_due_at == NOON + 33 * DAY
    assert audited(story.case.id) == ["case.paused", "case.unpaused"]


def test_who_is_excluded_is_left_alone_and_who_is_included_goes_on_from_there(
    story: Story,
) -> None:
    story.look(NOON + 7 * DAY)
    with clock.frozen(NOON + 8 * DAY):
        acting.exclude(story.case.id, "An old friend.", OPERATOR)
    assert (entitlement_of(story).owing, entitlement_of(story).walled_at) == (False, None)
    story.look(NOON + 30 * DAY)
    before = story.steps()
    assert set(before) == {"mail:0", "mail:3", "wall:7", "mail:7"}
    with clock.frozen(NOON + 30 * DAY):
        acting.include(story.case.id, OPERATOR)
    assert entitlement_of(story).walled_at == NOON + 30 * DAY
    story.look(NOON + 30 * DAY)
    assert story.steps() == before
    assert ahead(story) == [("mail:10", 32.0), ("mail:13", 35.0), ("end:14", 36.0)]


def test_an_end_that_waits_is_taken_back_and_comes_again_in_its_time(story: Story) -> None:
    story.look(NOON + 14 * DAY)
    assert ends() == [OperationState.REQUESTED]
    with clock.frozen(NOON + 14 * DAY):
        acting.exclude(story.case.id, "pays by bank transfer", OPERATOR)
    assert ends() == [OperationState.REFUSED]
    assert "end:14" not in story.steps()
    with clock.frozen(NOON + 20 * DAY):
        acting.include(story.case.id, OPERATOR)
    story.look(NOON + 20 * DAY)
    assert ends() == [
        OperationState.REFUSED,
        OperationState.REQUESTED,
    ]


@pytest.mark.parametrize("hold", [acting.exclude, acting.pause])
def test_while_stripe_is_asked_for_the_end_nobody_believes_it_was_held(
    story: Story, hold: Callable[..., DunningCase]
) -> None:
    """The try may fail and be made again: whoever was told "held" would lose the subscription."""
    story.look(NOON + 14 * DAY)
    case_id, asked_at = story.case.id, NOON + 14 * DAY
    under_way = update(BillingOperation).values(due_at=asked_at + LEASE)
    db.session.execute(under_way)
    db.session.commit()
    how = "pays by bank transfer" if hold is acting.exclude else None
    with clock.frozen(asked_at), pytest.raises(CaseHeld, match="in two minutes"):
        hold(case_id, how, OPERATOR)
    db.session.rollback()
    assert "end:14" in story.steps()
    db.session.execute(update(BillingOperation).values(due_at=asked_at))
    with clock.frozen(asked_at):
        hold(case_id, how, OPERATOR)
    assert ends() == [OperationState.REFUSED]


def test_what_is_given_up_is_not_charged_any_more(story: Story) -> None:
    charge = acting.try_now(story.case.id, OPERATOR)
    acting.write_off(story.case.id, OPERATOR)
    db.session.refresh(charge)
    assert charge.state is OperationState.REFUSED


def test_try_now_and_write_off_are_asked_of_stripe_once_a_key(story: Story) -> None:
    case_id, target = story.case.id, story.invoice.stripe_id
    first = acting.try_now(case_id, OPERATOR, "wish")
    assert acting.try_now(case_id, OPERATOR, "wish").id == first.id
    acting.write_off(case_id, OPERATOR)
    asked = db.session.scalars(select(BillingOperation).order_by(BillingOperation.id)).all()
    assert [(each.kind, each.target) for each in asked] == [
        (OperationKind.PAY_INVOICE, target),
        (OperationKind.WRITE_OFF, target),
    ]
    assert audited(case_id) == ["case.tried", "case.tried", "case.written_off"]


@pytest.mark.parametrize(
    "act",
    [
        lambda id_: acting.pause(id_, None, OPERATOR),
        lambda id_: acting.exclude(id_, "", OPERATOR),
        lambda id_: acting.try_now(id_, OPERATOR),
        lambda id_: acting.write_off(id_, OPERATOR),
    ],
)
def test_nothing_is_done_in_a_case_that_is_closed_or_is_none(
    story: Story, act: Callable[[int], DunningCase]
) -> None:
    case = story.case
    case.state, case.closed_at = CaseState.RECOVERED, NOON
    db.session.commit()
    with pytest.raises(CaseClosed):
        act(case.id)
    with pytest.raises(NoSuchCase):
        act(case.id + 1)


def test_what_is_held_already_or_isnt_is_refused_in_words(story: Story) -> None:
    case_id = story.case.id
    for act in (acting.unpause, acting.include):
        with pytest.raises(CaseHeld):
            act(case_id, OPERATOR)
    with pytest.raises(CaseHeld, match="future"):
        acting.pause(case_id, clock.now(), OPERATOR)
    acting.exclude(case_id, "  ", OPERATOR)
    assert story.case.excluded_reason == "Excluded by hand."
    with pytest.raises(CaseHeld):
        acting.pause(case_id, None, OPERATOR)
    with pytest.raises(CaseHeld):
        acting.exclude(case_id, "", OPERATOR)
    assert StepAction.MAIL not in {due for due, _ in ahead(story)}
