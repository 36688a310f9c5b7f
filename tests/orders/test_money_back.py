"""Refunds, cancellations and limits in every order of events: nothing leaks, nothing goes twice."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from jobs.payments import drain_events
from tests.factories.catalog import make_sku
from tests.factories.sales import StripeDesk, check_out, make_cart, make_shipping
from webapp.catalog.models import SkuInventory
from webapp.core import clock
from webapp.core.db import db
from webapp.doctor import examine
from webapp.messaging.models import Mail
from webapp.orders.errors import TotalChanged, WrongState
from webapp.orders.models import (
    Checkout,
    CheckoutState,
    DiscountCode,
    DiscountKind,
    Order,
    OrderRefund,
    OrderState,
    RefundState,
)
from webapp.orders.services import fulfilment, refunds, settlement
from webapp.orders.services.cart import apply_discount
from webapp.orders.services.refunds import request_refund

RunJobs = Callable[[], int]


@pytest.fixture
def checkout(stripe_desk: StripeDesk) -> Checkout:
    make_shipping()
    return check_out(make_cart((make_sku(stock=5).id, 2)))


def place(desk: StripeDesk, checkout: Checkout, **how: object) -> Order:
    desk.pay(checkout, **how)
    settlement.settle_session(checkout.stripe_session_id or "")
    db.session.commit()
    return the_order()


def the_order() -> Order:
    newest = select(Order).order_by(Order.id.desc()).limit(1)
    return db.session.scalars(newest.execution_options(populate_existing=True)).one()


def reload() -> Order:
    db.session.expire_all()
    return the_order()


def inventory() -> tuple[int, int]:
    found = db.session.scalars(select(SkuInventory).execution_options(populate_existing=True)).one()
    return found.on_hand, found.reserved


def broken() -> list[str]:
    return [check["name"] for check in examine(ask_stripe=False)["checks"] if not check["ok"]]


def mails() -> list[str]:
    return list(db.session.scalars(select(Mail.kind).order_by(Mail.id)))


def test_refunding_an_order_that_needs_action_frees_its_stock(
    stripe_desk: StripeDesk, checkout: Checkout, run_jobs: RunJobs
) -> None:
    checkout.total_amount = 1
    db.session.commit()
    order = place(stripe_desk, checkout)
    assert mails() == ["order_needs_action"]
    request_refund(order.id, None, "", "staff:alice")
    db.session.commit()
    run_jobs()
    assert reload().status is OrderState.REFUNDED
    assert inventory() == (5, 0)
    assert broken() == []


def test_a_part_given_back_early_does_not_stop_fulfilment(
    stripe_desk: StripeDesk, checkout: Checkout
) -> None:
    order = place(stripe_desk, checkout)
    asked = request_refund(order.id, 100, "", "staff:alice")
    db.session.commit()
    refunds.carry_out(asked.id)
    assert reload().status is OrderState.ACCEPTED
    fulfilment.fulfil(order.id)
    db.session.commit()
    assert inventory() == (3, 0)
    assert "order_confirmation" in mails()
    assert broken() == []


def test_cancelling_after_a_part_gives_the_rest_back(
    stripe_desk: StripeDesk, checkout: Checkout, run_jobs: RunJobs
) -> None:
    order = place(stripe_desk, checkout)
    request_refund(order.id, 1000, "", "staff:alice")
    fulfilment.cancel(order.id, "staff:alice", restock=True)
    db.session.commit()
    run_jobs()
    order = reload()
    assert (order.status, order.payment.amount_refunded) == (OrderState.CANCELLED, 5590)
    assert inventory() == (5, 0)
    assert broken() == []


def test_nothing_is_shipped_while_all_the_money_goes_back(
    stripe_desk: StripeDesk, checkout: Checkout, run_jobs: RunJobs
) -> None:
    order = place(stripe_desk, checkout)
    run_jobs()
    request_refund(order.id, None, "", "staff:alice")
    with pytest.raises(WrongState, match="on its way back"):
        fulfilment.ship(order.id, "UPS", "1", None, "staff:alice")


def test_a_form_sent_twice_refunds_and_ships_once(
    stripe_desk: StripeDesk, checkout: Checkout, run_jobs: RunJobs
) -> None:
    order = place(stripe_desk, checkout)
    run_jobs()
    first = request_refund(order.id, 100, "", "staff:alice", "wish-1")
    assert request_refund(order.id, 100, "", "staff:alice", "wish-1").id == first.id
    line = order.lines[0]
    fulfilment.ship(order.id, "UPS", "1", {line.id: 1}, "staff:alice", seen_parcels=0)
    with pytest.raises(WrongState, match="changed meanwhile"):
        fulfilment.ship(order.id, "UPS", "1", {line.id: 1}, "staff:alice", seen_parcels=0)


def test_an_address_no_mail_can_go_to_does_not_lose_the_refund(
    stripe_desk: StripeDesk, checkout: Checkout, run_jobs: RunJobs
) -> None:
    order = place(stripe_desk, checkout)
    order.email = "a(b)@example.com"
    db.session.commit()
    run_jobs()
    request_refund(order.id, None, "", "staff:alice")
    db.session.commit()
    run_jobs()
    assert reload().status is OrderState.REFUNDED


def test_a_free_order_that_needs_action_is_still_an_order(
    stripe_desk: StripeDesk, app: object
) -> None:
    make_shipping(amount=0)
    db.session.add(DiscountCode(code="ALL", kind=DiscountKind.PERCENT, value=10_000))
    db.session.commit()
    cart_id = make_cart((make_sku(stock=1).id, 1))
    apply_discount(cart_id, "ALL")
    checkout = check_out(cart_id)
    settlement.give_up(checkout.id, CheckoutState.EXPIRED)
    db.session.query(SkuInventory).update({"on_hand": 0})
    db.session.commit()
    order = place(stripe_desk, checkout)
    assert order.status is OrderState.NEEDS_ACTION


def test_a_code_per_customer_holds_over_several_carts(stripe_desk: StripeDesk) -> None:
    make_shipping()
    sku = make_sku(stock=9)
    db.session.add(DiscountCode(code="HI", kind=DiscountKind.PERCENT, value=1000, customer_limit=1))
    db.session.commit()
    carts = [make_cart((sku.id, 1)) for _ in range(2)]
    for cart_id in carts:
        apply_discount(cart_id, "HI", "alice@example.com")
    db.session.commit()
    check_out(carts[0])
    with pytest.raises(TotalChanged, match="used the code HI already"):
        check_out(carts[1])


def test_the_last_use_of_a_code_stays_with_the_cart_that_has_it(stripe_desk: StripeDesk) -> None:
    make_shipping()
    db.session.add(DiscountCode(code="ONE", kind=DiscountKind.PERCENT, value=1000, total_limit=1))
    db.session.commit()
    cart_id = make_cart((make_sku().id, 1))
    apply_discount(cart_id, "ONE")
    db.session.commit()
    assert check_out(cart_id).id == check_out(cart_id).id


def test_a_refund_told_before_its_order_waits_for_it(
    client: FlaskClient, stripe_desk: StripeDesk, checkout: Checkout, run_jobs: RunJobs
) -> None:
    stripe_desk.pay(checkout)
    session = stripe_desk.client.v1.checkout.sessions.retrieve(checkout.stripe_session_id or "")
    stripe_desk.client.v1.refunds.create({"payment_intent": str(session.payment_intent)})
    stripe_desk.deliver(client, "charge.refunded")
    drain_events()
    stripe_desk.deliver(client, "checkout.session.completed")
    drain_events()
    with clock.frozen(clock.now() + timedelta(minutes=5)):
        drain_events()
    assert reload().status is OrderState.REFUNDED
    run_jobs()
    assert inventory() == (5, 0)
    assert mails() == ["order_refunded"]


def test_an_older_answer_does_not_reopen_a_refund(
    stripe_desk: StripeDesk, checkout: Checkout, run_jobs: RunJobs
) -> None:
    order = place(stripe_desk, checkout)
    run_jobs()
    asked = request_refund(order.id, 100, "", "staff:alice")
    db.session.commit()
    run_jobs()
    row = db.session.get_one(OrderRefund, asked.id)
    assert refunds._newer(row, RefundState.PENDING) is RefundState.SUCCEEDED
    assert refunds._newer(row, RefundState.FAILED) is RefundState.FAILED


def test_a_slow_payment_that_fails_is_told_by_mail(
    client: FlaskClient, stripe_desk: StripeDesk, checkout: Checkout
) -> None:
    stripe_desk.pay(checkout, payment_method="bank_debit")
    stripe_desk.settle_async(checkout, "failed")
    stripe_desk.deliver(client)
    drain_events()
    mail = db.session.scalars(select(Mail)).one()
    assert mail.subject == "Your payment did not arrive"
    assert "2 x Oak Bowl" in mail.text


def test_one_session_that_can_not_be_settled_does_not_stop_the_sweep(
    stripe_desk: StripeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobs.orders import sweep_paid_sessions

    make_shipping()
    sku = make_sku(stock=9)
    poisoned, sound = (check_out(make_cart((sku.id, 1))) for _ in range(2))
    for each in (poisoned, sound):
        stripe_desk.pay(each)
    settle = settlement.settle_session

    def fail_for_one(session_id: str) -> str | None:
        if session_id == poisoned.stripe_session_id:
            raise RuntimeError("poison")
        return settle(session_id)

    monkeypatch.setattr(settlement, "settle_session", fail_for_one)
    sweep_paid_sessions()
    assert the_order().checkout_id == sound.id
