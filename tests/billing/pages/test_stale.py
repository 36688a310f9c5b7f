"""Pages that stayed open while the world went on, and people the pages weren't drawn for."""

from datetime import timedelta

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from tests.billing.pages.conftest import know, pay
from tests.billing.pages.test_changing import preview
from tests.billing.pages.test_pricing import words
from tests.factories.billing import (
    make_customer,
    make_invoice,
    make_plan,
    make_step,
    make_subscription,
    make_unpaid_invoice,
    open_case,
    price_of,
)
from tests.factories.people import browser_of, make_user
from tests.factories.sales import StripeDesk
from tests.factories.subscribing import Subscriber
from webapp.accounts.models import Role
from webapp.billing.models import (
    BillingCheckout,
    BillingOperation,
    CaseState,
    OperationKind,
    OperationState,
    Plan,
    SubscriptionStatus,
)
from webapp.billing.services.carrying_out import carry_out
from webapp.billing.services.notices import follow_subscription
from webapp.core import clock
from webapp.core.db import db
from webapp.messaging.models import Mail
from webapp.payments.errors import StripeUnavailable


def test_who_changed_their_mind_while_stripe_was_away_gets_what_they_wanted_last(
    browser: FlaskClient, subscribed: Subscriber, stripe_desk: StripeDesk, team: Plan
) -> None:
    row = subscribed.row
    shown = preview(browser, price_of(team).id)
    change = f"POST /v1/subscriptions/{row.stripe_id}"
    stripe_desk.control("fail", route=change, status=500, times=10)
    assert browser.post("/billing/change", data=shown).location == "/billing"
    assert "We have noted it" in browser.get("/billing").text
    browser.post("/billing/cancel", data={"reason": "unused", "decision": "leave"})
    asked = select(BillingOperation.id).order_by(BillingOperation.id)
    first, last = db.session.scalars(asked)
    with pytest.raises(StripeUnavailable):
        carry_out(last)
    requests.delete(f"{stripe_desk.url}/_sandbox/fail", timeout=60)
    assert carry_out(last) is OperationState.DONE
    done = db.session.get_one(BillingOperation, first, populate_existing=True)
    assert done.state is OperationState.DONE
    assert done.finished_at is not None
    row = subscribed.row
    assert (row.plan_price_id, row.cancel_at_period_end) == (price_of(team).id, True)


def test_a_subscription_that_ended_meanwhile_is_told_of_on_every_page_that_was_open(
    browser: FlaskClient, subscribed: Subscriber, team: Plan
) -> None:
    shown = preview(browser, price_of(team).id)
    subscribed.desk.client.v1.subscriptions.cancel(subscribed.row.stripe_id)
    know(subscribed, subscribed.row.stripe_id)
    assert browser.post("/billing/change", data=shown).location == "/pricing"
    assert "no subscription" in browser.get("/pricing").text
    why = {"reason": "unused", "decision": "leave"}
    assert browser.post("/billing/cancel", data=why).location == "/billing"
    assert "Ended on" in browser.get("/billing").text


def test_an_old_welcome_waits_for_nothing(
    browser: FlaskClient, alice: Subscriber, stripe_desk: StripeDesk, pro: Plan
) -> None:
    browser.post("/billing/subscribe", data={"price": price_of(pro).id})
    checkout = db.session.scalars(select(BillingCheckout)).one()
    pay(stripe_desk, checkout)
    welcome = f"/billing/welcome?session_id={checkout.stripe_session_id}"
    assert "Welcome to Pro" in browser.get(welcome).text
    stripe_desk.client.v1.subscriptions.cancel(alice.row.stripe_id)
    know(alice, alice.row.stripe_id)
    assert browser.get(welcome).location == "/billing"


def test_what_came_of_a_card_is_not_shown_for_ever(
    browser: FlaskClient, client: FlaskClient, subscribed: Subscriber, stripe_desk: StripeDesk
) -> None:
    browser.post("/billing/card")
    checkout = db.session.scalars(select(BillingCheckout)).one()
    pay(stripe_desk, checkout)
    done = f"/card/done?session_id={checkout.stripe_session_id}"
    assert "Visa 4242" in client.get(done).text
    with clock.frozen(clock.now() + timedelta(days=2)):
        over = client.get(done)
    assert over.status_code == 410
    assert "4242" not in over.text


def test_a_card_that_stripe_did_not_take_is_not_called_saved(
    browser: FlaskClient, subscribed: Subscriber, stripe_desk: StripeDesk
) -> None:
    browser.post("/billing/card")
    checkout = db.session.scalars(select(BillingCheckout)).one()
    pay(stripe_desk, checkout)
    stripe_desk.control("fail", route="POST /v1/customers/*", status=400, times=1)
    page = browser.get(f"/card/done?session_id={checkout.stripe_session_id}").text
    assert "That card could not be saved" in page
    assert "is saved" not in page


def test_staff_without_a_members_page_of_their_own_may_subscribe(
    app: Flask, client: FlaskClient, stripe_desk: StripeDesk, pro: Plan
) -> None:
    user = make_user("owner@example.com", role=Role.OWNER)
    browser = browser_of(app, user)
    for path in ("/billing", "/pricing", f"/billing/subscribe?price={price_of(pro).id}"):
        assert browser.get(path).status_code == 200, path
    answer = browser.post("/billing/subscribe", data={"price": price_of(pro).id})
    assert answer.location.startswith(stripe_desk.url)


def test_credit_is_told_where_it_is_given_and_where_it_is_used(
    app: Flask, client: FlaskClient
) -> None:
    user = make_user()
    customer = make_customer(user)
    subscription = make_subscription(customer, make_plan())
    given = make_invoice(customer, subscription, total=-1500, amount_due=0, amount_paid=0)
    used = make_invoice(customer, subscription, total=4000, amount_due=3000, amount_paid=3000)
    browser = browser_of(app, user)
    page = words(browser.get(f"/billing/invoices/{given.id}").text)
    assert "Credited to your next invoices $15.00" in page
    page = words(browser.get(f"/billing/invoices/{used.id}").text)
    assert "Total $40.00 From your credit −$10.00 Paid $30.00" in page
    page = words(browser.get("/billing").text)
    assert "Credit $5.00, used up before your card is charged" in page


def test_whoever_leaves_with_a_payment_open_is_told_that_it_stays(
    app: Flask, client: FlaskClient
) -> None:
    user = make_user()
    customer = make_customer(user)
    make_unpaid_invoice(customer, make_subscription(customer, make_plan()))
    page = words(browser_of(app, user).get("/billing/cancel").text)
    assert "The payment that is open stays to be paid" in page


def test_what_was_given_up_is_not_charged_to_a_card_left_much_later(
    browser: FlaskClient, subscribed: Subscriber, stripe_desk: StripeDesk
) -> None:
    old = make_unpaid_invoice(subscribed.customer, subscribed.row)
    open_case(old, state=CaseState.LOST)
    assert "A payment of" not in browser.get("/billing").text
    browser.post("/billing/card")
    checkout = db.session.scalars(select(BillingCheckout)).one()
    pay(stripe_desk, checkout)
    page = browser.get(f"/card/done?session_id={checkout.stripe_session_id}")
    assert "Your card is saved" in page.text
    asked = db.session.scalars(select(BillingOperation.kind)).all()
    assert asked == [OperationKind.SET_DEFAULT_CARD]


def test_our_own_end_of_a_subscription_is_not_called_a_wish(
    app: Flask, client: FlaskClient
) -> None:
    user = make_user()
    customer = make_customer(user)
    row = make_subscription(
        customer,
        make_plan(),
        status=SubscriptionStatus.CANCELED,
        cancellation_reason="cancellation_requested",
    )
    case = open_case(make_unpaid_invoice(customer, row), state=CaseState.LOST)
    make_step(case, "end:14")
    page = words(browser_of(app, user).get("/billing").text)
    assert "It ended because a payment didn’t arrive." in page
    follow_subscription(row)
    mail = db.session.scalars(select(Mail).where(Mail.kind == "subscription_canceled")).one()
    for told in (mail.text, mail.html):
        assert "charge your card for Pro" in told
        assert "as was asked for" not in told
