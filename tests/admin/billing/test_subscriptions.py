"""Finding a subscription, reading its story, and changing it through Stripe."""

import re
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.admin.billing.conftest import deeds_on
from tests.admin.conftest import DOOR, act, counting, said
from tests.factories.billing import (
    make_customer,
    make_invoice,
    make_plan,
    make_subscription,
    make_unpaid_invoice,
    open_case,
)
from tests.factories.people import make_user
from tests.factories.sales import StripeDesk
from tests.factories.subscribing import Subscriber
from webapp.billing.models import (
    BillingOperation,
    Cancellation,
    CancelOutcome,
    Interval,
    OperationState,
    PlanPrice,
    Subscription,
    SubscriptionStatus,
)
from webapp.core import clock
from webapp.core.models import AuditEntry


def rows(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a[^>]*>([^<]+)<', page)


def detail_of(row: Subscription) -> str:
    return f"/admin/subscriptions/details/?id={row.id}"


def deed_on(row: Subscription, name: str) -> str:
    return f"/admin/subscriptions/{name}/?id={row.id}"


def now_of(alice: Subscriber) -> Subscription:
    """Return her subscription as it is in the database at this moment."""
    return alice.row


def test_a_subscription_is_found_and_the_list_narrows(owner: FlaskClient, session: Session) -> None:
    plan, team = make_plan(), make_plan("team")
    alice = make_customer(make_user("alice@example.com"))
    bob = make_customer(make_user("bob@example.com"))
    hers = make_subscription(alice, plan)
    his = make_subscription(bob, team, cancel_at=clock.now() + timedelta(days=9))
    gone = make_subscription(bob, plan, status=SubscriptionStatus.CANCELED)
    for text, found in {
        "alice@example.com": ["alice@example.com"],
        "BOB@": ["bob@example.com", "bob@example.com"],
        hers.stripe_id: ["alice@example.com"],
        str(alice.stripe_customer_id): ["alice@example.com"],
        f"billing_customer:{bob.id}": ["bob@example.com", "bob@example.com"],
        str(gone.id): ["bob@example.com"],
        "9" * 30: [],
        "100%": [],
        "\0": ["bob@example.com", "bob@example.com", "alice@example.com"],
    }.items():
        page = owner.get("/admin/subscriptions/", query_string={"search": text}).text
        assert (text, rows(page)) == (text, found)
    for query, count in {
        "status=live": 2,
        "status=cancelling": 1,
        "status=canceled": 1,
        "status=duplicate": 0,
        "status=nonsense": 3,
        "plan=team": 1,
        "plan=pro&status=live": 1,
    }.items():
        assert (query, len(rows(owner.get(f"/admin/subscriptions/?{query}").text))) == (
            query,
            count,
        )
    page = owner.get(detail_of(his)).text
    assert "Ends " in page
    assert "Let it go on" in page
    for key in ("", "0", "x", "9" * 40):
        assert owner.get(f"/admin/subscriptions/details/?id={key}").status_code == 404


def test_the_detail_tells_the_whole_story_in_few_statements(
    owner: FlaskClient, session: Session
) -> None:
    customer = make_customer(make_user())
    row = make_subscription(
        customer,
        make_plan(),
        started_at=clock.now() - timedelta(days=40),
        status=SubscriptionStatus.PAST_DUE,
        discounts=[{"id": "di_1", "percent_off": 30.0, "amount_off": None, "end": None}],
    )
    make_invoice(customer, row, issued_at=clock.now() - timedelta(days=40))
    unpaid = make_unpaid_invoice(customer, row, at=clock.now() - timedelta(days=9))
    case = open_case(unpaid)
    page = owner.get(detail_of(row)).text
    for words in (
        "Waits for a payment",
        "30 % off",
        "Visa ending 4242",
        "Not enough money on the account: may pass at another try.",
        f"Case {case.id} opened over $19.00",
        f"Invoice {unpaid.number} over $19.00",
    ):
        assert words in page
    assert deeds_on(page) == [
        "Change the plan",
        "Pause",
        "Give a discount",
        "Cancel",
        "Refund the last payment",
    ]
    url = detail_of(row)
    with counting() as few:
        owner.get(url)
    for day in range(6):
        make_unpaid_invoice(customer, row, at=clock.now() - timedelta(days=day))
    with counting() as many:
        owner.get(url)
    assert len(many) <= len(few) + 1 <= DOOR + 24, "\n".join(many.statements)


def test_a_list_of_many_takes_few_statements(owner: FlaskClient, session: Session) -> None:
    plan = make_plan()
    for number in range(4):
        make_subscription(make_customer(make_user(f"user{number}@example.com")), plan)
    with counting() as counted:
        owner.get("/admin/subscriptions/?status=live&plan=pro")
    assert len(counted) <= DOOR + 6, "\n".join(counted.statements)


def test_it_ends_with_its_period_goes_on_again_and_ends_at_once(
    owner: FlaskClient, alice: Subscriber
) -> None:
    row = alice.row
    page = owner.get(deed_on(row, "cancel")).text
    assert "When the paid time is over" in page
    assert "can&#39;t be taken up again" in page
    values = {"at": "at_end", "reason": "too_expensive", "comment": "Too dear"}
    told = act(owner, deed_on(row, "cancel"), **values, wish="0" * 32)
    assert "is not charged again" in told
    assert now_of(alice).cancel_at_period_end
    assert act(owner, "/admin/subscriptions/resume/", id=row.id).startswith("It goes on")
    assert not now_of(alice).cancel_at_period_end
    why = alice.desk.client.v1.subscriptions.retrieve(row.stripe_id).cancellation_details
    assert why
    assert (why.feedback, why.comment) == ("too_expensive", "Too dear")
    told = act(owner, deed_on(row, "cancel"), at="at_once", reason="", wish="1" * 32)
    assert told == "It is cancelled. Nothing more is charged."
    assert now_of(alice).status is SubscriptionStatus.CANCELED
    assert alice.entitlement is None
    assert said(owner.get(deed_on(row, "cancel"), follow_redirects=True).text).startswith(
        "This subscription is over"
    )


def test_every_change_is_in_the_audit_and_has_its_reason(
    owner: FlaskClient, alice: Subscriber, session: Session
) -> None:
    row = alice.row
    act(owner, deed_on(row, "cancel"), at="at_end", reason="unused", comment="Moved away")
    act(owner, "/admin/subscriptions/resume/", id=row.id)
    reason = session.scalars(select(Cancellation)).one()
    assert (reason.comment, reason.outcome) == ("Moved away", CancelOutcome.RESUMED)
    deeds = session.scalars(
        select(AuditEntry)
        .where(AuditEntry.subject == f"subscription:{row.id}")
        .order_by(AuditEntry.id)
    ).all()
    assert [deed.action for deed in deeds] == ["subscription.cancelled", "subscription.resumed"]
    assert {deed.user_id for deed in deeds} == {alice.user.id}
    assert "Moved away" not in str([deed.details for deed in deeds])
    page = owner.get(detail_of(row)).text
    assert "Asked Stripe: cancel at period end" in page
    assert "by owner@example.org" in page


def test_a_pause_and_its_end_and_a_discount(owner: FlaskClient, alice: Subscriber) -> None:
    row, day = alice.row, clock.now().date() + timedelta(days=60)
    assert owner.post(deed_on(row, "pause"), data={"until": "2001-01-01"}).status_code == 422
    told = act(owner, deed_on(row, "pause"), until=day.isoformat())
    assert told == f"It is paused until {day}."
    assert now_of(alice).pause_behavior == "void"
    assert "paused already" in said(owner.get(deed_on(row, "pause"), follow_redirects=True).text)
    assert "The pause is over" in act(owner, "/admin/subscriptions/unpause/", id=row.id)
    assert now_of(alice).pause_behavior is None
    assert owner.post(deed_on(row, "discount"), data={"percent": "101"}).status_code == 422
    told = act(owner, deed_on(row, "discount"), percent="50", months="2")
    assert told.startswith("50 % are taken off")
    assert now_of(alice).annual_amount == 6 * alice.row.unit_amount


def test_a_change_shows_its_price_first_and_charges_what_was_shown(
    owner: FlaskClient, alice: Subscriber, session: Session
) -> None:
    row = alice.row
    yearly = session.scalars(
        select(PlanPrice).where(PlanPrice.interval == Interval.YEAR, PlanPrice.retired_at.is_(None))
    ).one()
    page = owner.get(f"{deed_on(row, 'change')}&price={yearly.id}&quantity=1").text
    assert "card is charged <strong>$171.00</strong> now" in page
    asked_at = re.search(r'name="asked_at" value="(\d+)"', page)
    assert asked_at
    assert now_of(alice).interval is Interval.MONTH
    values = {"price": yearly.id, "quantity": "1", "asked_at": asked_at[1], "wish": "2" * 32}
    shown = re.search(r'name="shown" value="([^"]+)"', page)
    assert shown
    values["shown"] = shown[1]
    stale = values | {"asked_at": "1000000000"}
    assert "shown long ago" in owner.post(deed_on(row, "change"), data=stale).text
    for other in (f"1{shown[1]}", ""):
        moved = owner.post(deed_on(row, "change"), data=values | {"shown": other})
        assert "The price has changed" in moved.text
    assert now_of(alice).interval is Interval.MONTH
    assert "Pro, $190.00 a year now" in act(owner, deed_on(row, "change"), **values)
    assert now_of(alice).interval is Interval.YEAR
    assert [invoice.amount_paid for invoice in alice.invoices] == [1900, 17100]
    # Months would pass without an invoice: what is given to a yearly one is for its next.
    assert 'name="months"' not in owner.get(deed_on(row, "discount")).text
    told = act(owner, deed_on(row, "discount"), percent="50")
    assert told == "50 % are taken off the next invoice, and no other."
    [discount] = now_of(alice).discounts
    assert (discount["percent_off"], discount["duration"]) == (50, "once")
    assert now_of(alice).annual_amount == 19_000
    same = f"{deed_on(row, 'change')}&price={yearly.id}&quantity=1"
    assert "That is what they have already" in owner.get(same).text


def test_a_second_press_is_the_same_wish(
    owner: FlaskClient, alice: Subscriber, session: Session
) -> None:
    row = alice.row
    for _ in range(2):
        act(owner, deed_on(row, "discount"), percent="10", months="1", wish="3" * 32)
    assert len(session.scalars(select(BillingOperation)).all()) == 1


@pytest.mark.parametrize(
    ("fault", "words", "state"),
    [
        ({"status": 500}, "Stripe has not answered yet", OperationState.REQUESTED),
        ({"status": 400}, "Stripe refused:", OperationState.REFUSED),
    ],
)
def test_what_stripe_does_not_do_is_said(
    owner: FlaskClient,
    alice: Subscriber,
    stripe_desk: StripeDesk,
    session: Session,
    fault: dict[str, int],
    words: str,
    state: OperationState,
) -> None:
    row = alice.row
    stripe_desk.control("fail", route="DELETE /v1/subscriptions/*", times=1, **fault)
    assert words in act(owner, deed_on(row, "cancel"), at="at_once", reason="unused")
    session.expire_all()
    waits = state is OperationState.REQUESTED
    left = session.scalars(select(Cancellation)).one()
    assert left.outcome is (CancelOutcome.CANCELLED if waits else CancelOutcome.REFUSED)
    assert session.scalars(select(BillingOperation.state)).one() is state
    assert now_of(alice).status is SubscriptionStatus.ACTIVE
