"""Where a case ends in an unusual way: nobody is let in, or charged, by an oversight."""

from dataclasses import replace

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from tests.billing.dunning.conftest import DAY, MakeStory, Story
from tests.factories.billing import NOON, make_invoice, make_policy, make_unpaid_invoice
from tests.factories.people import browser_of
from webapp.billing.models import (
    CaseState,
    DunningCase,
    Entitlement,
    InvoiceStatus,
    SubscriptionStatus,
)
from webapp.billing.policy import EndAction, Policy
from webapp.billing.queries.payable import list_payable
from webapp.billing.services import dunning, entitling
from webapp.billing.services.dunning import acting
from webapp.core import clock
from webapp.core.audit import OPERATOR
from webapp.core.db import db
from webapp.payments.models import EventState, StripeEvent


def entitlement_of(story: Story) -> Entitlement:
    db.session.expire_all()
    return db.session.get_one(Entitlement, story.user.id)


def test_an_end_that_keeps_the_subscription_keeps_the_wall(make_story: MakeStory) -> None:
    make_policy(replace(Policy(), end=EndAction.KEEP))
    story = make_story()
    with clock.frozen(NOON):
        story.follow()
    story.look(NOON + 7 * DAY)
    assert entitlement_of(story).walled_at is not None
    story.look(NOON + 14 * DAY)
    assert story.case.state is CaseState.LOST
    assert entitlement_of(story).walled_at is not None
    assert [each.id for each in list_payable(story.customer.id)] == [story.invoice.id]


def test_a_page_for_a_card_shows_what_a_card_is_charged(
    app: Flask, client: FlaskClient, make_story: MakeStory
) -> None:
    make_policy(replace(Policy(), end=EndAction.KEEP))
    kept, left, first = (make_story(name=name) for name in ("alice", "bob", "charlie"))
    with clock.frozen(NOON):
        kept.follow()
        acting.exclude(left.follow().id, "Pays by bank transfer.", OPERATOR)
        first.invoice.billing_reason = "subscription_create"
        dunning.follow_invoice(first.invoice)
        db.session.commit()
    kept.look(NOON + 14 * DAY)
    assert kept.case.state is CaseState.LOST
    for story in (kept, first):
        assert [each.id for each in list_payable(story.customer.id)] == [story.invoice.id]
        page = browser_of(app, story.user).get("/billing/card").text
        for told in ("A payment is waiting", "$19.00", str(story.invoice.number), "Tried on"):
            assert told in page
    wall = browser_of(app, kept.user).get("/billing/wall").text
    assert str(kept.invoice.number) in wall
    assert list_payable(left.customer.id) == []
    browser = browser_of(app, left.user)
    assert "No payment is waiting for your card" in browser.get("/billing/card").text
    home = browser.get("/billing").text
    assert "A payment of $19.00 is open." in home
    assert "paid at once" not in home
    left.subscription.status = SubscriptionStatus.UNPAID
    entitling.settle(left.customer)
    db.session.commit()
    wall = browser.get("/billing/wall").text
    assert f"Invoice {left.invoice.number}" in wall
    assert "no card is charged for it" in wall
    assert "Update the card" not in wall


def test_a_new_card_pays_nothing_of_a_subscription_that_was_given_up(story: Story) -> None:
    assert [each.id for each in list_payable(story.customer.id)] == [story.invoice.id]
    story.subscription.status = SubscriptionStatus.CANCELED
    story.subscription.ended_at = NOON
    dunning.follow_subscription(story.subscription)
    alone = make_invoice(story.customer, status=InvoiceStatus.OPEN, attempt_count=1)
    db.session.commit()
    assert alone.subscription_id is None
    assert list_payable(story.customer.id) == []


def test_nobody_is_chased_for_a_subscription_that_ended_before(make_story: MakeStory) -> None:
    story = make_story()
    story.subscription.status = SubscriptionStatus.CANCELED
    story.subscription.ended_at = NOON
    story.subscription.cancellation_reason = "cancellation_requested"
    db.session.commit()
    with clock.frozen(NOON):
        assert story.follow().state is CaseState.VOLUNTARY
        story.look(NOON + DAY)
    assert story.mails() == []


def test_what_was_credited_in_full_was_not_recovered(story: Story) -> None:
    story.invoice.status, story.invoice.paid_at = InvoiceStatus.PAID, NOON + DAY
    story.invoice.amount_remaining = story.invoice.amount_paid = 0
    assert story.follow().state is CaseState.WRITTEN_OFF


def test_nobody_is_chased_while_news_of_their_invoice_lies_unread(story: Story) -> None:
    values = {"id": "evt_1", "type": "invoice.paid", "object_id": story.invoice.stripe_id}
    about = {"livemode": False, "created": NOON, "payload": {}, "next_attempt_at": NOON}
    db.session.add(StripeEvent(**values, **about))
    db.session.commit()
    story.look(NOON + DAY)
    assert story.steps() == {}
    db.session.get_one(StripeEvent, "evt_1").state = EventState.DONE
    db.session.commit()
    story.look(NOON + DAY)
    assert story.steps() == {"mail:0": "done"}


def test_an_end_of_one_invoice_is_no_farewell_in_the_case_of_another(story: Story) -> None:
    other = make_unpaid_invoice(story.customer, story.subscription, at=NOON + 9 * DAY)
    dunning.follow_invoice(other)
    story.look(NOON + 14 * DAY)
    story.subscription.status = SubscriptionStatus.CANCELED
    story.subscription.ended_at = NOON + 14 * DAY
    story.subscription.cancellation_reason = "cancellation_requested"
    dunning.follow_subscription(story.subscription)
    db.session.commit()
    states = db.session.scalars(select(DunningCase.state)).all()
    assert states == [CaseState.LOST, CaseState.LOST]
