"""From the prices through Stripe's page to the welcome: one subscription, whatever is pressed."""

import requests
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from tests.billing.pages.conftest import know, pay
from tests.factories.billing import price_of
from tests.factories.people import browser_of, make_user
from tests.factories.sales import StripeDesk
from tests.factories.subscribing import Subscriber
from webapp.billing.models import (
    BillingCheckout,
    CheckoutState,
    Interval,
    Plan,
    PlanState,
    Subscription,
    SubscriptionStatus,
)
from webapp.core.db import db


def checkouts() -> list[BillingCheckout]:
    db.session.expire_all()
    return list(db.session.scalars(select(BillingCheckout).order_by(BillingCheckout.id)))


def press(browser: FlaskClient, price_id: int) -> str:
    answer = browser.post("/billing/subscribe", data={"price": price_id})
    assert answer.status_code == 303
    return answer.location


def test_a_member_subscribes_and_is_welcomed_before_any_webhook(
    app: Flask, client: FlaskClient, stripe_desk: StripeDesk, pro: Plan
) -> None:
    user = make_user("bob@example.com", name="Bob")
    browser = browser_of(app, user)
    address = press(browser, price_of(pro).id)
    assert address.startswith(stripe_desk.url)
    assert press(browser, price_of(pro).id) == address, "the open page is used again"
    [checkout] = checkouts()
    pay(stripe_desk, checkout)
    page = browser.get(f"/billing/welcome?session_id={checkout.stripe_session_id}")
    assert page.status_code == 200
    assert "Welcome to Pro" in page.text
    assert "Your trial has begun" in page.text
    [row] = db.session.scalars(select(Subscription))
    assert row.status is SubscriptionStatus.TRIALING
    assert checkouts()[0].state is CheckoutState.COMPLETE
    home = browser.get("/billing").text
    assert "On trial" in home
    # Pressed again, and with another plan: never a second one.
    assert press(browser, price_of(pro).id).startswith("/billing/change")
    assert press(browser, price_of(pro, Interval.YEAR).id).startswith("/billing/change")
    assert len(checkouts()) == 1


def test_another_choice_closes_the_page_that_was_open(
    browser: FlaskClient, stripe_desk: StripeDesk, pro: Plan, team: Plan
) -> None:
    first = press(browser, price_of(pro).id)
    second = press(browser, price_of(team).id)
    assert first != second
    old, new = checkouts()
    assert (old.state, new.state) == (CheckoutState.EXPIRED, CheckoutState.OPEN)
    session = stripe_desk.client.v1.checkout.sessions.retrieve(old.stripe_session_id or "")
    assert session.status == "expired"


def test_who_paid_in_another_tab_is_not_sold_a_second_one(
    browser: FlaskClient, alice: Subscriber, stripe_desk: StripeDesk, pro: Plan, team: Plan
) -> None:
    press(browser, price_of(pro).id)
    pay(stripe_desk, checkouts()[0])
    assert press(browser, price_of(team).id).startswith("/billing/change")
    assert alice.row.status is SubscriptionStatus.TRIALING
    assert len(checkouts()) == 1


def test_a_subscription_that_only_stripe_knows_counts(
    browser: FlaskClient, alice: Subscriber, team: Plan
) -> None:
    alice.subscribe()
    assert press(browser, price_of(team).id) == f"/billing/change?price={price_of(team).id}"
    assert alice.row.status is SubscriptionStatus.ACTIVE
    assert checkouts() == []


def test_a_trial_is_given_once(
    browser: FlaskClient, alice: Subscriber, stripe_desk: StripeDesk, pro: Plan
) -> None:
    stripe_id = alice.subscribe(trial_period_days=3)
    know(alice, stripe_id)
    stripe_desk.client.v1.subscriptions.cancel(stripe_id)
    know(alice, stripe_id)
    press(browser, price_of(pro).id)
    pay(stripe_desk, checkouts()[0])
    browser.get(f"/billing/welcome?session_id={checkouts()[0].stripe_session_id}")
    db.session.expire_all()
    newest = select(Subscription).order_by(Subscription.id.desc()).limit(1)
    assert db.session.scalars(newest).one().status is SubscriptionStatus.ACTIVE


def test_an_unknown_price_is_told_to_stripe_on_the_way(
    browser: FlaskClient, stripe_desk: StripeDesk, pro: Plan
) -> None:
    price = price_of(pro)
    pro.stripe_product_id = price.stripe_price_id = None
    db.session.commit()
    assert press(browser, price.id).startswith(stripe_desk.url)
    db.session.refresh(price)
    assert price.stripe_price_id


def test_what_is_not_for_sale_is_refused_in_words(browser: FlaskClient, pro: Plan) -> None:
    price = price_of(pro)
    pro.state = PlanState.RETIRED
    db.session.commit()
    assert press(browser, price.id) == "/pricing"
    assert "no longer offered" in browser.get("/pricing").text
    for strange in ("x", "", 2**63):
        answer = browser.post("/billing/subscribe", data={"price": strange})
        assert answer.location == "/pricing"


def test_stripe_away_is_told_and_the_next_press_finds_the_same_page(
    browser: FlaskClient, stripe_desk: StripeDesk, pro: Plan
) -> None:
    stripe_desk.control("fail", route="POST /v1/checkout/sessions", status=500, times=10)
    assert press(browser, price_of(pro).id) == "/pricing"
    requests.delete(f"{stripe_desk.url}/_sandbox/fail", timeout=60)
    assert "Nothing was charged" in browser.get("/pricing").text
    [kept] = checkouts()
    assert kept.state is CheckoutState.OPEN
    assert press(browser, price_of(pro).id).startswith(stripe_desk.url)
    assert len(checkouts()) == 1


def test_a_refusal_of_stripes_leads_back_to_the_prices(
    browser: FlaskClient, stripe_desk: StripeDesk, pro: Plan
) -> None:
    for route in ("GET /v1/subscriptions", "GET /v1/checkout/sessions/*"):
        stripe_desk.control("fail", route=route, status=400, times=1)
        assert press(browser, price_of(pro).id) == "/pricing", route
        assert "The payment could not begin" in browser.get("/pricing").text
        assert press(browser, price_of(pro).id).startswith(stripe_desk.url)


def test_anothers_welcome_is_nobodys(
    app: Flask, browser: FlaskClient, stripe_desk: StripeDesk, pro: Plan
) -> None:
    press(browser, price_of(pro).id)
    session_id = checkouts()[0].stripe_session_id
    bob = browser_of(app, make_user("bob@example.com"))
    for each in (session_id, "cs_test_ofnobodyatall", "x", ""):
        assert bob.get(f"/billing/welcome?session_id={each}").status_code == 404
    waiting = browser.get(f"/billing/welcome?session_id={session_id}")
    assert "One moment" in waiting.text
