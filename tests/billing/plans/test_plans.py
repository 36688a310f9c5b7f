"""Plans are written, priced and published; Stripe has them by a job and may not drift unseen."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner
from sqlalchemy import func, select

from jobs.billing import check_plans, sync_plan
from tests.factories.billing import price_of
from tests.factories.sales import StripeDesk
from webapp.billing.errors import InvalidPlan, NoSuchPlan
from webapp.billing.models import Interval, Plan, PlanPrice, PlanState
from webapp.billing.queries.plans import get_plan
from webapp.billing.services import mirroring
from webapp.billing.services.plans import (
    PlanDraft,
    create_plan,
    edit_plan,
    publish_plan,
    retire_plan,
    set_price,
    withdraw_price,
)
from webapp.core.audit import OPERATOR
from webapp.core.db import db
from webapp.core.models import AuditEntry, Shop

RunJobs = Callable[[], int]
DRAFT = PlanDraft("Pro", "For many.", {"reports": "Reports"}, {"projects": 5}, 14, 2)


@pytest.fixture
def pro(stripe_desk: StripeDesk, run_jobs: RunJobs) -> Plan:
    """A published plan that Stripe has."""
    plan = create_plan("pro", DRAFT, OPERATOR)
    set_price(plan.id, Interval.MONTH, "usd", 1900, OPERATOR)
    set_price(plan.id, Interval.YEAR, "usd", 19000, OPERATOR)
    publish_plan(plan.id, OPERATOR)
    db.session.commit()
    run_jobs()
    return again(plan)


def again(plan: Plan) -> Plan:
    db.session.expire_all()
    return plan


def test_a_plan_reaches_stripe_with_its_prices(stripe_desk: StripeDesk, pro: Plan) -> None:
    v1 = stripe_desk.client.v1
    product = v1.products.retrieve(pro.stripe_product_id or "")
    assert (product.name, product.description, product.active) == ("Pro", "For many.", True)
    prices = v1.prices.list({"product": product.id}).data
    assert {(p.unit_amount, p.currency, p.recurring.interval) for p in prices if p.recurring} == {
        (1900, "usd", "month"),
        (19000, "usd", "year"),
    }
    assert (pro.sync_error, pro.drift) == (None, {})
    assert pro.synced_at is not None
    actions = set(db.session.scalars(select(AuditEntry.action)))
    assert {"plan.created", "plan.priced", "plan.published"} <= actions
    # Asked again, it makes nothing twice.
    sync_plan(pro.id)
    assert len(v1.products.list().data) == 1
    assert len(v1.prices.list({"product": product.id}).data) == 2


def test_whoever_dies_half_way_leaves_no_second_product(stripe_desk: StripeDesk, pro: Plan) -> None:
    price = price_of(pro)
    product_id, price_id = pro.stripe_product_id, price.stripe_price_id
    pro.stripe_product_id = price.stripe_price_id = None
    db.session.commit()
    sync_plan(pro.id)
    assert (again(pro).stripe_product_id, price.stripe_price_id) == (product_id, price_id)


def test_a_new_price_retires_the_old_here_and_there(
    stripe_desk: StripeDesk, pro: Plan, run_jobs: RunJobs
) -> None:
    old = price_of(pro)
    assert set_price(pro.id, Interval.MONTH, "usd", 1900, OPERATOR).id == old.id
    new = set_price(pro.id, Interval.MONTH, "usd", 2900, OPERATOR)
    db.session.commit()
    run_jobs()
    again(pro)
    assert old.retired_at is not None
    assert (new.unit_amount, new.retired_at) == (2900, None)
    v1 = stripe_desk.client.v1
    assert v1.prices.retrieve(old.stripe_price_id or "").active is False
    assert v1.prices.retrieve(new.stripe_price_id or "").active is True


def test_retiring_takes_it_off_the_shelf_and_publishing_puts_it_back(
    stripe_desk: StripeDesk, pro: Plan, run_jobs: RunJobs
) -> None:
    shop = db.session.get_one(Shop, 1)
    for change, state, sold in (
        (retire_plan, PlanState.RETIRED, False),
        (publish_plan, PlanState.PUBLISHED, True),
    ):
        change(pro.id, OPERATOR)
        db.session.commit()
        run_jobs()
        again(pro)
        db.session.refresh(shop)
        assert (pro.state, shop.has_plans) == (state, sold)
        product = stripe_desk.client.v1.products.retrieve(pro.stripe_product_id or "")
        assert product.active is sold


def test_drift_is_noticed_and_put_right_either_way(
    stripe_desk: StripeDesk, pro: Plan, run_jobs: RunJobs
) -> None:
    v1 = stripe_desk.client.v1
    price = price_of(pro)
    product = pro.stripe_product_id or ""
    check_plans()
    assert again(pro).drift == {}
    v1.products.update(product, {"name": "Prö"})
    v1.prices.update(price.stripe_price_id or "", {"active": False})
    check_plans()
    assert again(pro).drift == {
        "name": ["Pro", "Prö"],
        f"price {price.id} state": ["for sale", "not for sale"],
    }
    mirroring.make_stripe_like_ours(pro.id, OPERATOR)
    db.session.commit()
    run_jobs()
    assert again(pro).drift == {}
    assert v1.products.retrieve(product).name == "Pro"
    assert v1.prices.retrieve(price.stripe_price_id or "").active is True
    v1.products.update(product, {"name": "Prime", "active": False})
    check_plans()
    mirroring.take_stripes(pro.id, OPERATOR)
    db.session.commit()
    assert (again(pro).name, pro.state, pro.drift) == ("Prime", PlanState.RETIRED, {})


def test_what_stripe_refuses_is_kept_as_a_sentence(
    stripe_desk: StripeDesk, pro: Plan, run_jobs: RunJobs
) -> None:
    pro.stripe_product_id = "prod_gone"
    db.session.commit()
    sync_plan(pro.id)
    assert "prod_gone" in (again(pro).sync_error or "")
    check_plans()
    assert again(pro).drift["state"] == ["for sale", "missing"]


@pytest.mark.parametrize(
    "draft",
    [
        PlanDraft(""),
        PlanDraft("x" * 81),
        PlanDraft("Pro", "x" * 501),
        PlanDraft("Pro", trial_days=731),
        PlanDraft("Pro", features={"Bad Key": "x"}),
        PlanDraft("Pro", features={"key": " "}),
        PlanDraft("Pro", limits={"projects": -1}),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(app: Flask, draft: PlanDraft) -> None:
    with pytest.raises(InvalidPlan):
        create_plan("pro", draft, OPERATOR)


def test_what_can_not_be_done_says_why(app: Flask) -> None:
    for slug in ("Pro", "p", "1st", "a" * 41):
        with pytest.raises(InvalidPlan, match="can't name a plan"):
            create_plan(slug, DRAFT, OPERATOR)
    plan = create_plan("pro", DRAFT, OPERATOR)
    with pytest.raises(InvalidPlan, match="already"):
        create_plan("pro", DRAFT, OPERATOR)
    with pytest.raises(InvalidPlan, match="needs a price"):
        publish_plan(plan.id, OPERATOR)
    with pytest.raises(InvalidPlan, match="A price is"):
        set_price(plan.id, Interval.MONTH, "usd", -1, OPERATOR)
    with pytest.raises(NoSuchPlan):
        edit_plan(plan.id + 1, DRAFT, OPERATOR)
    price = set_price(plan.id, Interval.MONTH, "usd", 0, OPERATOR)
    publish_plan(plan.id, OPERATOR)
    with pytest.raises(InvalidPlan, match="last price"):
        withdraw_price(price.id, OPERATOR)


def test_the_operator_makes_and_sees_plans(app: Flask) -> None:
    run = FlaskCliRunner(app)
    create = ["plan", "create", "pro", "--name", "Pro", "--monthly", "19", "--yearly", "190"]
    create += ["--feature", "reports=Reports = many", "--limit", "projects=5"]
    create += ["--limit", "seats=none", "--trial-days", "14", "--publish"]
    made = run.invoke(args=create)
    assert made.output == "Plan pro is published.\n"
    again_ = ["plan", "create", "pro", "--name", "Pro", "--if-missing"]
    assert run.invoke(args=again_).output == "Plan pro is there already.\n"
    assert "$29.00 a month now" in run.invoke(args=["plan", "price", "pro", "month", "29"]).output
    listed = run.invoke(args=["plan", "list"]).output
    assert "$190.00 a year, $29.00 a month" in listed
    shown = run.invoke(args=["plan", "show", "pro"]).output
    for told in ("Reports = many", "limit seats: none", "$19.00 a month, retired", "14 days"):
        assert told in shown
    assert run.invoke(args=["plan", "retire", "pro"]).output == "Plan pro is retired.\n"
    assert get_plan("pro").state is PlanState.RETIRED
    assert run.invoke(args=["plan", "publish", "pro"]).exit_code == 0
    for wrong in (
        ["plan", "show", "nope"],
        ["plan", "price", "pro", "month", "1.999"],
        ["plan", "create", "x-y", "--name", "X", "--limit", "a=b"],
        ["plan", "create", "x-y", "--name", "X", "--feature", "words"],
    ):
        answer = run.invoke(args=wrong)
        assert answer.exit_code == 1
        assert answer.output.startswith("Error: ")
    assert db.session.scalar(select(func.count()).select_from(PlanPrice)) == 3


def test_a_plan_is_compared_and_synced_by_command(
    app: Flask, stripe_desk: StripeDesk, pro: Plan
) -> None:
    run = FlaskCliRunner(app)
    assert "is the same" in run.invoke(args=["plan", "check", "pro"]).output
    assert "Stripe has it" in run.invoke(args=["plan", "sync", "pro"]).output
