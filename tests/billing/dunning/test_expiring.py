"""People are told of a card that ends, in time and once for each day of the policy."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from jobs.billing import remind_of_cards
from tests.billing.dunning.conftest import MakeStory
from webapp.billing.models import BillingCustomer, SubscriptionStatus
from webapp.billing.services.dunning import expiring
from webapp.core import clock
from webapp.core.db import db
from webapp.messaging.models import Mail

LAST_DAY = datetime(2030, 3, 31, 9, tzinfo=UTC)
ENDS = {"card_exp_year": 2030, "card_exp_month": 3}


def prepare(make_story: MakeStory, name: str = "alice", **changes: Any) -> None:
    story = make_story(name=name)
    story.subscription.status = SubscriptionStatus.ACTIVE
    for key, value in (ENDS | changes).items():
        setattr(story.customer if hasattr(story.customer, key) else story.subscription, key, value)
    db.session.commit()


def told(at: datetime) -> list[str]:
    """Look at ``at``; returns the subjects of all mails so far."""
    with clock.frozen(at):
        remind_of_cards()
    wrote = select(Mail).where(Mail.kind == "dunning_card_expiring").order_by(Mail.id)
    return [mail.subject for mail in db.session.scalars(wrote)]


def test_it_is_told_thirty_fifteen_and_seven_days_before(make_story: MakeStory) -> None:
    prepare(make_story)
    days = {40: 0, 31: 0, 30: 1, 29: 1, 15: 2, 8: 2, 7: 3, 0: 3, -1: 3}
    for before, count in days.items():
        assert len(told(LAST_DAY - timedelta(days=before))) == count, before
    assert told(LAST_DAY) == [f"Your Visa 4242 expires in {n} days" for n in (30, 15, 7)]


def test_after_a_clock_that_stood_still_only_the_latest_is_sent(make_story: MakeStory) -> None:
    prepare(make_story)
    assert told(LAST_DAY - timedelta(days=5)) == ["Your Visa 4242 expires in 5 days"]
    assert len(told(LAST_DAY - timedelta(days=4))) == 1


def test_another_card_is_told_of_anew(make_story: MakeStory) -> None:
    prepare(make_story)
    assert len(told(LAST_DAY - timedelta(days=7))) == 1
    db.session.execute(update(BillingCustomer).values(card_last4="1881"))
    assert told(LAST_DAY - timedelta(days=7))[1] == "Your Visa 1881 expires in 7 days"


@pytest.mark.parametrize(
    "changes",
    [
        {"status": SubscriptionStatus.CANCELED},
        {"cancel_at_period_end": True},
        {"card_exp_year": 2031},
        {"card_exp_year": None},
    ],
)
def test_who_has_nothing_to_renew_or_a_good_card_is_not_written_to(
    make_story: MakeStory, changes: dict[str, Any]
) -> None:
    prepare(make_story, **changes)
    assert told(LAST_DAY - timedelta(days=7)) == []


def test_batches_leave_nobody_out(make_story: MakeStory, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("alice", "bob", "charlie"):
        prepare(make_story, name)
    monkeypatch.setattr(expiring.remind, "__defaults__", (0, 2))
    assert len(told(LAST_DAY - timedelta(days=7))) == 3
