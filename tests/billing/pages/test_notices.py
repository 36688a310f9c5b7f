"""Mails about one's subscription: each says what is true, and goes once."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, text

from jobs.billing import tell_of_trials_ending
from tests.factories.billing import (
    make_attempt,
    make_customer,
    make_invoice,
    make_plan,
    make_subscription,
)
from tests.factories.people import make_user
from webapp.billing.models import Plan, Subscription, SubscriptionStatus
from webapp.billing.services import notices
from webapp.core import clock
from webapp.core.db import db
from webapp.messaging.models import Mail

TRIALING = SubscriptionStatus.TRIALING


def mails() -> list[Mail]:
    db.session.commit()
    return list(db.session.scalars(select(Mail).order_by(Mail.id)))


def on_trial(plan: Plan, email: str, **values: Any) -> Subscription:
    now = clock.now()
    dates: dict[str, Any] = {
        "trial_start": now - timedelta(days=12),
        "trial_end": now + timedelta(days=2),
        "started_at": now - timedelta(days=12),
        "current_period_end": now + timedelta(days=2),
    }
    customer = make_customer(make_user(email))
    return make_subscription(customer, plan, status=TRIALING, **(dates | values))


def test_the_beginning_the_end_in_sight_and_the_end_are_told_once_each(app: Flask) -> None:
    row = make_subscription(make_customer(make_user()), make_plan())
    for _twice in range(2):
        notices.follow_subscription(row)
    row.cancel_at_period_end, row.canceled_at = True, clock.now()
    for _twice in range(2):
        notices.follow_subscription(row)
    row.status, row.ended_at = SubscriptionStatus.CANCELED, clock.now()
    row.cancellation_reason = "payment_failed"
    notices.follow_subscription(row)
    notices.follow_subscription(row)
    begun, ending, ended = mails()
    assert begun.subject == "Welcome to Pro"
    assert "$19.00" in begun.text
    assert ending.subject.startswith("Pro ends on ")
    assert "Nothing more is charged" in ending.text
    assert ended.subject == "Pro has ended"
    assert "couldn't charge your card" in ended.text
    assert {mail.subject_ref for mail in (begun, ending, ended)} == {f"subscription:{row.id}"}
    for mail in (begun, ending, ended):
        assert "http://localhost/" in mail.text
        assert "http://localhost/" in mail.html


def test_a_receipt_follows_a_payment_and_no_old_news(app: Flask) -> None:
    customer = make_customer(make_user())
    invoice = make_invoice(customer, make_subscription(customer, make_plan()))
    make_attempt(invoice)
    free = make_invoice(customer, total=0)
    old = make_invoice(customer, issued_at=clock.now() - timedelta(days=30))
    for each in (invoice, invoice, free, old):
        notices.follow_invoice(each, newly_paid=True)
    notices.follow_invoice(make_invoice(customer), newly_paid=False)
    [receipt] = mails()
    assert receipt.subject == f"Your receipt {invoice.number}: $19.00"
    for part in (receipt.text, receipt.html):
        assert f"/billing/invoices/{invoice.id}" in part
        assert "4242" in part


def test_a_trial_about_to_end_is_told_once_to_who_will_be_charged(app: Flask) -> None:
    plan = make_plan(trial_days=14)
    soon = on_trial(plan, "alice@example.com")
    later = clock.now() + timedelta(days=9)
    on_trial(plan, "bob@example.com", trial_end=later)
    on_trial(plan, "charlie@example.com", cancel_at_period_end=True)
    on_trial(plan, "new@example.com", trial_start=clock.now(), started_at=clock.now())
    for _hourly in range(2):
        tell_of_trials_ending()
    [told] = mails()
    assert (told.recipient, told.kind) == ("alice@example.com", "trial_ending")
    assert "$19.00" in told.text
    assert "ending in 4242" in told.text.replace("\n", " ")
    # A trial made longer ends anew.
    soon.trial_end = clock.now() + timedelta(days=3) - timedelta(minutes=1)
    db.session.commit()
    tell_of_trials_ending()
    assert len(mails()) == 2


def test_who_can_not_be_told_of_a_trials_end_is_passed_by(app: Flask) -> None:
    plan = make_plan(trial_days=14)
    customer = on_trial(plan, "alice@example.com").customer
    customer.user_id, customer.email = None, ""
    on_trial(plan, "bob@example.com")
    for _hourly in range(2):
        tell_of_trials_ending()
    assert [mail.recipient for mail in mails()] == ["bob@example.com"]


def test_a_trials_end_is_the_same_minute_in_every_zone(app: Flask) -> None:
    assert db.session.scalar(text("SHOW timezone")) == "UTC"
    row = on_trial(make_plan(trial_days=14), "alice@example.com")
    ends = f"{row.trial_end:%Y%m%d%H%M}"
    db.session.commit()
    db.session.execute(text("SET LOCAL timezone = 'Asia/Tokyo'"))
    notices.tell_of_trials_ending(0)
    assert mails()[0].dedupe_key == f"trial_ending:{row.id}:{ends}"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"cancel_at": clock.now() + timedelta(days=9)}, "Nothing more is charged."),
        (
            {"cancel_at_period_end": True, "status": SubscriptionStatus.PAST_DUE},
            "An invoice is still open; nothing more is charged beyond it.",
        ),
    ],
)
def test_the_end_in_sight_is_told_however_it_was_set_and_whatever_is_owed(
    app: Flask, values: dict[str, Any], told: str
) -> None:
    began = clock.now() - timedelta(days=60)
    row = make_subscription(
        make_customer(make_user()),
        make_plan(),
        **{"started_at": began, "canceled_at": clock.now(), **values},
    )
    for _twice in range(2):
        notices.follow_subscription(row)
    [mail] = mails()
    assert mail.kind == "subscription_ending"
    for part in (mail.text, mail.html):
        assert told in " ".join(part.split())
        assert ("stays open" in part) is (row.status is SubscriptionStatus.ACTIVE)


def test_a_reminder_is_promised_to_whom_one_goes(app: Flask) -> None:
    promised = {1: None, 2: "remind you before it ends", 14: "remind you three days ahead"}
    for days, promise in promised.items():
        now = clock.now()
        end = now + timedelta(days=days)
        row = on_trial(
            make_plan(f"for-{days}"),
            f"alice{days}@example.com",
            trial_start=now,
            started_at=now,
            trial_end=end,
        )
        notices.follow_subscription(row)
        for told in (mails()[-1].text, mails()[-1].html):
            assert "If you cancel before" in told
            assert "remind" not in told if promise is None else promise in " ".join(told.split())


def test_a_double_subscription_is_not_welcomed(app: Flask) -> None:
    row = make_subscription(make_customer(make_user()), make_plan(), duplicate=True)
    notices.follow_subscription(row)
    assert mails() == []


@pytest.mark.parametrize("status", [TRIALING, SubscriptionStatus.ACTIVE])
def test_a_broken_address_stops_nothing(app: Flask, status: SubscriptionStatus) -> None:
    row = make_subscription(make_customer(None, email="no address"), make_plan(), status=status)
    notices.follow_subscription(row)
    assert mails() == []
