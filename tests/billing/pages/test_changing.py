"""Up, down and to another rhythm: the amount is shown before, and that is the amount charged."""

from flask.testing import FlaskClient
from sqlalchemy import func, select

from tests.billing.pages.conftest import know
from tests.billing.pages.test_pricing import only, words
from tests.factories.billing import price_of
from tests.factories.subscribing import Subscriber
from webapp.billing.models import (
    BillingOperation,
    Interval,
    InvoiceStatus,
    Plan,
    PlanState,
    SubscriptionStatus,
)
from webapp.billing.services.plans import set_price
from webapp.core.audit import OPERATOR
from webapp.core.db import db


def fill(page: str) -> dict[str, str]:
    """Return the fields of the form that changes the plan."""
    form = only(page, "form[action='/billing/change']")
    return {
        str(field.attributes["name"]): str(field.attributes["value"])
        for field in form.css("input[name]")
    }


def preview(browser: FlaskClient, price_id: int) -> dict[str, str]:
    page = browser.get(f"/billing/change?price={price_id}")
    assert page.status_code == 200
    return fill(page.text)


def test_going_up_charges_what_was_shown_at_once(
    browser: FlaskClient, subscribed: Subscriber, team: Plan
) -> None:
    choices = browser.get("/billing/change")
    assert "Your plan" in choices.text
    price = price_of(team)
    page = browser.get(f"/billing/change?price={price.id}")
    told, shown = words(page.text), fill(page.text)
    assert "From Pro to Team" in told
    assert int(shown["due"]) == 3000, "the difference, as no time has passed"
    assert "Pay $30.00 and change" in told
    assert browser.post("/billing/change", data=shown).location == "/billing"
    row = subscribed.row
    assert row.plan_price_id == price.id
    assert subscribed.entitlement is not None
    assert subscribed.entitlement.plan_slug == "team"
    newest = subscribed.invoices[-1] if len(subscribed.invoices) > 1 else None
    if newest is None:
        know(subscribed, row.stripe_id)
        newest = subscribed.invoices[-1]
    assert (newest.status, newest.amount_paid) == (InvoiceStatus.PAID, 3000)
    assert "your plan is changed" in browser.get("/billing").text
    # The button pressed twice, or again from the browser's history, changes nothing more.
    again = browser.post("/billing/change", data=shown)
    assert again.status_code == 303
    assert db.session.scalar(select(func.count()).select_from(BillingOperation)) == 1


def test_going_down_is_credited_and_charges_nothing(
    browser: FlaskClient, alice: Subscriber, pro: Plan, team: Plan
) -> None:
    alice.plan = team
    know(alice, alice.subscribe())
    page = browser.get(f"/billing/change?price={price_of(pro).id}").text
    assert fill(page)["due"] == "0"
    assert "$30.00, is credited" in words(page)
    browser.post("/billing/change", data=fill(page))
    assert alice.row.plan_price_id == price_of(pro).id


def test_a_trial_goes_on_with_another_plan(
    browser: FlaskClient, alice: Subscriber, team: Plan
) -> None:
    know(alice, alice.subscribe(trial_period_days=14))
    page = browser.get(f"/billing/change?price={price_of(team, Interval.YEAR).id}").text
    assert "Your trial goes on until" in words(page)
    browser.post("/billing/change", data=fill(page))
    assert alice.row.status is SubscriptionStatus.TRIALING
    assert alice.row.interval is Interval.YEAR


def test_an_amount_that_is_no_longer_true_is_shown_anew(
    browser: FlaskClient, subscribed: Subscriber, team: Plan
) -> None:
    shown = preview(browser, price_of(team).id)
    for lie in ({"due": "1"}, {"at": "1000000000"}, {"at": str(int(shown["at"]) + 86_400)}):
        answer = browser.post("/billing/change", data=shown | lie)
        assert answer.location == f"/billing/change?price={price_of(team).id}"
    assert "has changed since you saw it" in browser.get(answer.location).text
    for nonsense in ({"at": "x"}, {"due": ""}, {"price": str(2**63)}):
        assert browser.post("/billing/change", data=shown | nonsense).location == "/billing/change"
    assert subscribed.row.plan_price_id != price_of(team).id


def test_what_can_not_be_changed_says_why(
    browser: FlaskClient, subscribed: Subscriber, team: Plan
) -> None:
    price = price_of(team)
    shown = preview(browser, price.id)
    row = subscribed.row
    for field, value, why in (
        ("cancel_at_period_end", True, "set to end"),
        ("pause_behavior", "void", "is paused"),
        ("status", SubscriptionStatus.PAST_DUE, "payment is still open"),
    ):
        before = getattr(row, field)
        setattr(row, field, value)
        db.session.commit()
        assert browser.post("/billing/change", data=shown).location == "/billing"
        assert why in browser.get("/billing").text
        setattr(row, field, before)
        db.session.commit()
    team.state = PlanState.RETIRED
    db.session.commit()
    assert browser.get(f"/billing/change?price={price.id}").location == "/billing"
    assert "no longer offered" in browser.get("/billing").text


def test_who_has_a_retired_price_keeps_it(
    browser: FlaskClient, subscribed: Subscriber, pro: Plan
) -> None:
    old = price_of(pro)
    new = set_price(pro.id, Interval.MONTH, "usd", 2900, OPERATOR)
    db.session.commit()
    know(subscribed, subscribed.row.stripe_id)
    assert subscribed.row.plan_price_id == old.id
    assert "$19.00 a month" in words(browser.get("/billing").text)
    assert new.unit_amount == 2900
    assert "$29.00" in words(browser.get("/pricing").text)


def test_a_card_that_fails_changes_nothing(
    browser: FlaskClient, subscribed: Subscriber, team: Plan
) -> None:
    shown = preview(browser, price_of(team).id)
    subscribed.give_card("4000000000000341")
    assert browser.post("/billing/change", data=shown).location == "/billing/change"
    assert "That didn’t work" in browser.get("/billing").text
    assert subscribed.row.plan_price_id != price_of(team).id
    # Another card, and the same page from the browser's history: Stripe is asked anew.
    subscribed.give_card()
    assert browser.post("/billing/change", data=shown).location == "/billing"
    assert subscribed.row.plan_price_id == price_of(team).id


def test_without_a_subscription_there_is_nothing_to_change(browser: FlaskClient) -> None:
    assert browser.get("/billing/change").location == "/pricing"
    for path in ("/billing/resume", "/billing/unpause"):
        assert browser.post(path).location == "/billing"
        assert "no subscription" in browser.get("/billing").text
