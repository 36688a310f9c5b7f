"""Versions of the policy, and what another one would have done in the past."""

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from tests.billing.dunning.conftest import DAY, MakeStory
from tests.factories.billing import NOON, make_attempt
from webapp.billing.errors import InvalidPolicy
from webapp.billing.models import DunningPolicy, InvoiceStatus
from webapp.billing.policy import Mailing, Policy
from webapp.billing.services.dunning import policies
from webapp.billing.services.dunning.simulating import Tally, simulate
from webapp.core import clock
from webapp.core.audit import OPERATOR
from webapp.core.db import db
from webapp.messaging.models import Mail, MailState


def test_the_default_is_in_force_until_somebody_chooses(app: Flask) -> None:
    first = policies.in_force()
    assert (Policy.of(first.rules), first.author) == (Policy(), "system")
    assert policies.in_force().id == first.id
    chosen = Policy(minimum_amount=500)
    second = policies.put_in_force(chosen.as_rules(), OPERATOR, "Small ones cost more.")
    assert policies.in_force().id == second.id != first.id
    assert policies.put_in_force(chosen.as_rules(), OPERATOR).id == second.id
    forced = select(func.count()).select_from(DunningPolicy).where(DunningPolicy.in_force)
    assert db.session.scalar(forced) == 1


def test_a_policy_with_a_mail_nobody_wrote_is_refused(app: Flask) -> None:
    rules = Policy(mailings=(Mailing(0, "poem"),)).as_rules()
    with pytest.raises(InvalidPolicy, match="no mail named poem"):
        policies.put_in_force(rules, OPERATOR)


def test_another_policy_is_run_over_past_cases_as_far_as_they_went(make_story: MakeStory) -> None:
    paid, lost = make_story(), make_story(name="bob", at=NOON + DAY)
    for story in (paid, lost):
        story.follow()
    for day in range(5):
        paid.look(NOON + day * DAY)
    db.session.execute(update(Mail).values(state=MailState.SENT))
    paid.invoice.status, paid.invoice.paid_at = InvoiceStatus.PAID, NOON + 4.5 * DAY
    make_attempt(paid.invoice, at=NOON + 4.5 * DAY)
    paid.follow()
    for day in range(5, 30):
        lost.look(NOON + day * DAY)
    brisk = Policy(
        mailings=tuple(Mailing(day, "reminder") for day in (0, 1, 2, 4, 5)), wall_day=4, end_day=6
    )
    with clock.frozen(NOON + 30 * DAY):
        found = simulate(brisk, NOON, NOON + 30 * DAY)
        assert (found.count, found.left_alone) == (2, 0)
        assert found.would == Tally(mails=4 + 5, walls=2, ends=1)
        assert found.did == Tally(mails=2 + 5, walls=1, ends=1)
        first, second = found.cases
        assert [due.step.key for due in first.would] == [
            *("mail:0", "mail:1", "mail:2", "wall:4", "mail:4")
        ]
        assert [step.key for step in first.did] == ["mail:0", "mail:3"]
        assert second.would[-1].step.key == "end:6"
        kept = simulate(Policy(minimum_amount=5000), NOON, NOON + 30 * DAY, size=1, page=2)
        assert (kept.left_alone, kept.would, len(kept.cases)) == (2, Tally(), 1)
        assert simulate(brisk, NOON + 2 * DAY, NOON + 30 * DAY).count == 0
