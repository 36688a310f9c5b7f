"""What the page of a member tells of their subscription, and the way from there to the rooms."""

import html
import re
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from admin.billing import Subscriptions
from tests.admin.conftest import DOOR, Enter, counting
from tests.admin.people import member_of
from tests.factories.billing import (
    make_customer,
    make_invoice,
    make_plan,
    make_subscription,
    make_unpaid_invoice,
    open_case,
)
from tests.factories.people import make_user
from webapp.accounts.models import Role, User
from webapp.accounts.permissions import Permission
from webapp.billing.models import Interval, SubscriptionStatus
from webapp.core import clock


def url_of(user: User) -> str:
    return f"/admin/members/details/?id={member_of(user).id}"


def panel_of(browser: FlaskClient, user: User) -> str:
    """Return the panel's markup; nothing where there is none."""
    answer = browser.get(url_of(user))
    assert answer.status_code == 200
    return answer.text.partition("<h2>Subscription</h2>")[2].partition("</section>")[0]


def words_of(panel: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", panel)).split())


def links_in(panel: str) -> list[str]:
    return [html.unescape(url) for url in re.findall(r'href="([^"]+)"', panel)]


def test_a_members_page_tells_what_they_pay_and_owe(owner: FlaskClient, session: Session) -> None:
    user, bob = make_user("alice@example.com"), make_user("bob@example.com")
    customer, plan, now = make_customer(user), make_plan(), clock.now()
    row = make_subscription(
        customer,
        plan,
        discounts=[{"id": "di_1", "percent_off": 30.0, "amount_off": None, "end": None}],
        started_at=now - timedelta(days=20),
    )
    old, *paid = (
        make_invoice(customer, row, issued_at=now - timedelta(days=days)) for days in (90, 60, 30)
    )
    unpaid = make_unpaid_invoice(customer, row, at=now - timedelta(days=2), total=1700)
    case = open_case(unpaid, walled_at=now)
    his = make_customer(bob)
    make_unpaid_invoice(his, make_subscription(his, plan))

    panel = panel_of(owner, user)
    words = words_of(panel)
    for told in (
        "Plan Pro Status Active Renews ",
        "Price $19.00 every month Discount 30 % off",
        "Next charge $13.30, ",
        "Worth a month $19.00",
        "Card Visa 4242 until 12/2039",
        f"Case {case.id} Open $17.00 owed since ",
        "behind the wall since",
        f"Invoice {unpaid.number} Open $17.00, ",
        f"Invoice {paid[0].number} Paid $19.00, ",
        "All their subscriptions , invoices and cases",
    ):
        assert told in words, told
    assert str(old.number) not in words

    links = links_in(panel)
    assert f"/admin/subscriptions/details/?id={row.id}" in links
    assert f"/admin/cases/details/?id={case.id}" in links
    for url in links:
        assert owner.get(url).status_code == 200, url
    rooms = [url for url in links if "search=" in url]
    assert len(rooms) == 3
    for url in rooms:
        found = owner.get(url).text
        assert "alice@example.com" in found, url
        assert "bob@example.com" not in found, url


def test_however_much_was_billed_the_page_takes_as_many_statements(
    owner: FlaskClient, session: Session
) -> None:
    user = make_user()
    customer, plan, now = make_customer(user), make_plan(), clock.now()
    row = make_subscription(customer, plan)
    url = url_of(user)

    def bill(day: int) -> None:
        open_case(make_unpaid_invoice(customer, row, at=now - timedelta(days=day)))

    bill(1)
    with counting() as few:
        owner.get(url)
    for day in range(2, 6):
        bill(day)
    make_subscription(customer, plan, status=SubscriptionStatus.CANCELED)
    with counting() as many:
        owner.get(url)
    assert len(many) == len(few), "\n".join(many.statements)
    assert len(many) <= DOOR + 28, "\n".join(many.statements)


def test_one_who_left_or_never_came_is_told_in_a_sentence(
    owner: FlaskClient, session: Session
) -> None:
    plan = make_plan()
    charlie = make_user("charlie@example.com")
    assert words_of(panel_of(owner, charlie)) == "Nothing is billed to them."

    bob = make_user("bob@example.com")
    his = make_customer(bob, stripe_customer_id=None)
    assert "None so far, but a card: Visa 4242." in words_of(panel_of(owner, bob))
    assert any("search=bob" in url for url in links_in(panel_of(owner, bob)))

    make_subscription(
        his,
        plan,
        interval=Interval.YEAR,
        status=SubscriptionStatus.CANCELED,
        cancellation_reason="payment_failed",
    )
    words = words_of(panel_of(owner, bob))
    assert "Status Canceled Over since" in words
    assert "for want of payment" in words
    assert "Price $190.00 every year" in words
    assert "Next charge" not in words


def test_a_charge_that_wont_come_and_an_invoice_nobody_chases_are_told(
    owner: FlaskClient, session: Session
) -> None:
    user = make_user()
    customer = make_customer(user, card_brand=None, card_last4=None)
    row = make_subscription(customer, None, cancel_at_period_end=True)
    make_unpaid_invoice(customer, row, total=900)
    words = words_of(panel_of(owner, user))
    assert "Plan Unknown plan Status Active Ends " in words
    assert "Next charge None" in words
    assert "Owed $9.00" in words


def test_who_may_not_see_subscriptions_sees_none_on_a_members_page(
    enter: Enter, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = make_user()
    row = make_subscription(make_customer(user), make_plan())
    staff = enter(Role.STAFF)
    assert f"/admin/subscriptions/details/?id={row.id}" in panel_of(staff, user)
    monkeypatch.setattr(Subscriptions, "may_see", Permission.BILLING_ACT)
    assert panel_of(staff, user) == ""
    assert panel_of(enter(Role.MANAGER), user) != ""
