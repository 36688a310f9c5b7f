"""The order: one transaction writes all of it, whichever of webhook and success page is first."""

from collections.abc import Iterable
from dataclasses import asdict

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert

from webapp.accounts.services.profile import make_member
from webapp.catalog.services import stock
from webapp.core import clock
from webapp.core.db import db
from webapp.core.queue import enqueue
from webapp.orders.models import (
    Cart,
    CartState,
    Checkout,
    CheckoutState,
    NeedsAction,
    Order,
    OrderBillingAddress,
    OrderCounter,
    OrderDiscount,
    OrderPayment,
    OrderShippingAddress,
    OrderShippingMethod,
    OrderSku,
    OrderState,
    OrderStatus,
    ReservationState,
)
from webapp.orders.pricing import Item, Quote, QuoteLine
from webapp.orders.queries import LIVE, find_order_by_session
from webapp.orders.services.codes import count_codes
from webapp.orders.services.history import release_held, tell_buyer
from webapp.orders.services.joining import find_guest_buyer
from webapp.orders.services.refunds import request_refund
from webapp.payments import gateway


def place_order(
    session: gateway.Session,
    checkout: Checkout | None,
    unknown_lines: list[gateway.SessionLine],
) -> Order:
    """Write the order of a paid session, or return the one it already has.

    ``checkout`` is locked by the caller, or None when we have no row for this payment; then
    ``unknown_lines`` is what Stripe says was bought. Money that
    can't simply become a parcel makes an order in ``needs_action``, and is refunded at once where
    nothing can be shipped. Flushes; the caller commits all of it or nothing.
    """
    existing = find_order_by_session(session.id)
    if existing is not None:
        return existing
    if checkout is None:
        return _place_unknown(session, unknown_lines)
    cart = db.session.get_one(Cart, checkout.cart_id, with_for_update=True)
    quote = Quote.from_json(checkout.quote)
    problem = _problem(session, checkout, cart)
    if problem is NeedsAction.PAID_TWICE:
        release_held(checkout.id)
    held = _hold_stock(checkout) if problem is not NeedsAction.PAID_TWICE else set()
    wanted = {line.item.sku_id for line in quote.lines}
    if problem is None and held != wanted:
        problem = NeedsAction.OUT_OF_STOCK
    order = _write(session, quote, checkout, cart, problem)
    if checkout.state not in LIVE and problem is None:
        count_codes(quote)
    checkout.state = CheckoutState.COMPLETE
    checkout.ended_at = clock.now()
    if problem is not NeedsAction.PAID_TWICE:
        cart.state = CartState.ORDERED
    db.session.flush()
    _follow_up(order, problem, refund=not held)
    return order


def _problem(session: gateway.Session, checkout: Checkout, cart: Cart) -> NeedsAction | None:
    if cart.state is CartState.ORDERED:
        return NeedsAction.PAID_TWICE
    if (session.amount_total, session.currency) != (checkout.total_amount, checkout.currency):
        return NeedsAction.AMOUNT_MISMATCH
    return None


def _hold_stock(checkout: Checkout) -> set[int]:
    """Return the skus held for this checkout, promising again what had been released."""
    held = set()
    for reservation in sorted(checkout.reservations, key=lambda each: each.sku_id):
        if reservation.state is ReservationState.RELEASED and stock.reserve(
            reservation.sku_id, reservation.quantity
        ):
            reservation.state = ReservationState.HELD
        if reservation.state is ReservationState.HELD:
            held.add(reservation.sku_id)
    return held


def _place_unknown(session: gateway.Session, lines: list[gateway.SessionLine]) -> Order:
    """A payment whose checkout we don't know (a restored backup): keep it, and give it back."""
    quote = Quote(
        currency=session.currency,
        lines=tuple(_unknown_line(each) for each in lines),
        items_amount=session.amount_total - session.amount_shipping,
        discounts=(),
        discount_amount=0,
        shipping=None,
        shipping_amount=session.amount_shipping,
        tax_name="",
        tax_amount=0,
        tax_included=False,
        total_amount=session.amount_total,
    )
    order = _write(session, quote, None, None, NeedsAction.UNKNOWN_CHECKOUT)
    _follow_up(order, NeedsAction.UNKNOWN_CHECKOUT, refund=True)
    return order


def _unknown_line(line: gateway.SessionLine) -> QuoteLine:
    unit_amount = line.amount_total // line.quantity
    item = Item(
        0, "", line.description, "", "", "service", line.quantity, unit_amount, 0, taxable=False
    )
    return QuoteLine(item, 0, 0, line.amount_total)


def _write(
    session: gateway.Session,
    quote: Quote,
    checkout: Checkout | None,
    cart: Cart | None,
    problem: NeedsAction | None,
) -> Order:
    member, prospect_id = _buyer(session, cart)
    twice = problem is NeedsAction.PAID_TWICE
    order = Order(
        number=_next_number(),
        checkout_id=checkout.id if checkout else None,
        cart_id=cart.id if cart and not twice else None,
        member_id=member,
        prospect_id=prospect_id,
        email=session.email,
        phone=session.phone,
        currency=quote.currency,
        items_amount=quote.items_amount,
        discount_amount=quote.discount_amount,
        shipping_amount=quote.shipping_amount,
        tax_amount=quote.tax_amount,
        tax_included=quote.tax_included,
        tax_name=quote.tax_name,
        total_amount=quote.total_amount,
        status=OrderState.NEEDS_ACTION if problem else OrderState.ACCEPTED,
        needs_action=problem,
        request_id=checkout.request_id if checkout else None,
    )
    db.session.add(order)
    db.session.flush()
    db.session.add_all(_parts(order, session, quote))
    db.session.flush()
    return order


def _parts(order: Order, session: gateway.Session, quote: Quote) -> Iterable[object]:
    yield OrderPayment(
        order_id=order.id,
        stripe_session_id=session.id,
        stripe_payment_intent_id=session.payment_intent,
        amount=session.amount_total,
        currency=session.currency,
    )
    if session.shipping is not None:
        yield OrderShippingAddress(order_id=order.id, **asdict(session.shipping))
    yield OrderBillingAddress(order_id=order.id, **asdict(session.billing))
    for position, line in enumerate(quote.lines, start=1):
        yield _order_line(order.id, position, line)
    for each in quote.discounts:
        yield OrderDiscount(order_id=order.id, **asdict(each))
    if quote.shipping is not None:
        yield OrderShippingMethod(
            order_id=order.id,
            code=quote.shipping.code,
            name=quote.shipping.name,
            carrier=quote.shipping.carrier,
            amount=quote.shipping_amount,
        )
    yield OrderStatus(order_id=order.id, status=order.status, note=_note(order))


def _order_line(order_id: int, position: int, line: QuoteLine) -> OrderSku:
    item = line.item
    return OrderSku(
        order_id=order_id,
        sku_id=item.sku_id or None,
        position=position,
        title=item.title,
        options_text=item.options_text,
        code=item.code,
        kind=item.kind,
        quantity=item.quantity,
        unit_amount=item.unit_amount,
        discount_amount=line.discount_amount,
        tax_amount=line.tax_amount,
        total_amount=line.total_amount,
        weight_grams=item.weight_grams,
    )


def _note(order: Order) -> str:
    return order.needs_action.value.replace("_", " ").capitalize() if order.needs_action else ""


def _buyer(session: gateway.Session, cart: Cart | None) -> tuple[int | None, int | None]:
    """Return the member behind the cart, else the member or prospect of the payment's address."""
    if cart is not None and cart.user_id is not None:
        return make_member(cart.user_id).id, None
    return find_guest_buyer(session.email, session.name)


def _next_number() -> int:
    """Take the next order number; the row stays locked until the commit, so none is lost."""
    db.session.execute(insert(OrderCounter).values(id=1, last_number=1000).on_conflict_do_nothing())
    return db.session.execute(
        update(OrderCounter)
        .values(last_number=OrderCounter.last_number + 1)
        .returning(OrderCounter.last_number)
    ).scalar_one()


def _follow_up(order: Order, problem: NeedsAction | None, *, refund: bool) -> None:
    if problem is None:
        enqueue(
            "jobs.orders.fulfil", order.id, subject=f"order:{order.id}", key=f"fulfil:{order.id}"
        )
    elif not refund:
        tell_buyer("order_needs_action", order, str(order.id))
    elif order.payment.stripe_payment_intent_id is not None:
        request_refund(order.id, None, problem.value, "system")
