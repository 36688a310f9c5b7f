"""The money at risk: each case's computed schedule, and what staff may do about it."""

import re
from datetime import timedelta
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.admin.billing.conftest import deeds_on
from tests.admin.billing.test_invoices import failed_renewal
from tests.admin.conftest import DOOR, act, counting, said
from tests.factories.billing import (
    make_customer,
    make_plan,
    make_step,
    make_subscription,
    make_unpaid_invoice,
    open_case,
)
from tests.factories.people import make_user
from tests.factories.subscribing import Subscriber
from webapp.billing.models import (
    CaseState,
    DunningCase,
    InvoiceStatus,
    OperationKind,
    OperationState,
    StepState,
    SubscriptionStatus,
)
from webapp.billing.policy import EndAction
from webapp.billing.services.operations import ask as ask_for_change
from webapp.core import clock
from webapp.core.audit import SYSTEM
from webapp.core.models import AuditEntry


def make_case(email: str = "alice@example.com", days: int = 4, **values: Any) -> DunningCase:
    """Return the case of a renewal that failed ``days`` days ago."""
    customer = make_customer(make_user(email))
    row = make_subscription(customer, make_plan(email.partition("@")[0]))
    began = clock.now() - timedelta(days=days)
    return open_case(make_unpaid_invoice(customer, row, at=began), **values)


def deed_on(case_id: int, name: str) -> str:
    return f"/admin/cases/{name}/?id={case_id}"


def rows(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a[^>]*>([^<]+)<', page)


def test_cases_are_listed_by_state_with_the_money_at_risk(
    owner: FlaskClient, session: Session
) -> None:
    alice = make_case()
    make_case("bob@example.com", walled_at=clock.now())
    make_case("charlie@example.com", state=CaseState.RECOVERED)
    make_case("dora@example.com", excluded_reason="Pays by transfer", excluded_at=clock.now())
    page = owner.get("/admin/cases/").text
    assert '<span class="value">$38.00</span><span class="note">2 open cases</span>' in page
    for query, found in {
        "state=chased": ["bob@example.com", "alice@example.com"],
        "state=excluded": ["dora@example.com"],
        "state=walled": ["bob@example.com"],
        "state=paused": [],
        "state=recovered": ["charlie@example.com"],
        "kind=never": [],
        f"search={alice.invoice.number}": ["alice@example.com"],
        "search=bob@example.com": ["bob@example.com"],
        "search=%00": [
            "charlie@example.com",
            "dora@example.com",
            "bob@example.com",
            "alice@example.com",
        ],
        "state=open": ["dora@example.com", "bob@example.com", "alice@example.com"],
    }.items():
        assert (query, sorted(rows(owner.get(f"/admin/cases/?{query}").text))) == (
            query,
            sorted(found),
        )
    with counting() as counted:
        owner.get("/admin/cases/?state=open")
    assert len(counted) <= DOOR + 7, "\n".join(counted.statements)
    today = owner.get("/admin/").text
    assert "$38.00" in today
    assert "2 open cases" in today
    figures = owner.get("/admin/numbers/figures.json").json
    assert figures is not None
    assert figures["at_risk"] == {"cases": 2, "amount": 3800, "walled": 1}


def test_the_schedule_shows_what_was_sent_missed_and_comes_next(
    owner: FlaskClient, session: Session
) -> None:
    case = make_case(days=4)
    make_step(case, "mail:0", state=StepState.MISSED)
    make_step(case, "mail:3")
    page = owner.get(f"/admin/cases/details/?id={case.id}").text
    table = page.partition('aria-label="Schedule"')[2].partition("</table>")[0]
    steps = re.findall(r'<tr><th scope="row">([^<]+).*?<span class="pill[^"]*">([^<]+)', table)
    assert steps == [
        ("Mail: The payment failed", "Missed"),
        ("Mail: A reminder while everything still works", "Done"),
        ("The wall: what the plan opens is shut until it is paid", "Next"),
        ("Mail: Access is on hold", "Later"),
        ("Mail: It ends in a few days", "Later"),
        ("Mail: The last reminder", "Later"),
        ("The subscription is cancelled", "Later"),
    ]
    assert "Not enough money on the account: may pass at another try." in page
    assert deeds_on(page) == ["Charge it now", "Pause", "Exclude", "Write it off"]


def test_a_case_waits_goes_on_is_left_alone_and_taken_up_again(
    owner: FlaskClient, session: Session
) -> None:
    case = make_case()
    key, day = case.id, clock.now().date() + timedelta(days=5)
    assert owner.post(deed_on(key, "pause"), data={"until": "2001-01-01"}).status_code == 422
    told = act(owner, deed_on(key, "pause"), until=day.isoformat())
    assert told == f"Case {key} is paused until {day}."
    assert "Paused." in owner.get(f"/admin/cases/details/?id={key}").text
    assert "paused already" in said(owner.get(deed_on(key, "pause"), follow_redirects=True).text)
    assert "goes on" in act(owner, "/admin/cases/unpause/", id=key)
    assert owner.post(deed_on(key, "exclude"), data={"reason": ""}).status_code == 422
    assert "not chased" in act(owner, deed_on(key, "exclude"), reason="Pays by transfer")
    page = owner.get(f"/admin/cases/details/?id={key}").text
    assert "Pays by transfer" in page
    assert "nothing will be by itself" in page
    assert "like any other" in act(owner, "/admin/cases/include/", id=key)
    about = select(AuditEntry.action).where(AuditEntry.subject == f"case:{key}")
    assert session.scalars(about.order_by(AuditEntry.id)).all() == [
        "case.paused",
        "case.unpaused",
        "case.excluded",
        "case.included",
    ]


def test_a_closed_case_can_only_be_read(owner: FlaskClient, session: Session) -> None:
    case = make_case(state=CaseState.LOST)
    page = owner.get(f"/admin/cases/details/?id={case.id}").text
    assert "What can be done" not in page
    for name in ("pause", "exclude", "try-now", "write-off"):
        told = said(owner.post(deed_on(case.id, name), follow_redirects=True).text)
        assert (name, told) == (name, "This case is lost: there is nothing left to chase.")


def test_trying_now_recovers_it_and_giving_up_closes_it(
    owner: FlaskClient, alice: Subscriber, session: Session
) -> None:
    failed_renewal(alice)
    case = session.scalars(select(DunningCase)).one()
    key = case.id
    assert "Stripe refused:" in act(owner, deed_on(key, "try-now"), wish="0" * 32)
    alice.give_card()
    assert "$19.00 were taken" in act(owner, deed_on(key, "try-now"), wish="1" * 32)
    session.expire_all()
    assert session.get_one(DunningCase, key).state is CaseState.RECOVERED
    failed_renewal(alice)
    newest = session.scalars(select(DunningCase).order_by(DunningCase.id.desc())).first()
    assert newest
    assert "are written off" in act(owner, deed_on(newest.id, "write-off"))
    session.expire_all()
    assert newest.state is CaseState.WRITTEN_OFF
    assert alice.invoices[-1].status is InvoiceStatus.UNCOLLECTIBLE


def make_ended(email: str, ended_days_ago: int, paid_days_ago: int) -> DunningCase:
    """Return a case whose subscription we ended, and whose money came."""
    now = clock.now()
    ended, paid = now - timedelta(days=ended_days_ago), now - timedelta(days=paid_days_ago)
    case = make_case(email, days=ended_days_ago + 14, state=CaseState.LOST, closed_at=ended)
    assert case.subscription
    case.subscription.status, case.subscription.ended_at = SubscriptionStatus.CANCELED, ended
    case.invoice.status, case.invoice.paid_at = InvoiceStatus.PAID, paid
    case.invoice.amount_paid = case.invoice.amount_due
    make_step(case, "end:14").cause = EndAction.CANCEL
    return case


def test_who_paid_and_was_ended_all_the_same_waits_for_a_person(
    owner: FlaskClient, session: Session
) -> None:
    ended_while_paying = make_ended("alice@example.com", 2, 2)
    paid_long_after = make_ended("bob@example.com", 30, 1)
    make_ended("left.later@example.com", 2, 20)
    came_back = make_ended("charlie@example.com", 5, 5)
    given_back = make_ended("dora@example.com", 5, 5)
    make_subscription(came_back.customer, make_plan("another"))
    refund = ask_for_change(
        OperationKind.REFUND, given_back.customer, given_back.invoice.stripe_id, {}, actor=SYSTEM
    )
    session.commit()

    found = rows(owner.get("/admin/cases/?state=belated").text)
    assert found == ["bob@example.com", "alice@example.com"]
    today = owner.get("/admin/").text
    assert re.search(r"Paid, yet ended</span>\s*<span class=\"value\">2<", today)
    for case in (ended_while_paying, paid_long_after):
        assert "Paid, yet ended." in owner.get(f"/admin/cases/details/?id={case.id}").text
    settled = owner.get(f"/admin/cases/details/?id={given_back.id}").text
    assert "Paid, yet ended." not in settled

    refund.state = OperationState.REFUSED
    session.commit()
    assert "dora@example.com" in rows(owner.get("/admin/cases/?state=belated").text)
