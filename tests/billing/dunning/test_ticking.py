"""What the clock does in a case: each step once, never a heap, and nobody waits for another."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from jobs.billing import tick_cases
from tests.billing.dunning.conftest import DAY, MakeStory, Story
from tests.factories.billing import NOON, make_policy, make_unpaid_invoice
from tests.factories.sales import StripeDesk
from webapp.accounts.models import Prospect, ProspectSource
from webapp.billing.models import (
    BillingOperation,
    CaseState,
    DunningCase,
    Entitlement,
    OperationKind,
    OperationState,
)
from webapp.billing.policy import EndAction, Mailing, Policy
from webapp.billing.services.dunning import acting, mails
from webapp.billing.services.dunning.following import follow_subscription
from webapp.core import clock
from webapp.core.audit import OPERATOR
from webapp.core.db import db
from webapp.messaging.models import MailState, SuppressionReason, SuppressionScope
from webapp.messaging.services.suppressing import suppress


def operations() -> list[tuple[OperationKind, str]]:
    rows = db.session.scalars(select(BillingOperation).order_by(BillingOperation.id))
    return [(row.kind, row.target) for row in rows]


def test_a_clock_that_never_sleeps_takes_every_step_on_its_day(story: Story) -> None:
    for hours in range(0, 15 * 24, 5):
        story.look(NOON + timedelta(hours=hours))
    assert story.steps() == {
        "mail:0": "done",
        "mail:3": "done",
        "wall:7": "done",
        "mail:7": "done",
        "mail:10": "done",
        "mail:13": "done",
        "end:14": "done",
    }
    kinds = ["failed", "reminder", "walled", "urgent", "last"]
    assert [mail.kind for mail in story.mails()] == [f"dunning_{kind}" for kind in kinds]
    assert operations() == [(OperationKind.CANCEL, story.subscription.stripe_id)]
    case = story.case
    assert (case.state, case.next_due_at) == (CaseState.OPEN, None)
    assert case.walled_at is not None
    assert NOON + 7 * DAY <= case.walled_at < NOON + 7 * DAY + timedelta(hours=5)


def test_after_five_days_without_a_clock_the_latest_mail_goes_and_the_rest_is_missed(
    story: Story,
) -> None:
    story.look(NOON)
    story.look(NOON + 12 * DAY)
    assert story.steps() == {
        "mail:0": "done",
        "mail:3": "missed",
        "mail:7": "missed",
        "wall:7": "done",
        "mail:10": "done",
    }
    assert [mail.kind for mail in story.mails()] == ["dunning_failed", "dunning_urgent"]
    assert story.case.next_due_at == NOON + 13 * DAY


def test_the_wall_shuts_in_the_transaction_of_the_step(story: Story) -> None:
    story.look(NOON + 7 * DAY)
    entitlement = db.session.get_one(Entitlement, story.user.id, populate_existing=True)
    assert (entitlement.owing, entitlement.walled_at) == (True, NOON + 7 * DAY)


def test_a_case_that_cannot_be_taken_on_holds_up_no_other(
    make_story: MakeStory, monkeypatch: pytest.MonkeyPatch, stripe_desk: StripeDesk
) -> None:
    alice, bob = make_story(), make_story(name="bob")
    broken, good = alice.follow(), bob.follow()
    post_step = mails.post_step

    def trip(case: DunningCase, *rest: Any) -> object:
        if case.id == broken.id:
            raise RuntimeError("a template is broken")
        return post_step(case, *rest)

    monkeypatch.setattr(mails, "post_step", trip)
    with clock.frozen(NOON):
        tick_cases()
    assert (alice.steps(), bob.steps()) == ({}, {"mail:0": "done"})
    assert alice.case.next_due_at == NOON + timedelta(hours=1)
    assert good.id == bob.case.id
    monkeypatch.undo()
    alice.look(NOON + timedelta(hours=1))
    assert alice.steps() == {"mail:0": "done"}


@pytest.mark.parametrize(
    ("end", "kinds", "state"),
    [
        (EndAction.CANCEL, [OperationKind.CANCEL], CaseState.OPEN),
        (EndAction.PAUSE, [OperationKind.PAUSE], CaseState.OPEN),
        (EndAction.KEEP, [], CaseState.LOST),
    ],
)
def test_the_end_is_the_policys(
    make_story: MakeStory, end: EndAction, kinds: list[OperationKind], state: CaseState
) -> None:
    make_policy(Policy(end=end))
    story = make_story()
    story.follow()
    story.look(NOON + 14 * DAY)
    assert [kind for kind, _ in operations()] == kinds
    assert story.case.state is state
    assert story.mails() == []
    assert set(story.steps().values()) == {"done", "missed"}


def test_a_pause_by_the_policy_closes_the_case_once_stripe_has_paused(
    make_story: MakeStory,
) -> None:
    make_policy(Policy(end=EndAction.PAUSE))
    story = make_story()
    story.follow()
    story.look(NOON + 14 * DAY)
    assert story.subscription is not None
    follow_subscription(story.subscription)
    assert story.case.state is CaseState.OPEN
    story.subscription.pause_behavior = "void"
    follow_subscription(story.subscription)
    assert (story.case.state, story.case.cause) == (CaseState.LOST, "ended by the policy: pause")


def test_nothing_is_done_while_the_money_may_be_on_its_way(story: Story) -> None:
    story.invoice.processing = True
    story.look(NOON + 7 * DAY)
    assert (story.steps(), story.mails()) == ({}, [])
    story.invoice.processing = False
    asked = acting.try_now(story.case.id, OPERATOR)
    story.look(NOON + 7 * DAY + timedelta(hours=1))
    assert story.steps() == {}
    asked.state = OperationState.REFUSED
    story.look(NOON + 7 * DAY + timedelta(hours=2))
    assert story.steps()["wall:7"] == "done"


def test_where_mails_were_held_up_only_the_newest_goes(story: Story) -> None:
    story.look(NOON)
    story.look(NOON + 3 * DAY, mails_go=False)
    assert [mail.state for mail in story.mails()] == [MailState.WITHDRAWN, MailState.PENDING]
    assert story.steps() == {"mail:0": "withdrawn", "mail:3": "done"}


def test_an_end_without_a_subscription_closes_the_case(make_story: MakeStory) -> None:
    story = make_story()
    story.invoice = make_unpaid_invoice(story.customer, at=NOON)
    story.follow()
    story.look(NOON + 14 * DAY)
    assert (story.case.state, operations()) == (CaseState.LOST, [])


def test_mails_keep_the_hours_of_whom_they_go_to(make_story: MakeStory) -> None:
    db.session.add(
        Prospect(
            email="alice@example.com", source=ProspectSource.IMPORT, time_zone="America/New_York"
        )
    )
    db.session.commit()
    night = datetime.fromisoformat("2030-03-04T03:00:00+00:00")  # ten in the evening in New York
    alice, bob = make_story(at=night), make_story(at=night, name="bob")
    for story in (alice, bob):
        story.follow()
        story.look(night)
    assert alice.case.next_due_at == datetime.fromisoformat("2030-03-04T13:00:00+00:00")
    assert bob.case.next_due_at == datetime.fromisoformat("2030-03-04T08:00:00+00:00")
    alice.look(night + timedelta(hours=10))
    assert (alice.steps(), bob.steps()) == ({"mail:0": "done"}, {"mail:0": "done"})


def test_who_must_not_or_cannot_be_written_to_is_not_and_the_step_says_so(
    make_story: MakeStory,
) -> None:
    alice = make_story()
    everything, bounced = SuppressionScope.ALL, SuppressionReason.BOUNCE
    suppress("alice@example.com", everything, bounced, "a bounce", by=OPERATOR)
    nobody = make_story(name="bob")
    nobody.customer.user_id, nobody.customer.email = None, ""
    db.session.commit()
    for story in (alice, nobody):
        story.follow()
        story.look(NOON)
        assert story.steps() == {"mail:0": "suppressed"}
    assert [mail.state for mail in alice.mails()] == [MailState.SUPPRESSED]
    assert nobody.mails() == []


def test_a_policy_put_in_force_later_changes_no_case_under_way(story: Story) -> None:
    make_policy(Policy(mailings=(Mailing(1, "last"),), wall_day=None, end_day=None))
    story.look(NOON)
    story.look(NOON + 3 * DAY)
    assert story.steps() == {"mail:0": "done", "mail:3": "done"}
