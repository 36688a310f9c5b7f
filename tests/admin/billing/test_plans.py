"""Plans, their prices through time, and what to do when Stripe has something else."""

import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.admin.conftest import DOOR, act, counting
from tests.factories.billing import (
    make_customer,
    make_plan,
    make_subscription,
    price_of,
)
from tests.factories.sales import StripeDesk
from tests.factories.subscribing import put_at_stripe
from webapp.billing.models import Interval, Plan, PlanState
from webapp.billing.services.mirroring import check_plan
from webapp.core.models import AuditEntry

PLANS = "/admin/plans/"
FIELDS = {
    "slug": "pro",
    "name": "Pro",
    "description": "For those who mean it",
    "features": "reports: Reports and exports\nteam: A seat for everybody",
    "limits": "projects: 1,000\nseats: unlimited",
    "trial_days": "14",
    "position": "2",
    "monthly": "19.00",
    "yearly": "",
}


def actions_about(session: Session, plan: Plan) -> list[str]:
    about = select(AuditEntry.action).where(AuditEntry.subject == f"plan:{plan.id}")
    return list(session.scalars(about.order_by(AuditEntry.id)))


def test_a_plan_is_written_changed_published_and_retired(
    owner: FlaskClient, session: Session
) -> None:
    assert owner.post(f"{PLANS}new/", data=FIELDS).status_code == 303
    plan = session.scalars(select(Plan)).one()
    url = f"{PLANS}details/?id={plan.id}"
    assert plan.features == {"reports": "Reports and exports", "team": "A seat for everybody"}
    assert plan.limits == {"projects": 1000, "seats": None}
    assert [(price.interval, price.unit_amount) for price in plan.prices] == [
        (Interval.MONTH, 1900)
    ]
    page = owner.get(f"{PLANS}edit/?id={plan.id}").text
    assert "seats: unlimited\nprojects: 1000" in page
    values = FIELDS | {"name": "Professional", "trial_days": ""}
    assert owner.post(f"{PLANS}edit/?id={plan.id}", data=values).status_code == 303
    session.refresh(plan)
    assert (plan.slug, plan.name, plan.trial_days) == ("pro", "Professional", 0)
    assert "is on the pricing page" in act(owner, f"{PLANS}publish/", id=plan.id)
    assert ">Retire<" in owner.get(url).text
    assert "Who has it keeps it" in act(owner, f"{PLANS}retire/", id=plan.id)
    session.refresh(plan)
    assert plan.state is PlanState.RETIRED
    assert actions_about(session, plan) == [
        "plan.created",
        "plan.priced",
        "plan.edited",
        "plan.published",
        "plan.retired",
    ]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"slug": "Pro!"}, "a letter first"),
        ({"name": ""}, "Customers need a name"),
        ({"features": "reports"}, "Write each line like reports"),
        ({"features": "Reports!: x"}, "can&#39;t be a key"),
        ({"features": "a1: x\na1: y"}, "is there twice"),
        ({"limits": "projects: many"}, "is no limit"),
        ({"limits": "projects: -1"}, "is no limit"),
        ({"trial_days": "731"}, "between 0 and 730"),
        ({"monthly": "12.345"}, "more decimals"),
    ],
)
def test_what_makes_no_plan_is_refused_and_kept(
    owner: FlaskClient, session: Session, wrong: dict[str, str], words: str
) -> None:
    answer = owner.post(f"{PLANS}new/", data=FIELDS | wrong)
    assert (answer.status_code, words in answer.text) == (422, True)
    assert "For those who mean it" in answer.text
    assert session.scalars(select(Plan)).all() == []


def test_a_new_price_leaves_the_old_one_to_those_who_have_it(
    owner: FlaskClient, session: Session
) -> None:
    plan = make_plan()
    make_subscription(make_customer(), plan)
    told = act(owner, f"{PLANS}set-price/", id=plan.id, interval="month", amount="29")
    assert told.startswith("Pro is sold at $29.00 a month from now on")
    page = owner.get(f"{PLANS}details/?id={plan.id}").text
    rows = re.findall(r'<th scope="row">(\$[\d.]+).*?pill[^>]*>([^<]+).*?number">(\d+)', page, re.S)
    assert rows == [
        ("$29.00", "In force", "0"),
        ("$190.00", "In force", "0"),
        ("$19.00", "Retired", "1"),
    ]
    session.expire_all()
    yearly = price_of(plan, Interval.YEAR)
    told = act(owner, f"{PLANS}withdraw-price/", id=plan.id, price=yearly.id)
    assert told == "Pro is no longer sold at $190.00 a year."
    last = price_of(plan).id
    assert "the last price" in act(owner, f"{PLANS}withdraw-price/", id=plan.id, price=last)
    for values in ({"interval": "week"}, {"amount": ""}, {"amount": "x"}, {"price": "999999"}):
        where = "withdraw-price" if "price" in values else "set-price"
        fields = {"interval": "month", "amount": "5"} | values
        act(owner, f"{PLANS}{where}/", id=plan.id, **fields)
    session.expire_all()
    assert price_of(plan).unit_amount == 2900
    with counting() as counted:
        owner.get(PLANS)
    assert len(counted) <= DOOR + 5, "\n".join(counted.statements)


def test_what_differs_at_stripe_is_shown_and_put_right_either_way(
    owner: FlaskClient, stripe_desk: StripeDesk, session: Session, run_jobs: Callable[[], int]
) -> None:
    plan = put_at_stripe(stripe_desk, make_plan(description="Ours"))
    products, product = stripe_desk.client.v1.products, str(plan.stripe_product_id)
    products.update(product, {"name": "Theirs", "description": "Ours"})
    check_plan(plan.id)
    session.commit()
    assert 'href="/admin/plans/?stripe=trouble"' in owner.get("/admin/").text
    page = owner.get(f"{PLANS}details/?id={plan.id}").text
    assert "<td>Pro</td><td>Theirs</td>" in page
    assert "being made like ours" in act(owner, f"{PLANS}mend-stripe/", id=plan.id)
    run_jobs()
    assert products.retrieve(product).name == "Pro"
    session.refresh(plan)
    assert plan.drift == {}
    products.update(product, {"name": "Theirs"})
    check_plan(plan.id)
    session.commit()
    assert "as Stripe has it" in act(owner, f"{PLANS}take-stripes/", id=plan.id)
    session.refresh(plan)
    assert (plan.name, plan.drift) == ("Theirs", {})
    assert "Other than at Stripe" not in owner.get(f"{PLANS}details/?id={plan.id}").text
