"""After the payment: parcels, downloads, cancellations, refunds, and orders that need a person."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from tests.factories.catalog import make_sku
from tests.factories.sales import StripeDesk, check_out, make_cart, make_shipping
from webapp.catalog.models import SkuInventory, SkuKind
from webapp.core import clock
from webapp.core.db import db
from webapp.core.state import current_fork
from webapp.doctor import examine
from webapp.messaging.models import Mail
from webapp.orders.errors import InvalidRefund, InvalidShipment, WrongState
from webapp.orders.models import (
    CheckoutState,
    Order,
    OrderRefund,
    OrderState,
    RefundState,
)
from webapp.orders.queries import view_order
from webapp.orders.services import fulfilment, settlement
from webapp.orders.services.refunds import request_refund

RunJobs = Callable[[], int]


@pytest.fixture
def buy(stripe_desk: StripeDesk, run_jobs: RunJobs) -> Callable[..., Order]:
    """Buy ``(sku_id, quantity)`` lines; returns the fulfilled order."""
    make_shipping()

    def buy(*lines: tuple[int, int]) -> Order:
        checkout = check_out(make_cart(*lines))
        stripe_desk.pay(checkout)
        settlement.settle_session(checkout.stripe_session_id or "")
        db.session.commit()
        run_jobs()
        newest = select(Order).order_by(Order.id.desc()).limit(1)
        return db.session.scalars(newest.execution_options(populate_existing=True)).one()

    return buy


def mails() -> list[str]:
    return list(db.session.scalars(select(Mail.kind).order_by(Mail.id)))


def on_hand(sku_id: int) -> int:
    return db.session.get_one(SkuInventory, sku_id, populate_existing=True).on_hand


def state_of(order: Order) -> OrderState:
    return order.status


def assert_healthy() -> None:
    assert [c["name"] for c in examine(ask_stripe=False)["checks"] if not c["ok"]] == []


def test_shipping_all_tells_the_buyer(buy: Callable[..., Order]) -> None:
    order = buy((make_sku().id, 2))
    shipment = fulfilment.ship(order.id, "UPS", "1Z 999", None, "staff:alice")
    db.session.commit()
    assert shipment.tracking_url == "https://www.ups.com/track?tracknum=1Z%20999"
    assert state_of(order) is OrderState.SHIPPED
    assert mails() == ["order_confirmation", "order_shipped"]
    fulfilment.mark_delivered(order.id, "staff:alice")
    assert [step.status for step in view_order(order.id).history] == [
        "accepted",
        "in_fulfilment",
        "shipped",
        "delivered",
    ]


def test_a_parcel_may_hold_a_part(buy: Callable[..., Order]) -> None:
    order = buy((make_sku().id, 3))
    line = order.lines[0]
    fulfilment.ship(order.id, "UPS", "1", {line.id: 1}, "staff:alice")
    assert state_of(order) is OrderState.PARTIALLY_SHIPPED
    with pytest.raises(InvalidShipment, match="more pieces than are left"):
        fulfilment.ship(order.id, "UPS", "2", {line.id: 3}, "staff:alice")
    fulfilment.ship(order.id, "UPS", "2", None, "staff:alice")
    assert state_of(order) is OrderState.SHIPPED
    assert mails().count("order_shipped") == 2


@pytest.mark.parametrize("quantity", [0, -1, 99])
def test_an_impossible_parcel_is_refused(buy: Callable[..., Order], quantity: int) -> None:
    order = buy((make_sku().id, 1))
    with pytest.raises(InvalidShipment):
        fulfilment.ship(order.id, "UPS", "1", {order.lines[0].id: quantity}, "staff:alice")


def test_what_is_shipped_is_not_shipped_or_cancelled_again(buy: Callable[..., Order]) -> None:
    order = buy((make_sku().id, 1))
    fulfilment.ship(order.id, "UPS", "1", None, "staff:alice")
    with pytest.raises(WrongState, match="is shipped"):
        fulfilment.ship(order.id, "UPS", "1", None, "staff:alice")
    with pytest.raises(WrongState, match="can't be cancelled"):
        fulfilment.cancel(order.id, "staff:alice", restock=True)


def test_fulfilling_twice_takes_the_stock_once(buy: Callable[..., Order]) -> None:
    sku = make_sku(stock=5)
    order = buy((sku.id, 2))
    fulfilment.fulfil(order.id)
    assert on_hand(sku.id) == 3
    assert mails() == ["order_confirmation"]


@pytest.mark.parametrize(("restock", "left"), [(True, 5), (False, 3)])
def test_cancelling_gives_the_money_back_and_the_stock_by_choice(
    buy: Callable[..., Order], run_jobs: RunJobs, restock: bool, left: int
) -> None:
    sku = make_sku(stock=5)
    order = buy((sku.id, 2))
    fulfilment.cancel(order.id, "staff:alice", restock=restock)
    db.session.commit()
    run_jobs()
    db.session.expire_all()
    assert state_of(order) is OrderState.CANCELLED
    assert order.payment.amount_refunded == order.total_amount
    assert on_hand(sku.id) == left
    assert_healthy()


def test_a_part_can_be_refunded_until_nothing_is_left(
    buy: Callable[..., Order], run_jobs: RunJobs
) -> None:
    order = buy((make_sku(price=2000).id, 1))
    request_refund(order.id, 500, "scratched", "staff:alice")
    db.session.commit()
    run_jobs()
    db.session.expire_all()
    assert state_of(order) is OrderState.IN_FULFILMENT
    assert OrderState.PARTIALLY_REFUNDED in [step.status for step in order.history]
    with pytest.raises(InvalidRefund, match="at most what is left"):
        request_refund(order.id, 2500, "", "staff:alice")
    request_refund(order.id, None, "rest", "staff:alice")
    db.session.commit()
    run_jobs()
    db.session.expire_all()
    assert state_of(order) is OrderState.REFUNDED
    assert order.payment.amount_refunded == 2590
    with pytest.raises(InvalidRefund, match="nothing left"):
        request_refund(order.id, 1, "", "staff:alice")
    assert_healthy()


def test_a_refund_asked_for_twice_is_made_once(
    buy: Callable[..., Order], run_jobs: RunJobs, stripe_desk: StripeDesk
) -> None:
    from jobs.orders import refund as carry_out

    order = buy((make_sku().id, 1))
    asked = request_refund(order.id, None, "", "staff:alice")
    db.session.commit()
    asked_id = asked.id
    run_jobs()
    db.session.get_one(OrderRefund, asked_id).state = RefundState.REQUESTED
    db.session.commit()
    carry_out(asked_id)
    assert len(stripe_desk.client.v1.refunds.list().data) == 1
    assert mails().count("order_refunded") == 1


def test_a_refund_made_at_stripe_is_seen(
    client: FlaskClient, buy: Callable[..., Order], stripe_desk: StripeDesk
) -> None:
    from jobs.payments import drain_events

    order = buy((make_sku().id, 1))
    intent = order.payment.stripe_payment_intent_id or ""
    stripe_desk.client.v1.refunds.create({"payment_intent": intent, "amount": 100})
    stripe_desk.deliver(client)
    drain_events()
    db.session.expire_all()
    assert OrderState.PARTIALLY_REFUNDED in [step.status for step in order.history]
    assert order.payment.amount_refunded == 100
    assert_healthy()


def test_digital_goods_are_delivered_at_once(
    app: Flask, client: FlaskClient, buy: Callable[..., Order]
) -> None:
    folder = current_fork().upload_folder / "downloads"
    folder.mkdir(parents=True, exist_ok=True)
    Path(folder, "song.mp3").write_bytes(b"la la")
    sku = make_sku("Song", kind=SkuKind.DIGITAL, stock=None, download_file="song.mp3")
    order = buy((sku.id, 1))
    assert state_of(order) is OrderState.DELIVERED
    assert mails() == ["order_confirmation", "order_downloads"]
    url = view_order(order.id).downloads[0].url.removeprefix("http://localhost")
    answer = client.get(url)
    assert (answer.status_code, answer.data) == (200, b"la la")
    assert client.get(url[:-3] + "AAA").status_code == 404
    with clock.frozen(clock.now() + timedelta(days=31)):
        assert client.get(url).status_code == 410


def test_a_late_payment_can_be_accepted_once_the_stock_is_back(
    buy: Callable[..., Order], stripe_desk: StripeDesk, run_jobs: RunJobs
) -> None:
    bowl, cup = make_sku("Bowl", stock=5), make_sku("Cup", stock=5)
    checkout = check_out(make_cart((bowl.id, 1), (cup.id, 1)))
    stripe_desk.pay(checkout)
    settlement.give_up(checkout.id, CheckoutState.EXPIRED)
    inventory = db.session.get_one(SkuInventory, cup.id)
    inventory.on_hand = 0
    db.session.commit()
    settlement.settle_session(checkout.stripe_session_id or "")
    db.session.commit()
    run_jobs()
    order = db.session.scalars(select(Order)).one()
    assert state_of(order) is OrderState.NEEDS_ACTION
    assert order.refunds == []
    with pytest.raises(WrongState, match="still out of stock"):
        fulfilment.accept(order.id, "staff:alice")
    db.session.rollback()
    db.session.get_one(SkuInventory, cup.id).on_hand = 1
    db.session.commit()
    fulfilment.accept(order.id, "staff:alice")
    db.session.commit()
    run_jobs()
    db.session.expire_all()
    assert state_of(order) is OrderState.IN_FULFILMENT
    assert_healthy()


def test_the_status_page_opens_by_its_link_alone(
    client: FlaskClient, buy: Callable[..., Order]
) -> None:
    order = buy((make_sku("Oak Bowl").id, 1))
    path = view_order(order.id).status_url.removeprefix("http://localhost")
    answer = client.get(path)
    assert answer.status_code == 200
    assert "Oak Bowl" in answer.text
    assert str(order.number) in answer.text
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert client.get(path[:-2]).status_code == 404
    assert client.get("/orders/status/1").status_code == 404
