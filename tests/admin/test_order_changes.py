"""Shipping an order, giving money back and calling it off."""

import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from admin.orders import refundable
from tests.admin.conftest import act, make_order, make_product
from tests.admin.rows import add_checkout, add_mail, reread
from webapp.catalog.models import SkuInventory
from webapp.core.models import Job
from webapp.messaging.models import Mail, MailState
from webapp.orders.models import NeedsAction, OrderState, RefundState


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


def test_an_order_that_needs_action_is_accepted_as_it_is(
    owner: FlaskClient, session: Session
) -> None:
    product = make_product(on_hand=5)
    order = make_order(lines=(("Wool hat", 2),), product=product, status=OrderState.NEEDS_ACTION)
    order.needs_action = NeedsAction.AMOUNT_MISMATCH
    order.checkout_id = add_checkout(session, order).id
    session.commit()
    assert "Accept and fulfil" in owner.get(f"/admin/orders/details/?id={order.id}").text
    act(owner, "/admin/orders/accept/", id=order.id)
    order = reread(session, order)
    assert order.status is OrderState.ACCEPTED
    job = session.scalars(select(Job)).one()
    assert (job.path, job.args) == ("jobs.orders.fulfil", [order.id])


def test_the_confirmation_is_sent_once_more(owner: FlaskClient, session: Session) -> None:
    order = make_order()
    sent = add_mail(session, order, "first", state=MailState.SENT)
    session.commit()
    notice = act(owner, "/admin/orders/confirm_again/".replace("_", "-"), id=order.id)
    assert "once more" in notice
    mails = session.scalars(select(Mail).order_by(Mail.id)).all()
    assert [mail.kind for mail in mails] == ["order_confirmation"] * 2
    assert mails[0].id == sent.id
    assert "already" in act(owner, "/admin/orders/confirm-again/", id=order.id)


def test_a_stuck_confirmation_is_the_one_that_is_sent(owner: FlaskClient, session: Session) -> None:
    order = make_order()
    stuck = add_mail(session, order, "first", state=MailState.UNKNOWN)
    session.commit()
    act(owner, "/admin/orders/confirm-again/", id=order.id)
    session.expire_all()
    assert session.scalars(select(Mail)).one().id == stuck.id
    assert stuck.state is MailState.PENDING
