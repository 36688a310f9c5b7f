"""What orders and carts know of a person: handed over, or erased down to what the books need."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import ColumnElement, Table, and_, delete, func, or_, select, update

from webapp.catalog.models import Product, ProductSku
from webapp.core.db import Base, db
from webapp.core.privacy import Chapter, Person, Tally, among, blot_out, lowered, rows_of, run
from webapp.orders.models import (
    Cart,
    CartSku,
    Checkout,
    Order,
    OrderBillingAddress,
    OrderDiscount,
    OrderDownload,
    OrderPayment,
    OrderRefund,
    OrderShippingAddress,
    OrderShippingMethod,
    OrderSku,
    OrderStatus,
    Shipment,
    ShipmentLine,
)
from webapp.orders.queries import LIVE
from webapp.orders.services.joining import take_buyers_turn

BATCH = 200
BOOKS = "What was sold, for how much, with which tax, when, to which country: kept by tax law."
PROMISES = "What a payment was opened for; an order of the books stands on it."
WANTED = "An order of the books was made of it; nothing says whose."

# The parts of an order in a person's copy, without what is only ours: staff and machinery.
PARTS: dict[str, tuple[type[Base], tuple[str, ...]]] = {
    "payment": (OrderPayment, ("id",)),
    "shipping_address": (OrderShippingAddress, ("id",)),
    "billing_address": (OrderBillingAddress, ("id",)),
    "lines": (OrderSku, ("stock_taken_at",)),
    "discounts": (OrderDiscount, ("id", "discount_code_id")),
    "shipping_method": (OrderShippingMethod, ("id",)),
    "history": (OrderStatus, ("id", "actor")),
    "shipments": (Shipment, ("actor",)),
    "refunds": (OrderRefund, ("id", "actor", "idempotency_key")),
    "downloads": (OrderDownload, ("id", "file_name")),
}
OUR_OWN = ("member_id", "prospect_id", "cart_id", "checkout_id", "request_id")


@dataclass(frozen=True, slots=True)
class Trail:
    """What leads from a person to what others noted: ids of orders and checkouts, and Stripe's.

    ``words`` are names, streets and numbers that stand in the orders.
    """

    orders: tuple[int, ...]
    checkouts: tuple[int, ...]
    references: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def order_subjects(self) -> list[str]:
        return [f"order:{order_id}" for order_id in self.orders]

    @property
    def subjects(self) -> list[str]:
        return self.order_subjects + [f"checkout:{checkout_id}" for checkout_id in self.checkouts]


def _owned(person: Person) -> ColumnElement[bool]:
    """Their member's orders, and guest orders of their addresses. Others' orders never."""
    guest = and_(
        Order.member_id.is_(None),
        or_(among(Order.prospect_id, person.prospects), among(Order.email, person.addresses)),
    )
    return or_(Order.member_id == person.member_id, guest) if person.member_id else guest


def _carts(person: Person) -> ColumnElement[bool]:
    guest = and_(Cart.user_id.is_(None), among(Cart.email, person.addresses))
    return or_(Cart.user_id == person.user_id, guest)


def chapters(person: Person) -> Iterator[Chapter]:
    yield Chapter(
        "orders",
        "What you bought, with payments, parcels and refunds. Amounts are in the smallest unit of "
        "their currency: cents of a dollar, whole yen.",
        _orders(person),
    )
    yield Chapter("carts", "Carts, also those you didn't buy.", _cart_rows(person))


def list_order_subjects(person: Person) -> list[str]:
    ids = db.session.scalars(select(Order.id).where(_owned(person)).order_by(Order.id))
    return [f"order:{order_id}" for order_id in ids]


def _orders(person: Person) -> Iterator[dict[str, Any]]:
    batch: list[dict[str, Any]] = []
    for row in rows_of(Order, _owned(person), leave_out=OUR_OWN):
        batch.append(row)
        if len(batch) == BATCH:
            yield from _with_parts(batch)
            batch = []
    yield from _with_parts(batch)


def _with_parts(orders: list[dict[str, Any]]) -> list[dict[str, Any]]:
    by_id = {order.pop("id"): order for order in orders}
    for name, (model, leave_out) in PARTS.items():
        for order in by_id.values():
            order[name] = []
        for row in _rows(model, "order_id", list(by_id), leave_out):
            by_id[row.pop("order_id")][name].append(row)
    shipments = {row["id"]: row for order in orders for row in order["shipments"]}
    for row in shipments.values():
        row["lines"] = []
    for row in _rows(ShipmentLine, "shipment_id", list(shipments), ("id",)):
        shipments[row.pop("shipment_id")]["lines"].append(row)
    return orders


def _rows(
    model: type[Base], column: str, ids: Sequence[Any], leave_out: Sequence[str]
) -> Iterator[dict[str, Any]]:
    table = cast(Table, model.__table__)
    columns = [each for each in table.columns if each.name not in leave_out]
    found = select(*columns).where(among(table.c[column], ids)).order_by(table.c.id)
    return (dict(row) for row in db.session.execute(found).mappings())


def _cart_rows(person: Person) -> Iterator[dict[str, Any]]:
    # A sku may be sold as part of several products: any of their names will do.
    title = (
        select(Product.title)
        .join(ProductSku, ProductSku.product_id == Product.id)
        .where(ProductSku.sku_id == CartSku.sku_id)
        .order_by(ProductSku.id)
        .limit(1)
        .scalar_subquery()
    )
    for row in rows_of(Cart, _carts(person), leave_out=("user_id",)):
        lines = select(title.label("title"), CartSku.quantity).where(
            CartSku.cart_id == row.pop("id")
        )
        found = db.session.execute(lines.order_by(CartSku.id)).mappings()
        yield row | {"lines": [dict(line) for line in found]}


def follow(person: Person) -> Trail:
    """Lock the person's orders, and return what leads from them to other traces."""
    for address in sorted(person.addresses):
        take_buyers_turn(address)
    orders = db.session.execute(
        select(Order.id, Order.checkout_id, Order.phone)
        .where(_owned(person))
        .order_by(Order.id)
        .with_for_update()
    ).all()
    ids = [row.id for row in orders]
    opened = db.session.execute(
        select(Checkout.id, Checkout.stripe_session_id)
        .join(Cart, Cart.id == Checkout.cart_id)
        .where(or_(_carts(person), among(Checkout.id, [row.checkout_id for row in orders])))
    ).all()
    paid = db.session.execute(
        select(OrderPayment.stripe_session_id, OrderPayment.stripe_payment_intent_id).where(
            among(OrderPayment.order_id, ids)
        )
    ).all()
    references = {row.stripe_session_id for row in opened}
    references |= {reference for row in paid for reference in row}
    words = {row.phone for row in orders} | set(_words(ids))
    return Trail(
        orders=tuple(ids),
        checkouts=tuple(row.id for row in opened),
        references=tuple(sorted(reference for reference in references if reference)),
        words=tuple(sorted(word for word in words if word)),
    )


def _words(orders: Sequence[int]) -> Iterator[str]:
    for model in (OrderShippingAddress, OrderBillingAddress):
        rows = select(model.name, model.line1).where(among(model.order_id, orders)).distinct()
        for row in db.session.execute(rows):
            yield from row


def erase(person: Person, trail: Trail, tally: Tally) -> None:
    """Take the person out of orders, checkouts and carts."""
    ids = trail.orders
    for model in (OrderShippingAddress, OrderBillingAddress):
        blank = dict.fromkeys(("name", "line1", "line2", "city", "state", "postal_code"), "")
        changed = run(update(model).where(among(model.order_id, ids)).values(blank))
        tally.anonymised(model.__tablename__, changed, "The country, which decides the tax.")
    _erase_handovers(ids, tally)
    _erase_staff(person, tally)
    changed = run(update(Order).where(among(Order.id, ids)).values(email="", phone=""))
    # Somebody else's order may name an address of theirs; the order stays that one's.
    named = update(Order).where(among(Order.email, person.addresses))
    tally.anonymised("order", changed + run(named.values(email="")), BOOKS)
    for part in (OrderPayment, OrderSku, OrderDiscount, OrderShippingMethod):
        kept = select(func.count()).select_from(part).where(among(part.order_id, ids))
        tally.kept(part.__tablename__, db.session.scalar(kept) or 0, BOOKS)
    _erase_carts(person, trail, tally)


def _erase_handovers(orders: Sequence[int], tally: Tally) -> None:
    parcels = update(Shipment).where(among(Shipment.order_id, orders))
    changed = run(parcels.values(tracking_number="", tracking_url=""))
    tally.anonymised("shipment", changed, "That a parcel was sent, when, and by which carrier.")
    refunds = update(OrderRefund).where(among(OrderRefund.order_id, orders))
    tally.anonymised("order_refund", run(refunds.values(reason="", error=None)), BOOKS)
    steps = update(OrderStatus).where(among(OrderStatus.order_id, orders), OrderStatus.note != "")
    tally.anonymised("order_status", run(steps.values(note="")), BOOKS)
    granted = delete(OrderDownload).where(among(OrderDownload.order_id, orders))
    tally.erased("order_download", run(granted))


def _erase_staff(person: Person, tally: Tally) -> None:
    """Histories name staff by their address: somebody who worked here stays as an id."""
    for address in person.addresses:
        for model in (OrderStatus, Shipment, OrderRefund):
            acted = update(model).where(lowered(model.actor) == address)
            changed = run(acted.values(actor=person.subject))
            tally.anonymised(model.__tablename__, changed, "Who of staff did it, by id.")
    for model, column in ((OrderStatus, OrderStatus.note), (OrderRefund, OrderRefund.reason)):
        changed = blot_out(model, column, person.addresses)
        tally.anonymised(model.__tablename__, changed, BOOKS)


def _erase_carts(person: Person, trail: Trail, tally: Tally) -> None:
    ended = among(Checkout.id, trail.checkouts), Checkout.state.not_in(LIVE)
    tally.anonymised("checkout", run(update(Checkout).where(*ended).values(url=None)), PROMISES)
    used = select(Checkout.id).where(Checkout.cart_id == Cart.id).exists()
    tally.erased("cart", run(delete(Cart).where(_carts(person), ~used)))
    # One that an order was made of stays, also if it was never tied to the person.
    of_orders = select(Order.cart_id).where(among(Order.id, trail.orders))
    mine = or_(_carts(person), Cart.id.in_(of_orders))
    unowned = {"user_id": None, "email": None, "updated_at": Cart.updated_at}
    changed = run(update(Cart).where(mine).values(unowned))
    named = update(Cart).where(among(Cart.email, person.addresses))
    changed += run(named.values(email=None, updated_at=Cart.updated_at))
    tally.anonymised("cart", changed, WANTED)
