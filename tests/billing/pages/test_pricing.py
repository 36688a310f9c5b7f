"""What is offered, to whom, and in which words."""

from flask import Flask
from flask.testing import FlaskClient
from selectolax.lexbor import LexborHTMLParser, LexborNode

from tests.factories.billing import make_customer, make_plan, make_subscription
from tests.factories.people import browser_of, make_user
from webapp.billing.models import BillingSettings, PlanState
from webapp.billing.services.plans import publish_plan, retire_plan
from webapp.core import clock
from webapp.core.audit import OPERATOR
from webapp.core.db import db


def words(page: str) -> str:
    """Return what a page says, in one line."""
    return " ".join(only(page, "main").text(separator=" ").split())


def only(page: str, selector: str) -> LexborNode:
    """Return the first node that the selector finds; fails without one."""
    found = LexborHTMLParser(page).css_first(selector)
    assert found is not None, selector
    return found


def test_what_leaving_means_is_told_as_the_fork_has_it(client: FlaskClient) -> None:
    make_plan()
    assert "stays yours until it is used up" in client.get("/pricing").text
    db.session.add(BillingSettings(id=1, cancel_at_period_end=False))
    db.session.commit()
    page = client.get("/pricing").text
    assert "stays yours" not in page
    assert "It ends at once" in page


def test_plans_are_shown_by_the_month_and_by_the_year(client: FlaskClient) -> None:
    make_plan("pro", trial_days=14, position=2, limits={"projects": 25})
    make_plan("starter", monthly=900, yearly=None, position=1, limits={"projects": None})
    make_plan("secret", state=PlanState.DRAFT)
    make_plan("old", state=PlanState.RETIRED)
    monthly = client.get("/pricing")
    told = words(monthly.text)
    assert told.index("Starter") < told.index("Pro")
    assert "$9.00 a month" in told
    assert "Secret" not in told
    assert "Old" not in told
    assert "Free for 14 days, then $19.00 a month" in told
    assert "25 projects" in told
    assert "Unlimited projects" in told
    yearly = words(client.get("/pricing?every=year").text)
    assert "$190.00 a year" in yearly
    assert "$15.84 a month, $38.00 saved" in yearly
    assert "Starter" not in yearly
    assert "save 16 %" in yearly
    strange = client.get("/pricing?every=decade")
    assert strange.status_code == 200
    assert "$19.00 a month" in strange.text


def test_a_shop_without_plans_says_so_and_links_to_none(client: FlaskClient) -> None:
    assert "Nothing to subscribe to yet" in client.get("/pricing").text
    assert "/pricing" not in client.get("/").text
    plan = make_plan("pro", state=PlanState.DRAFT)
    publish_plan(plan.id, OPERATOR)
    db.session.commit()
    for path in ("/", "/contact"):
        links = LexborHTMLParser(client.get(path).text).css("a[href='/pricing']")
        assert len(links) == 2, path
    retire_plan(plan.id, OPERATOR)
    db.session.commit()
    assert "/pricing" not in client.get("/").text


def test_a_visitor_is_led_to_the_choice_through_the_login(client: FlaskClient) -> None:
    plan = make_plan("pro")
    choose = only(client.get("/pricing").text, ".plan .btn")
    target = choose.attributes["href"] or ""
    assert target == f"/billing/subscribe?price={plan.prices[0].id}"
    answer = client.get(target)
    assert answer.status_code == 303
    assert "/login?next=/billing/subscribe" in answer.location.replace("%2F", "/")


def test_a_member_sees_their_plan_marked_and_no_second_trial(
    app: Flask, client: FlaskClient
) -> None:
    plan = make_plan("pro", trial_days=14)
    other = make_plan("team", monthly=4900, yearly=None, trial_days=14, position=3)
    alice, bob = make_user(), make_user("bob@example.com")
    make_subscription(make_customer(alice), plan)
    page = browser_of(app, alice).get("/pricing")
    assert page.headers["Cache-Control"] == "private, no-store"
    mine = only(page.text, ".plan.current")
    assert "Your plan" in mine.text()
    change = LexborHTMLParser(page.text).css(
        f"a[href='/billing/change?price={other.prices[0].id}']"
    )
    assert len(change) == 1
    make_customer(bob, trial_used_at=clock.now())
    told = words(browser_of(app, bob).get("/pricing").text)
    assert "Free for" not in told
    assert "Charged today, then every month" in told


def test_a_choice_that_is_gone_leads_back_to_the_plans(app: Flask, client: FlaskClient) -> None:
    plan = make_plan("old", state=PlanState.RETIRED)
    browser = browser_of(app, make_user())
    for price in (plan.prices[0].id, 999_999, 2**63, "x", ""):
        answer = browser.get(f"/billing/subscribe?price={price}")
        assert (answer.status_code, answer.location) == (303, "/pricing")
