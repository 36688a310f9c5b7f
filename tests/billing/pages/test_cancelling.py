"""Leaving is two presses away; an offer is made once, and coming back is one press."""

from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from tests.billing.pages.test_pricing import only, words
from tests.factories.sales import StripeDesk
from tests.factories.subscribing import Subscriber
from webapp.billing.models import (
    BillingSettings,
    Cancellation,
    CancelOffer,
    CancelOutcome,
    CancelReason,
    Interval,
    SubscriptionStatus,
)
from webapp.billing.services.changing import resumes_at
from webapp.core.db import db

WHY = {"reason": "too_expensive", "comment": "Rent went up."}


def offer(kind: CancelOffer, **values: object) -> None:
    db.session.add(BillingSettings(id=1, offer=kind, **values))
    db.session.commit()


def seen(page: str, decision: str = "stay") -> dict[str, str]:
    """Return what a page with an offer sends back for a decision."""
    terms = only(page, "input[name=terms]").attributes["value"]
    return WHY | {"decision": decision, "terms": str(terms)}


def cancellations() -> list[Cancellation]:
    db.session.expire_all()
    return list(db.session.scalars(select(Cancellation).order_by(Cancellation.id)))


def test_leaving_takes_effect_when_the_paid_time_is_over_and_can_be_taken_back(
    browser: FlaskClient, subscribed: Subscriber
) -> None:
    offer(CancelOffer.NONE)
    assert "nothing more is charged" in browser.get("/billing/cancel").text
    missing = browser.post("/billing/cancel", data={"comment": "x"})
    assert missing.status_code == 422
    assert "Choose what fits best" in missing.text
    assert browser.post("/billing/cancel", data=WHY).location == "/billing"
    row = subscribed.row
    assert (row.status, row.cancel_at_period_end) == (SubscriptionStatus.ACTIVE, True)
    assert subscribed.entitlement is not None
    [left] = cancellations()
    assert (left.reason, left.comment) == (CancelReason.TOO_EXPENSIVE, "Rent went up.")
    assert (left.offer, left.outcome) == (CancelOffer.NONE, CancelOutcome.CANCELLED)
    assert browser.get("/billing/cancel").location == "/billing"
    assert browser.post("/billing/resume").location == "/billing"
    assert "goes on as before" in browser.get("/billing").text
    assert subscribed.row.cancel_at_period_end is False
    assert cancellations()[0].outcome is CancelOutcome.RESUMED
    # Having thought better of it doesn't mean one can't leave again.
    browser.post("/billing/cancel", data=WHY)
    assert subscribed.row.cancel_at_period_end is True


def test_a_fork_may_end_it_at_once(browser: FlaskClient, subscribed: Subscriber) -> None:
    offer(CancelOffer.NONE, cancel_at_period_end=False)
    assert "It ends at once" in browser.get("/billing/cancel").text
    browser.post("/billing/cancel", data=WHY)
    assert subscribed.row.status is SubscriptionStatus.CANCELED
    assert subscribed.entitlement is None
    assert "Ended on" in words(browser.get("/billing").text)


def test_who_is_offered_a_pause_may_take_it_and_go_on_when_they_like(
    browser: FlaskClient, subscribed: Subscriber
) -> None:
    offered = browser.post("/billing/cancel", data=WHY)
    assert "How about a pause?" in offered.text
    assert cancellations() == []
    assert browser.post("/billing/cancel", data=seen(offered.text)).location == "/billing"
    row = subscribed.row
    assert row.pause_behavior == "void"
    assert row.pause_resumes_at == resumes_at(row.current_period_end, 1)
    assert cancellations()[0].outcome is CancelOutcome.STAYED
    assert "Paused" in browser.get("/billing").text
    assert browser.post("/billing/unpause").location == "/billing"
    assert subscribed.row.pause_behavior is None
    # The offer was taken: the next time one simply leaves.
    assert browser.post("/billing/cancel", data=WHY).location == "/billing"
    assert subscribed.row.cancel_at_period_end is True


def test_who_is_offered_less_may_take_it_or_leave(
    browser: FlaskClient, subscribed: Subscriber
) -> None:
    offer(CancelOffer.DISCOUNT, offer_percent=50, offer_months=2)
    page = browser.post("/billing/cancel", data=WHY).text
    offered = words(page)
    assert "Stay for 50 % less" in offered
    assert "$9.50 instead of $19.00 a month" in offered
    browser.post("/billing/cancel", data=seen(page))
    assert subscribed.row.discounts[0]["percent_off"] == 50
    home = words(browser.get("/billing").text)
    assert "Next charge $9.50" in home
    browser.post("/billing/cancel", data=WHY | {"decision": "leave"})
    assert subscribed.row.cancel_at_period_end is True


def test_another_offer_than_was_seen_is_shown_first(
    browser: FlaskClient, subscribed: Subscriber
) -> None:
    old = seen(browser.post("/billing/cancel", data=WHY).text)
    offer(CancelOffer.DISCOUNT, offer_percent=50, offer_months=2)
    page = browser.post("/billing/cancel", data=old)
    assert page.status_code == 200
    assert "Stay for 50 % less" in page.text
    assert "changed since you saw it" in page.text
    db.session.get_one(BillingSettings, 1).offer_percent = 30
    db.session.commit()
    page = browser.post("/billing/cancel", data=seen(page.text))
    assert "Stay for 30 % less" in page.text
    assert (cancellations(), subscribed.row.discounts) == ([], [])
    browser.post("/billing/cancel", data=seen(page.text))
    assert subscribed.row.discounts[0]["percent_off"] == 30


def test_what_stripe_refused_was_neither_taken_nor_left_nor_taken_back(
    browser: FlaskClient, subscribed: Subscriber, stripe_desk: StripeDesk
) -> None:
    change = f"POST /v1/subscriptions/{subscribed.row.stripe_id}"
    stripe_desk.control("fail", route=change, status=400, times=1)
    offered = browser.post("/billing/cancel", data=WHY).text
    browser.post("/billing/cancel", data=seen(offered))
    assert "That didn’t work" in browser.get("/billing").text
    offered = browser.post("/billing/cancel", data=WHY).text
    assert "How about a pause?" in offered, "it was not taken"
    stripe_desk.control("fail", route=change, status=400, times=1)
    browser.post("/billing/cancel", data=seen(offered, "leave"))
    assert [each.outcome for each in cancellations()] == [CancelOutcome.REFUSED] * 2
    browser.post("/billing/cancel", data=seen(offered, "leave"))
    stripe_desk.control("fail", route=change, status=400, times=1)
    browser.post("/billing/resume")
    assert subscribed.row.cancel_at_period_end is True
    assert cancellations()[-1].outcome is CancelOutcome.CANCELLED


@pytest.mark.parametrize("kind", [CancelOffer.PAUSE, CancelOffer.DISCOUNT])
def test_nothing_is_offered_where_it_would_mean_nothing(
    browser: FlaskClient, subscribed: Subscriber, kind: CancelOffer
) -> None:
    offer(kind)
    row = subscribed.row
    row.interval = Interval.YEAR
    db.session.commit()
    refused = browser.post("/billing/cancel", data=WHY | {"decision": "stay"})
    assert refused.location == "/billing"
    assert "not open to you" in browser.get("/billing").text


@pytest.mark.parametrize(
    ("period_end", "months", "resumes"),
    [
        (datetime(2030, 1, 31, 9, tzinfo=UTC), 1, datetime(2030, 2, 27, 9, tzinfo=UTC)),
        (datetime(2030, 12, 15, tzinfo=UTC), 2, datetime(2031, 2, 14, tzinfo=UTC)),
    ],
)
def test_a_pause_skips_as_many_charges_as_it_has_months(
    period_end: datetime, months: int, resumes: datetime
) -> None:
    assert resumes_at(period_end, months) == resumes
