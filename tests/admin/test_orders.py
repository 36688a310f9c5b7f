"""Finding an order, reading its story, shipping, refunding and calling it off."""

import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from admin.orders import refundable
from admin.timeline import tell
from tests.admin.conftest import act, counting, later, make_order, make_product, said
from webapp.catalog.models import SkuInventory
from webapp.core import clock
from webapp.core.models import Job, JobAttempt, JobState
from webapp.messaging.models import Mail, MailState
from webapp.orders.models import (
    Cart,
    Checkout,
    CheckoutState,
    NeedsAction,
    Order,
    OrderRefund,
    OrderState,
    OrderStatus,
    RefundState,
    Shipment,
    ShipmentLine,
)
from webapp.payments.models import EventState, StripeEvent


def numbers(page: str) -> list[int]:
    return [int(number) for number in re.findall(r'<th scope="row"><a[^>]*>#(\d+)<', page)]


def reread(session: Session, order: Order) -> Order:
    session.expire_all()
    return session.get_one(Order, order.id)


def test_the_list_shows_the_newest_first(owner: FlaskClient) -> None:
    for number in range(1001, 1004):
        make_order(number)
    assert numbers(owner.get("/admin/orders/").text) == [1003, 1002, 1001]


def test_an_order_is_found_by_number_address_or_parcel(
    owner: FlaskClient, session: Session
) -> None:
    make_order(1001, email="alice@example.org")
    bob = make_order(1002, email="bob@example.org")
    parcel = Shipment(order_id=bob.id, carrier="UPS", tracking_number="1Z-42", actor="x")
    session.add(parcel)
    session.commit()
    for text, found in {
        "1001": [1001],
        "#1001": [1001],
        "ALICE@example.org": [1001],
        "bob@": [1002],
        "example": [1002, 1001],
        "1Z-42": [1002],
        "nobody": [],
        "100%": [],
        "\0": [1002, 1001],
        "9" * 30: [],
    }.items():
        page = owner.get("/admin/orders/", query_string={"search": text}).text
        assert (text, numbers(page)) == (text, found)


def test_the_list_narrows_by_status(owner: FlaskClient) -> None:
    make_order(1001, status=OrderState.DELIVERED)
    make_order(1002, status=OrderState.IN_FULFILMENT)
    make_order(1003, status=OrderState.NEEDS_ACTION)
    assert numbers(owner.get("/admin/orders/?status=delivered").text) == [1001]
    assert numbers(owner.get("/admin/orders/?status=open").text) == [1002]
    assert numbers(owner.get("/admin/orders/?status=needs_action").text) == [1003]
    assert numbers(owner.get("/admin/orders/?status=nonsense").text) == [1003, 1002, 1001]
    assert "status=delivered" in owner.get("/admin/orders/?status=delivered&x=1").text


def test_the_list_sorts_by_its_columns(owner: FlaskClient) -> None:
    make_order(1001, lines=(("Hat", 3),))
    make_order(1002, lines=(("Hat", 1),))
    head = owner.get("/admin/orders/").text
    assert 'href="/admin/orders/?sort=5' in head
    assert numbers(owner.get("/admin/orders/?sort=5").text) == [1002, 1001]
    assert numbers(owner.get("/admin/orders/?sort=5&desc=1").text) == [1001, 1002]
    assert numbers(owner.get("/admin/orders/?sort=-1&page=-3").text) == [1002, 1001]
    assert owner.get("/admin/orders/?page=99999999999999999999").status_code == 200


def test_a_thousand_orders_turn_page_by_page_in_few_statements(
    owner: FlaskClient, session: Session
) -> None:
    session.execute(
        insert(Order),
        [
            {
                "number": number,
                "email": f"buyer{number % 7}@example.org",
                "currency": "usd",
                "items_amount": 1000,
                "total_amount": 1000,
            }
            for number in range(2001, 3001)
        ],
    )
    session.commit()
    first = owner.get("/admin/orders/").text
    last = owner.get("/admin/orders/?page=19").text
    assert numbers(first) == list(range(3000, 2950, -1))
    assert numbers(last) == list(range(2050, 2000, -1))
    assert ">1,000<" in first
    assert 'href="/admin/orders/?page=19' in first
    found = owner.get("/admin/orders/?search=buyer3@example.org&page=2").text
    assert len(numbers(found)) == 43
    with counting() as counted:
        owner.get("/admin/orders/?page=7")
    assert len(counted) <= 7, "\n".join(counted.statements)


def test_counting_stops_at_a_limit(
    owner: FlaskClient, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("admin.base.COUNT_LIMIT", 2)
    for number in range(1001, 1005):
        make_order(number)
    page = owner.get("/admin/orders/").text
    assert ">2+<" in page
    assert "Search or filter to come further" in page


def test_a_page_of_an_order_takes_a_bounded_number_of_statements(
    owner: FlaskClient, session: Session
) -> None:
    order = make_order(lines=tuple((f"Thing {n}", 2) for n in range(30)))
    for n in range(20):
        _add_job(session, order, f"jobs.orders.step{n}", tries=3)
        _add_mail(session, order, f"mail{n}")
    _add_shipment(session, order)
    session.commit()
    session.expire_all()
    with counting() as counted:
        answer = owner.get(f"/admin/orders/details/?id={order.id}")
    assert answer.status_code == 200
    assert "Thing 29" in answer.text
    assert "orders.step19" in answer.text
    assert len(counted) <= 18, "\n".join(counted.statements)


def _add_job(session: Session, order: Order, path: str, tries: int = 1) -> Job:
    now = clock.now()
    job = Job(
        path=path,
        args=[order.id],
        queue="critical",
        subject=f"order:{order.id}",
        state=JobState.DONE,
        max_attempts=8,
        run_at=now,
        deadline_at=now,
    )
    job.tries = [
        JobAttempt(number=number, worker="w", started_at=now, finished_at=now)
        for number in range(1, tries + 1)
    ]
    session.add(job)
    return job


def _add_mail(session: Session, order: Order, key: str, **values: object) -> Mail:
    mail = Mail(
        dedupe_key=key,
        code=key,
        recipient=order.email,
        sender="hello@northwind.example",
        subject="Your order",
        text="Hello",
        html="<p>Hello</p>",
        subject_ref=f"order:{order.id}",
        **({"kind": "order_confirmation"} | values),
    )
    session.add(mail)
    return mail


def _add_checkout(session: Session, order: Order) -> Checkout:
    now = clock.now()
    cart = Cart(currency="usd", expires_at=now)
    session.add(cart)
    session.flush()
    checkout = Checkout(
        cart_id=cart.id,
        idempotency_key=f"key-{order.id}",
        quote={},
        currency="usd",
        total_amount=order.total_amount,
        request_id="the-request",
        expires_at=now,
        release_at=now,
        state=CheckoutState.COMPLETE,
    )
    session.add(checkout)
    session.flush()
    return checkout


def _add_shipment(session: Session, order: Order) -> None:
    line = ShipmentLine(order_sku_id=order.lines[0].id, quantity=1)
    session.add(Shipment(order_id=order.id, carrier="UPS", actor="system", lines=[line]))


def test_the_story_merges_every_part_by_time(session: Session) -> None:
    start = clock.now() - later(60)
    order = make_order()
    checkout = _add_checkout(session, order)
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
    job = _add_job(session, order, "jobs.orders.fulfil", tries=2)
    job.created_at = start + later(6)
    job.tries[0].finished_at = start + later(7)
    job.tries[0].error = "OperationalError: gone"
    job.tries[1].finished_at = start + later(8)
    mail = _add_mail(session, order, "m", state=MailState.SENT, sent_at=start + later(10))
    mail.created_at = start + later(9)
    _add_shipment(session, order)
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


def test_shipping_takes_carrier_number_and_all_that_is_left(
    owner: FlaskClient, session: Session
) -> None:
    order = make_order()
    page = owner.get(f"/admin/orders/details/?id={order.id}").text
    fields = dict.fromkeys(re.findall(r'name="(quantity-\d+)"', page), "2")
    assert len(fields) == 2
    fields[f"quantity-{order.lines[1].id}"] = "1"
    notice = act(
        owner, "/admin/orders/ship/", id=order.id, carrier="UPS", tracking_number="1Z9", **fields
    )
    assert "Order #1001 is shipped by UPS, tracking 1Z9." in notice
    order = reread(session, order)
    assert order.status is OrderState.SHIPPED
    assert [line.shipped_quantity for line in order.lines] == [2, 1]
    assert order.history[-1].actor == "owner@example.org"
    mail = session.scalars(select(Mail).where(Mail.kind == "order_shipped")).one()
    assert "1Z9" in mail.text


def test_a_parcel_may_hold_a_part(owner: FlaskClient, session: Session) -> None:
    order = make_order()
    hat, scarf = order.lines
    values = {f"quantity-{hat.id}": "1", f"quantity-{scarf.id}": "0"}
    act(owner, "/admin/orders/ship/", id=order.id, carrier="UPS", **values)
    order = reread(session, order)
    assert order.status is OrderState.PARTIALLY_SHIPPED
    assert [line.shipped_quantity for line in order.lines] == [1, 0]
    act(owner, "/admin/orders/ship/", id=order.id, carrier="UPS")
    order = reread(session, order)
    assert order.status is OrderState.SHIPPED
    assert len(order.shipments) == 2


@pytest.mark.parametrize(
    ("carrier", "quantity", "why"),
    [
        ("", "1", "Name the carrier"),
        ("UPS", "0", "at least one piece"),
        ("UPS", "3", "more pieces than are left"),
        ("UPS", "-1", "type how many pieces"),
        ("UPS", "many", "type how many pieces"),
        ("UPS", "٣", "type how many pieces"),
    ],
)
def test_a_parcel_that_can_not_be_is_refused(
    owner: FlaskClient, session: Session, carrier: str, quantity: str, why: str
) -> None:
    order = make_order(lines=(("Hat", 2),))
    values = {f"quantity-{order.lines[0].id}": quantity}
    notice = act(owner, "/admin/orders/ship/", id=order.id, carrier=carrier, **values)
    assert why in notice
    assert reread(session, order).shipments == []
    assert session.scalar(select(func.count()).select_from(Mail)) == 0


def test_shipping_twice_sends_one_parcel(owner: FlaskClient, session: Session) -> None:
    order = make_order()
    act(owner, "/admin/orders/ship/", id=order.id, carrier="UPS")
    notice = act(owner, "/admin/orders/ship/", id=order.id, carrier="UPS")
    assert "it can't be shipped" in notice or "it can&#39;t be shipped" in notice
    assert len(reread(session, order).shipments) == 1


def test_an_arrived_parcel_is_marked(owner: FlaskClient, session: Session) -> None:
    order = make_order()
    assert "not shipped" in act(owner, "/admin/orders/deliver/", id=order.id)
    act(owner, "/admin/orders/ship/", id=order.id, carrier="UPS")
    act(owner, "/admin/orders/deliver/", id=order.id)
    assert reread(session, order).status is OrderState.DELIVERED


def test_a_part_of_the_money_goes_back(owner: FlaskClient, session: Session) -> None:
    order = make_order()
    notice = act(owner, "/admin/orders/refund/", id=order.id, amount="12.34", reason="late")
    assert "on its way to Stripe" in notice
    refund = reread(session, order).refunds[0]
    assert (refund.amount, refund.reason, refund.actor) == (1234, "late", "owner@example.org")
    job = session.scalars(select(Job).where(Job.path == "jobs.orders.refund")).one()
    assert (job.args, job.subject) == ([refund.id], f"order:{order.id}")
    assert refundable(reread(session, order)) == 3500 - 1234


def test_all_of_the_money_goes_back_and_the_pieces_to_the_shelf(
    owner: FlaskClient, session: Session
) -> None:
    product = make_product(on_hand=5)
    order = make_order(lines=(("Wool hat", 2),), product=product)
    act(owner, "/admin/orders/refund/", id=order.id, restock="1")
    assert reread(session, order).refunds[0].amount == 2500
    assert session.scalars(select(SkuInventory.on_hand)).one() == 7


@pytest.mark.parametrize("amount", ["0", "35.01", "-1", "12.345", "all", "NaN", "1e99"])
def test_an_amount_that_can_not_be_is_refused(
    owner: FlaskClient, session: Session, amount: str
) -> None:
    order = make_order()
    notice = act(owner, "/admin/orders/refund/", id=order.id, amount=amount)
    assert notice
    assert "on its way" not in notice
    assert reread(session, order).refunds == []


def test_two_refunds_never_give_back_more_than_was_paid(
    owner: FlaskClient, session: Session
) -> None:
    order = make_order()
    act(owner, "/admin/orders/refund/", id=order.id, amount="30")
    act(owner, "/admin/orders/refund/", id=order.id, amount="30")
    act(owner, "/admin/orders/refund/", id=order.id)
    act(owner, "/admin/orders/refund/", id=order.id)
    assert [refund.amount for refund in reread(session, order).refunds] == [3000, 500]


def test_a_failed_refund_can_be_asked_for_again(owner: FlaskClient, session: Session) -> None:
    order = make_order()
    act(owner, "/admin/orders/refund/", id=order.id)
    refund = reread(session, order).refunds[0]
    refund.state = RefundState.FAILED
    refund.error = "The card was closed."
    session.commit()
    page = owner.get(f"/admin/orders/details/?id={order.id}").text
    assert "The card was closed." in page
    assert "Give the money back" in page


@pytest.mark.parametrize(("restock", "left"), [({"restock": "1"}, 7), ({}, 5)])
def test_an_order_is_called_off(
    owner: FlaskClient, session: Session, restock: dict[str, str], left: int
) -> None:
    product = make_product(on_hand=5)
    order = make_order(lines=(("Wool hat", 2),), product=product)
    act(owner, "/admin/orders/cancel/", id=order.id, **restock)
    order = reread(session, order)
    assert order.status is OrderState.CANCELLED
    assert order.refunds[0].amount == 2500
    assert session.scalars(select(SkuInventory.on_hand)).one() == left
    page = owner.get(f"/admin/orders/details/?id={order.id}").text
    assert "Ship and tell the customer" not in page
    assert "Cancel the order" not in page


def test_a_shipped_order_is_not_called_off(owner: FlaskClient, session: Session) -> None:
    order = make_order()
    act(owner, "/admin/orders/ship/", id=order.id, carrier="UPS")
    assert "be cancelled" in act(owner, "/admin/orders/cancel/", id=order.id)
    assert reread(session, order).status is OrderState.SHIPPED


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


def test_an_order_that_needs_action_is_accepted_as_it_is(
    owner: FlaskClient, session: Session
) -> None:
    product = make_product(on_hand=5)
    order = make_order(lines=(("Wool hat", 2),), product=product, status=OrderState.NEEDS_ACTION)
    order.needs_action = NeedsAction.AMOUNT_MISMATCH
    order.checkout_id = _add_checkout(session, order).id
    session.commit()
    assert "Accept and fulfil" in owner.get(f"/admin/orders/details/?id={order.id}").text
    act(owner, "/admin/orders/accept/", id=order.id)
    order = reread(session, order)
    assert order.status is OrderState.ACCEPTED
    job = session.scalars(select(Job)).one()
    assert (job.path, job.args) == ("jobs.orders.fulfil", [order.id])


def test_the_confirmation_is_sent_once_more(owner: FlaskClient, session: Session) -> None:
    order = make_order()
    sent = _add_mail(session, order, "first", state=MailState.SENT)
    session.commit()
    notice = act(owner, "/admin/orders/confirm_again/".replace("_", "-"), id=order.id)
    assert "once more" in notice
    mails = session.scalars(select(Mail).order_by(Mail.id)).all()
    assert [mail.kind for mail in mails] == ["order_confirmation"] * 2
    assert mails[0].id == sent.id
    assert "already" in act(owner, "/admin/orders/confirm-again/", id=order.id)


def test_a_stuck_confirmation_is_the_one_that_is_sent(owner: FlaskClient, session: Session) -> None:
    order = make_order()
    stuck = _add_mail(session, order, "first", state=MailState.UNKNOWN)
    session.commit()
    act(owner, "/admin/orders/confirm-again/", id=order.id)
    session.expire_all()
    assert session.scalars(select(Mail)).one().id == stuck.id
    assert stuck.state is MailState.PENDING


@pytest.mark.parametrize("key", ["", "0", "999999", "x", "-1", "9" * 40, "%00", "1,2"])
def test_an_order_that_is_not_there_is_a_404(owner: FlaskClient, key: str) -> None:
    assert owner.get(f"/admin/orders/details/?id={key}").status_code == 404
    assert said(owner.post("/admin/orders/ship/", data={"id": "999999"}).text) == ""


def test_what_a_customer_typed_is_shown_as_text(owner: FlaskClient, session: Session) -> None:
    order = make_order(email="<script>alert(1)</script>@example.org")
    for path in ("/admin/", "/admin/orders/", f"/admin/orders/details/?id={order.id}"):
        assert "<script>alert" not in owner.get(path).text
