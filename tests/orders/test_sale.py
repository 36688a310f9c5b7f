"""From a cart to a fulfilled order, on Stripe's stand-in, through webhook and success page."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, func, select

from tests.factories.catalog import make_sku
from tests.factories.sales import StripeDesk, check_out, deliver, make_cart, make_shipping
from webapp.accounts.models import Prospect
from webapp.catalog.models import SkuInventory
from webapp.core import clock
from webapp.core.db import Base, db
from webapp.doctor import examine
from webapp.messaging.models import Mail
from webapp.orders.errors import SoldOut, TotalChanged
from webapp.orders.models import (
    Cart,
    CartState,
    Checkout,
    CheckoutState,
    DiscountCode,
    DiscountKind,
    NeedsAction,
    Order,
    OrderBillingAddress,
    OrderDiscount,
    OrderPayment,
    OrderRefund,
    OrderShippingAddress,
    OrderShippingMethod,
    OrderSku,
    OrderState,
    OrderStatus,
    RefundState,
)
from webapp.orders.services import settlement
from webapp.orders.services.cart import apply_discount
from webapp.orders.services.checkout import open_checkout

RunJobs = Callable[[], int]


@pytest.fixture
def checkout(stripe_desk: StripeDesk) -> Checkout:
    """An open checkout of two bowls, five being in stock."""
    make_shipping()
    return check_out(make_cart((make_sku(stock=5).id, 2)))


def drain() -> None:
    from jobs.payments import drain_events

    drain_events()


def inventory() -> tuple[int, int]:
    found = db.session.scalars(select(SkuInventory).execution_options(populate_existing=True)).one()
    return found.on_hand, found.reserved


def the_order() -> Order:
    return db.session.scalars(select(Order).execution_options(populate_existing=True)).one()


def assert_healthy() -> None:
    report = examine(ask_stripe=False)
    assert report["healthy"], [check for check in report["checks"] if not check["ok"]]


def test_a_paid_session_becomes_a_fulfilled_order(
    client: FlaskClient, stripe_desk: StripeDesk, checkout: Checkout, run_jobs: RunJobs
) -> None:
    assert inventory() == (5, 2)
    stripe_desk.pay(checkout)
    assert set(stripe_desk.deliver(client)) == {200}
    drain()
    order = the_order()
    assert (order.number, order.status) == (1001, OrderState.ACCEPTED)
    assert (order.items_amount, order.shipping_amount, order.total_amount) == (5000, 590, 5590)
    assert order.payment.amount == 5590
    assert order.email == "alice@example.com"
    assert db.session.get_one(Cart, order.cart_id).state is CartState.ORDERED
    run_jobs()
    assert the_order().status is OrderState.IN_FULFILMENT
    assert inventory() == (3, 0)
    assert [mail.kind for mail in db.session.scalars(select(Mail))] == ["order_confirmation"]
    assert_healthy()


def test_the_success_page_makes_the_order_when_the_webhook_is_late(
    client: FlaskClient, stripe_desk: StripeDesk, checkout: Checkout, run_jobs: RunJobs
) -> None:
    stripe_desk.pay(checkout)
    order = settlement.find_or_place_order(checkout.stripe_session_id or "")
    db.session.commit()
    assert order is not None
    stripe_desk.deliver(client)
    drain()
    run_jobs()
    assert the_order().id == order.id
    assert db.session.scalar(select(func.count(Mail.id))) == 1
    assert_healthy()


def test_every_event_twice_and_backwards_changes_nothing(
    client: FlaskClient, stripe_desk: StripeDesk, checkout: Checkout, run_jobs: RunJobs
) -> None:
    stripe_desk.pay(checkout)
    events = stripe_desk.events()
    for each in [*reversed(events), *events]:
        assert deliver(client, each).status_code == 200
        drain()
    run_jobs()
    assert the_order().status is OrderState.IN_FULFILMENT
    assert db.session.scalar(select(func.count(Mail.id))) == 1


def test_an_expired_session_releases_the_stock(
    client: FlaskClient, stripe_desk: StripeDesk, checkout: Checkout
) -> None:
    stripe_desk.expire(checkout)
    stripe_desk.deliver(client)
    drain()
    assert inventory() == (5, 0)
    assert db.session.get_one(Checkout, checkout.id).state is CheckoutState.EXPIRED
    assert_healthy()


def test_a_slow_payment_keeps_the_stock_until_it_arrives(
    client: FlaskClient, stripe_desk: StripeDesk, checkout: Checkout, run_jobs: RunJobs
) -> None:
    stripe_desk.pay(checkout, payment_method="bank_debit")
    stripe_desk.deliver(client)
    drain()
    assert db.session.get_one(Checkout, checkout.id).state is CheckoutState.PROCESSING
    assert inventory() == (5, 2)
    stripe_desk.settle_async(checkout, "succeeded")
    stripe_desk.deliver(client)
    drain()
    run_jobs()
    assert the_order().status is OrderState.IN_FULFILMENT


def test_a_slow_payment_that_fails_releases_the_stock(
    client: FlaskClient, stripe_desk: StripeDesk, checkout: Checkout
) -> None:
    stripe_desk.pay(checkout, payment_method="bank_debit")
    stripe_desk.settle_async(checkout, "failed")
    stripe_desk.deliver(client)
    drain()
    assert inventory() == (5, 0)
    assert db.session.scalar(select(func.count(Order.id))) == 0


def test_money_for_what_is_gone_is_kept_visible_and_given_back(
    client: FlaskClient, stripe_desk: StripeDesk, checkout: Checkout, run_jobs: RunJobs
) -> None:
    stripe_desk.pay(checkout)
    settlement.give_up(checkout.id, CheckoutState.EXPIRED)
    db.session.query(SkuInventory).update({"on_hand": 1})
    db.session.commit()
    stripe_desk.deliver(client)
    drain()
    order = the_order()
    assert (order.status, order.needs_action) == (
        OrderState.NEEDS_ACTION,
        NeedsAction.OUT_OF_STOCK,
    )
    run_jobs()
    assert the_order().status is OrderState.REFUNDED
    refund = db.session.scalars(select(OrderRefund)).one()
    assert (refund.state, refund.amount) == (RefundState.SUCCEEDED, 5590)
    assert [mail.kind for mail in db.session.scalars(select(Mail))] == ["order_refunded"]
    assert inventory() == (1, 0)
    assert_healthy()


def test_a_late_payment_takes_released_stock_again_when_it_is_there(
    client: FlaskClient, stripe_desk: StripeDesk, checkout: Checkout, run_jobs: RunJobs
) -> None:
    stripe_desk.pay(checkout)
    settlement.give_up(checkout.id, CheckoutState.EXPIRED)
    db.session.commit()
    stripe_desk.deliver(client)
    drain()
    run_jobs()
    assert the_order().status is OrderState.IN_FULFILMENT
    assert inventory() == (3, 0)
    assert_healthy()


def test_another_amount_than_the_carts_waits_for_a_person(
    client: FlaskClient, stripe_desk: StripeDesk, checkout: Checkout
) -> None:
    stripe_desk.pay(checkout)
    checkout.total_amount = 4000
    db.session.commit()
    stripe_desk.deliver(client)
    drain()
    order = the_order()
    assert order.needs_action is NeedsAction.AMOUNT_MISMATCH
    assert order.payment.amount == 5590
    assert_healthy()


def test_a_payment_without_a_checkout_is_kept_and_given_back(
    client: FlaskClient, stripe_desk: StripeDesk, checkout: Checkout, run_jobs: RunJobs
) -> None:
    stripe_desk.pay(checkout)
    checkout.stripe_session_id = "cs_other"
    db.session.commit()
    stripe_desk.deliver(client)
    drain()
    assert the_order().needs_action is NeedsAction.UNKNOWN_CHECKOUT
    run_jobs()
    assert the_order().status is OrderState.REFUNDED


def test_the_sweep_finds_what_no_webhook_told(
    app: object, stripe_desk: StripeDesk, checkout: Checkout
) -> None:
    from jobs.orders import sweep_paid_sessions

    stripe_desk.pay(checkout)
    sweep_paid_sessions()
    sweep_paid_sessions()
    assert the_order().status is OrderState.ACCEPTED


NINE_WRITES: list[type[Base]] = [
    OrderPayment,
    OrderShippingAddress,
    OrderBillingAddress,
    Prospect,
    Order,
    OrderSku,
    OrderDiscount,
    OrderShippingMethod,
    OrderStatus,
]


@pytest.mark.parametrize("model", NINE_WRITES)
def test_a_fault_at_any_write_leaves_nothing_and_the_retry_makes_the_order(
    client: FlaskClient, stripe_desk: StripeDesk, model: type[Base], run_jobs: RunJobs
) -> None:
    make_shipping()
    cart_id = make_cart((make_sku(stock=5).id, 2))
    db.session.add(DiscountCode(code="TEN", kind=DiscountKind.PERCENT, value=1000))
    db.session.commit()
    apply_discount(cart_id, "ten")
    checkout = check_out(cart_id)
    stripe_desk.pay(checkout)
    stripe_desk.deliver(client)
    table = model.__tablename__

    def fail(_conn: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith((f"INSERT INTO {table} ", f'INSERT INTO "{table}" ')):
            raise RuntimeError(f"{table} broke")

    engine = db.session.get_bind()
    event.listen(engine, "before_cursor_execute", fail)
    try:
        drain()
    finally:
        event.remove(engine, "before_cursor_execute", fail)
    for each in NINE_WRITES:
        assert db.session.scalar(select(func.count()).select_from(each)) == 0
    assert inventory() == (5, 2)
    with clock.frozen(clock.now() + timedelta(minutes=2)):
        drain()
    order = the_order()
    assert (order.number, order.total_amount, order.discount_amount) == (1001, 5090, 500)
    run_jobs()
    assert_healthy()


def test_the_last_piece_is_refused_to_the_second(stripe_desk: StripeDesk) -> None:
    make_shipping()
    sku = make_sku(stock=1)
    first, second = make_cart((sku.id, 1)), make_cart((sku.id, 1))
    check_out(first)
    with pytest.raises(SoldOut, match="sold out"):
        check_out(second)
    db.session.rollback()
    assert inventory() == (1, 1)


def test_a_price_that_changed_is_shown_before_it_is_charged(stripe_desk: StripeDesk) -> None:
    make_shipping()
    cart_id = make_cart((make_sku().id, 1))
    with pytest.raises(TotalChanged):
        open_checkout(cart_id, 1, "usd", None)


def test_pressing_twice_opens_one_session(stripe_desk: StripeDesk, checkout: Checkout) -> None:
    again = check_out(checkout.cart_id)
    assert again.id == checkout.id
    assert len(stripe_desk.client.v1.checkout.sessions.list().data) == 1


def test_a_changed_cart_closes_the_old_session(stripe_desk: StripeDesk, checkout: Checkout) -> None:
    from webapp.orders.services.cart import set_quantity

    sku_id = checkout.reservations[0].sku_id
    old = checkout.stripe_session_id or ""
    set_quantity(checkout.cart_id, sku_id, 3)
    db.session.commit()
    new = check_out(checkout.cart_id)
    assert new.id != checkout.id
    assert stripe_desk.client.v1.checkout.sessions.retrieve(old).status == "expired"
    assert inventory() == (5, 3)


def test_a_process_that_died_before_stripe_answered_is_settled(
    stripe_desk: StripeDesk, checkout: Checkout
) -> None:
    from jobs.orders import settle_checkouts

    checkout.state = CheckoutState.OPENING
    checkout.stripe_session_id = None
    db.session.commit()
    with clock.frozen(clock.now() + timedelta(minutes=3)):
        settle_checkouts()
    assert inventory() == (5, 0)
    session = stripe_desk.client.v1.checkout.sessions.list().data[0]
    assert session.status == "expired"


def test_stripe_away_charges_nothing_and_says_so(
    stripe_desk: StripeDesk, client: FlaskClient
) -> None:
    from webapp.orders.errors import CheckoutUnavailable

    make_shipping()
    cart_id = make_cart((make_sku().id, 1))
    stripe_desk.control("fail", route="POST /v1/checkout/sessions", status=500, times=10)
    with pytest.raises(CheckoutUnavailable, match="Nothing was charged"):
        check_out(cart_id)
    db.session.rollback()
