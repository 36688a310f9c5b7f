"""From a click to the order it became: which mail is owed what, and what is left of it."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.campaigns.tracking.conftest import ALICE, SENT_AT, Ask, Sent, deliver, settle
from tests.factories.catalog import make_sku
from tests.factories.emails import code_of, make_frozen, recipient_of
from tests.factories.orders import make_orders
from tests.factories.sales import StripeDesk, make_shipping
from webapp.campaigns.models import EmailOrder, EmailUnsubscribe, LeaveWay, OrderCredit, SendLease
from webapp.campaigns.services import worth
from webapp.campaigns.services.worth.crediting import CREDIT
from webapp.core import clock
from webapp.core.models import Job
from webapp.messaging.models import MailTopic
from webapp.orders.models import Checkout, Order, OrderRefund, RefundState
from webapp.orders.services import settlement

DAYS = timedelta(days=1)


def order_at(session: Session, placed_at: datetime, email: str = ALICE, number: int = 7001) -> int:
    make_orders(1, email, first_number=number, placed_at=placed_at)
    return session.scalars(select(Order.id).where(Order.number == number)).one()


def refund(session: Session, order_id: int, amount: int, state: RefundState) -> None:
    values = {"order_id": order_id, "amount": amount, "state": state, "actor": "staff"}
    session.add(OrderRefund(idempotency_key=f"{order_id}-{amount}", **values))
    session.commit()


def test_an_order_is_owed_to_the_last_human_click_of_five_days(
    sent: Sent, session: Session
) -> None:
    sent.ask(Ask(600, "open"))
    sent.ask(Ask(660, "link:3"))
    sent.ask(Ask(700, "link:4"))
    # Later, but nobody's.
    sent.ask(Ask(900, "link:5", agent="curl/8.7.1"))
    settle(timedelta(hours=1))
    first = order_at(session, SENT_AT + 4 * DAYS)
    late = order_at(session, SENT_AT + 6 * DAYS, number=7002)
    before = order_at(session, SENT_AT, number=7003)
    bobs = order_at(session, SENT_AT + DAYS, "bob@example.com", number=7004)
    owed = [worth.credit_order(order_id) for order_id in (first, late, before, bobs)]
    assert owed == [OrderCredit.CLICK, None, None, None]
    assert worth.credit_order(first) is OrderCredit.CLICK
    session.commit()
    (row,) = session.scalars(select(EmailOrder)).all()
    assert (row.order_id, row.link, row.acted_at) == (first, 4, SENT_AT + timedelta(seconds=700))
    (listed,) = worth.list_orders(sent.email.id)
    assert (listed.number, listed.address, listed.amount) == (7001, ALICE, 7500)


def test_who_only_opened_is_told_apart_and_the_newest_mail_counts(
    sent: Sent, session: Session
) -> None:
    sent.ask(Ask(600, "open"))
    older, newer = sent.email, make_frozen([ALICE])
    deliver(newer)
    sent.email = newer
    sent.ask(Ask(7200, "open"))
    settle(timedelta(hours=3))
    order_id = order_at(session, SENT_AT + DAYS)
    assert worth.credit_order(order_id) is OrderCredit.OPEN
    session.commit()
    refund(session, order_id, 500, RefundState.SUCCEEDED)
    first, second = worth.compare([older.id, newer.id])
    assert (first.opened, first.orders, first.assisted_orders) == (1, 0, 0)
    assert (second.orders, second.assisted_orders) == (0, 1)
    assert (second.revenue, second.assisted_revenue) == ({}, {"usd": 7000})


def test_a_click_that_was_long_on_its_way_is_owed_the_order_still(
    sent: Sent, session: Session
) -> None:
    sent.ask(Ask(600, "open"))
    settle(timedelta(minutes=20))
    order_id = order_at(session, SENT_AT + timedelta(minutes=30))
    worth.expect_credit(order_id)
    jobs = session.scalars(select(Job).where(Job.path == CREDIT).order_by(Job.run_at)).all()
    assert [round((job.run_at - clock.now()).total_seconds(), -1) for job in jobs] == [90, 3600]
    assert worth.credit_order(order_id) is OrderCredit.OPEN
    session.commit()
    # It waited on a disk, with Redis away.
    sent.ask(Ask(1200, "link:4"))
    settle(timedelta(hours=1))
    assert worth.credit_order(order_id) is OrderCredit.CLICK
    session.commit()
    (row,) = session.scalars(select(EmailOrder)).all()
    assert (row.credit, row.link) == (OrderCredit.CLICK, 4)
    assert row.acted_at == SENT_AT + timedelta(seconds=1200)


def test_a_browser_that_a_mail_led_here_is_known_at_the_checkout(
    sent: Sent, session: Session, stripe_desk: StripeDesk, run_jobs: Callable[[], int]
) -> None:
    """Though the buyer gives another address than the mail was sent to."""
    make_shipping()
    sku, now = make_sku(), (clock.now() - SENT_AT).total_seconds()
    sent.ask(Ask(now - 3600, "link:1"))
    settle(clock.now() - SENT_AT - timedelta(minutes=30))
    sent.client.post("/cart/add", data={"sku_id": sku.id, "quantity": 1})
    sent.client.post("/cart/delivery", data={"country": "US", "shipping_code": "standard"})
    form = {"seen_total": 2500 + 590, "seen_currency": "usd"}
    assert sent.client.post("/checkout", data=form).status_code == 303
    checkout = session.scalars(select(Checkout)).one()
    alice = recipient_of(sent.email, ALICE)
    assert checkout.email_code == code_of(alice)
    stripe_desk.pay(checkout, email="carol@example.com")
    order = settlement.find_or_place_order(checkout.stripe_session_id or "")
    session.commit()
    run_jobs()
    assert order is not None
    (job,) = session.scalars(select(Job).where(Job.key == f"credit:{order.id}")).all()
    assert job.run_at - clock.now() > timedelta(seconds=60)
    with clock.frozen(clock.now() + timedelta(seconds=91)):
        run_jobs()
    (row,) = session.scalars(select(EmailOrder)).all()
    assert (row.order_id, row.credit, row.link) == (order.id, OrderCredit.CLICK, 1)
    assert row.recipient_id == alice.id


def test_nobody_looks_for_a_mail_where_none_was_sent(sent: Sent, session: Session) -> None:
    order_id = order_at(session, SENT_AT + DAYS, "dave@example.com")
    worth.expect_credit(order_id)
    assert session.scalars(select(Job).where(Job.key == f"credit:{order_id}")).all() == []


def test_a_mail_in_figures(sent: Sent, session: Session) -> None:
    bob = "bob@example.com"
    sent.ask(Ask(600, "open"))
    sent.ask(Ask(4000, "link:3"))
    sent.ask(Ask(4100, "link:3"))
    sent.ask(Ask(5000, "open"), bob)
    sent.ask(Ask(30, "open", agent="Mozilla/5.0"), bob)
    sent.ask(Ask(40, "link:3", agent="curl/8.7.1"), bob)
    settle(timedelta(hours=2))
    alice, second = recipient_of(sent.email, ALICE), recipient_of(sent.email, bob)
    now = clock.now()
    second.complained_at, second.left_at = now, now
    session.add(SendLease(email_id=sent.email.id, size=3, sent=3, expires_at=now))
    session.add(
        EmailUnsubscribe(
            email_id=sent.email.id,
            recipient_id=second.id,
            topic=MailTopic.NEWSLETTER,
            way=LeaveWay.HEADER,
        )
    )
    order_id = order_at(session, SENT_AT + DAYS)
    worth.credit_order(order_id)
    refund(session, order_id, 1500, RefundState.SUCCEEDED)
    refund(session, order_id, 1000, RefundState.PENDING)

    figures = worth.worth_of(sent.email.id)
    assert (figures.sent, figures.delivered, figures.bounced, figures.complained) == (3, 3, 0, 1)
    assert (figures.opened, figures.clicked, figures.left) == (2, 1, 1)
    assert (figures.machine_opens, figures.machine_clicks) == (1, 1)
    assert (figures.orders, figures.revenue) == (1, {"usd": 6000})
    assert {each: str(amount) for each, amount in figures.per_recipient.items()} == {
        "usd": "2000.00"
    }

    link = next(link for link in worth.links_of(sent.email.id) if link.number == 3)
    assert (link.clicks, link.people, link.machine_clicks) == (2, 1, 1)
    assert (link.orders, link.revenue) == (1, {"usd": 6000})
    assert [link.number for link in worth.links_of(sent.email.id)] == [1, 3, 4, 5, 6, 7]
    hours = [
        (each.at.hour, each.opened, each.clicked) for each in worth.opens_by_hour(sent.email.id)
    ]
    assert hours == [(9, 1, 0), (10, 1, 1)]
    assert alice.opened_at == SENT_AT + timedelta(seconds=600)
