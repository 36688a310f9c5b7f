"""Reading the whole story of an order."""

from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from admin.timeline import tell
from tests.admin.conftest import DOOR, act, counting, later, make_order
from tests.admin.rows import add_checkout, add_job, add_mail, add_shipment
from webapp.core import clock
from webapp.messaging.models import MailState
from webapp.orders.models import NeedsAction, OrderRefund, OrderState, OrderStatus
from webapp.payments.models import EventState, StripeEvent


def test_a_page_of_an_order_takes_a_bounded_number_of_statements(
    owner: FlaskClient, session: Session
) -> None:
    order = make_order(lines=tuple((f"Thing {n}", 2) for n in range(30)))
    for n in range(20):
        add_job(session, order, f"jobs.orders.step{n}", tries=3)
        add_mail(session, order, f"mail{n}")
    add_shipment(session, order)
    session.commit()
    session.expire_all()
    with counting() as counted:
        answer = owner.get(f"/admin/orders/details/?id={order.id}")
    assert answer.status_code == 200
    assert "Thing 29" in answer.text
    assert "orders.step19" in answer.text
    assert len(counted) <= DOOR + 19, "\n".join(counted.statements)


def test_the_story_merges_every_part_by_time(session: Session) -> None:
    start = clock.now() - later(60)
    order = make_order()
    checkout = add_checkout(session, order)
    checkout.created_at = start
    checkout.ended_at = start + later(4)
    order.checkout_id = checkout.id
    order.payment.paid_at = start + later(2)
    order.history[0].at = start + later(5)
    session.add(
        StripeEvent(
            id="evt_1",
            type="checkout.session.completed",
            livemode=False,
            created=start,
            payload={},
            state=EventState.DONE,
            attempts=2,
            next_attempt_at=start,
            subject=f"order:{order.id}",
            received_at=start + later(1),
            done_at=start + later(3),
        )
    )
    job = add_job(session, order, "jobs.orders.fulfil", tries=2)
    job.created_at = start + later(6)
    job.tries[0].finished_at = start + later(7)
    job.tries[0].error = "OperationalError: gone"
    job.tries[1].finished_at = start + later(8)
    mail = add_mail(session, order, "m", state=MailState.SENT, sent_at=start + later(10))
    mail.created_at = start + later(9)
    add_shipment(session, order)
    session.flush()
    session.expire(order)
    order.shipments[0].shipped_at = start + later(11)
    session.add(OrderStatus(order_id=order.id, status=OrderState.SHIPPED, at=start + later(12)))
    session.add(
        OrderRefund(
            order_id=order.id,
            idempotency_key="r",
            amount=500,
            reason="late",
            actor="owner@example.org",
            created_at=start + later(13),
        )
    )
    session.commit()
    session.expire_all()

    told = [(entry.kind, entry.title, entry.tone) for entry in tell(order)]
    assert told == [
        ("request", "Checkout opened, stock promised", "info"),
        ("webhook", "Stripe said checkout.session.completed", None),
        ("payment", "Paid $35.00", "good"),
        ("webhook", "checkout.session.completed worked through, after 2 tries", None),
        ("request", "Checkout complete", None),
        ("status", "In fulfilment", "info"),
        ("job", "Promised orders.fulfil", None),
        ("job", "orders.fulfil failed at try 1", "bad"),
        ("job", "Ran orders.fulfil at try 2", "good"),
        ("mail", "Mail written: order confirmation", None),
        ("mail", "Mail sent: order confirmation", "good"),
        ("shipment", "Parcel handed over", "good"),
        ("status", "Shipped", "good"),
        ("refund", "Refund of $5.00 requested", "warn"),
    ]
    assert [entry.at for entry in tell(order)] == sorted(entry.at for entry in tell(order))


def test_an_order_that_needs_action_says_why_and_what_to_do(
    owner: FlaskClient, session: Session
) -> None:
    order = make_order(status=OrderState.NEEDS_ACTION)
    order.needs_action = NeedsAction.AMOUNT_MISMATCH
    session.commit()
    page = owner.get(f"/admin/orders/details/?id={order.id}").text
    assert "Stripe took another amount than the cart came to." in page
    assert "Ship and tell the customer" not in page
    assert "Accept and fulfil" not in page
    notice = act(owner, "/admin/orders/accept/", id=order.id)
    assert "Nothing can be shipped for this payment" in notice
