"""From paid to delivered: stock taken, mails posted, parcels and downloads handed over."""

from datetime import timedelta

from sqlalchemy import select

from webapp.catalog.models import Sku
from webapp.catalog.services import stock
from webapp.core import clock
from webapp.core.db import db
from webapp.core.queue import enqueue
from webapp.orders.carriers import tracking_url
from webapp.orders.errors import InvalidShipment, WrongState
from webapp.orders.models import (
    NeedsAction,
    Order,
    OrderDownload,
    OrderSku,
    OrderState,
    ReservationState,
    Shipment,
    ShipmentLine,
    StockReservation,
)
from webapp.orders.services.history import (
    append_status,
    held_reservations,
    lock_order,
    release_held,
    tell_buyer,
)
from webapp.orders.services.refunds import left_of, request_refund

DOWNLOAD_DAYS = 30
SHIPPABLE = (OrderState.IN_FULFILMENT, OrderState.PARTIALLY_SHIPPED)
CANCELLABLE = (OrderState.ACCEPTED, OrderState.IN_FULFILMENT, OrderState.NEEDS_ACTION)


def fulfil(order_id: int) -> None:
    """Take the stock, hand over what is digital, post the confirmation. Quiet when done before."""
    order = lock_order(order_id)
    if order.status is not OrderState.ACCEPTED:
        return
    _take_stock(order)
    downloads = _grant_downloads(order)
    append_status(order, OrderState.IN_FULFILMENT, "system")
    confirm(order)
    if downloads and all(line.kind != "physical" for line in order.lines):
        for line in order.lines:
            line.shipped_quantity = line.quantity
        append_status(order, OrderState.DELIVERED, "system", note="Delivered as a download")


def _take_stock(order: Order) -> None:
    now = clock.now()
    taken = set()
    for held in held_reservations(order.checkout_id):
        stock.take(held.sku_id, held.quantity)
        held.state = ReservationState.TAKEN
        taken.add(held.sku_id)
    for line in order.lines:
        if line.sku_id in taken:
            line.stock_taken_at = now
    db.session.flush()


def _grant_downloads(order: Order) -> bool:
    digital = [line for line in order.lines if line.kind == "digital" and line.sku_id]
    if not digital:
        return False
    ids = [line.sku_id for line in digital]
    rows = db.session.execute(
        select(Sku.id, Sku.download_file).where(Sku.id.in_(ids), Sku.download_file.isnot(None))
    )
    files = {row.id: row.download_file for row in rows}
    granted = {each.order_sku_id for each in order.downloads}
    for line in digital:
        file_name = files.get(line.sku_id or 0)
        if file_name and line.id not in granted:
            db.session.add(
                OrderDownload(
                    order_id=order.id,
                    order_sku_id=line.id,
                    title=line.title,
                    file_name=file_name,
                    expires_at=clock.now() + timedelta(days=DOWNLOAD_DAYS),
                )
            )
    db.session.flush()
    db.session.expire(order, ["downloads"])
    return len(files) == len(set(ids))


def confirm(order: Order) -> None:
    """Post the confirmation, and the downloads where there are any; each once per order."""
    tell_buyer("order_confirmation", order, str(order.id))
    if order.downloads:
        tell_buyer("order_downloads", order, str(order.id))


def ship(
    order_id: int,
    carrier: str,
    tracking_number: str,
    quantities: dict[int, int] | None,
    actor: str,
    seen_parcels: int | None = None,
) -> Shipment:
    """Send a parcel: ``quantities`` by order_sku id, None for all that is left. Flushes.

    ``seen_parcels`` is how many there were on the page the wish comes from, so that a form sent
    twice sends one. Raises WrongState before fulfilment, after cancellation, when the money goes
    back or the page is out of date; InvalidShipment for more pieces than are left or none at all.
    """
    order = lock_order(order_id)
    if order.status not in SHIPPABLE:
        raise WrongState(f"Order {order.number} is {_words(order)}; it can't be shipped.")
    if order.payment.amount and not left_of(order):
        raise WrongState(f"The money of order {order.number} is on its way back.")
    if seen_parcels is not None and seen_parcels != len(order.shipments):
        raise WrongState("This order was changed meanwhile. Look at it again before you ship.")
    pieces = _pieces(order, quantities)
    shipment = Shipment(
        order_id=order.id,
        carrier=carrier.strip(),
        tracking_number=tracking_number.strip(),
        tracking_url=tracking_url(carrier, tracking_number),
        actor=actor,
        lines=[ShipmentLine(order_sku_id=line.id, quantity=n) for line, n in pieces],
    )
    db.session.add(shipment)
    for line, quantity in pieces:
        line.shipped_quantity += quantity
    whole = all(line.shipped_quantity == line.quantity for line in _parcels(order))
    status = OrderState.SHIPPED if whole else OrderState.PARTIALLY_SHIPPED
    append_status(order, status, actor, note=f"{shipment.carrier} {shipment.tracking_number}")
    tell_buyer("order_shipped", order, f"{order.id}:{shipment.id}", shipment=shipment)
    return shipment


def _parcels(order: Order) -> list[OrderSku]:
    return [line for line in order.lines if line.kind == "physical"]


def _pieces(order: Order, quantities: dict[int, int] | None) -> list[tuple[OrderSku, int]]:
    lines = {line.id: line for line in _parcels(order)}
    wanted = quantities
    if wanted is None:
        wanted = {line.id: line.quantity - line.shipped_quantity for line in lines.values()}
    pieces = []
    for line_id, quantity in wanted.items():
        line = lines.get(line_id)
        if line is None or not 0 <= quantity <= line.quantity - line.shipped_quantity:
            raise InvalidShipment("A parcel can't hold more pieces than are left to send.")
        if quantity:
            pieces.append((line, quantity))
    if not pieces:
        raise InvalidShipment("Choose at least one piece to ship.")
    return pieces


def mark_delivered(order_id: int, actor: str) -> None:
    """It has arrived, or, where there is no parcel, been done or downloaded.

    A digital good whose file came later is handed over now. Raises WrongState unless all of it
    was shipped.
    """
    order = lock_order(order_id)
    if not can_be_delivered(order):
        raise WrongState(f"Order {order.number} is {_words(order)}, not shipped.")
    if order.status is OrderState.IN_FULFILMENT and _grant_downloads(order):
        tell_buyer("order_downloads", order, str(order.id))
    append_status(order, OrderState.DELIVERED, actor)


def can_be_delivered(order: Order) -> bool:
    """Whether marking the order as delivered is the next step."""
    if order.status is OrderState.IN_FULFILMENT:
        return not _parcels(order)
    return order.status is OrderState.SHIPPED


def cancel(order_id: int, actor: str, *, restock: bool) -> None:
    """Call the sale off before anything was sent: the money goes back, the stock by choice.

    Raises WrongState once a parcel left.
    """
    order = lock_order(order_id)
    if order.status not in CANCELLABLE:
        raise WrongState(f"Order {order.number} is {_words(order)}; it can't be cancelled.")
    release_held(order.checkout_id)
    if restock:
        restock_lines(order)
    append_status(order, OrderState.CANCELLED, actor)
    if left_of(order) > 0:
        request_refund(order.id, None, "cancelled", actor)


def restock_lines(order: Order) -> None:
    """Put the taken, unsent pieces of an order back on the shelf, once."""
    for line in sorted(order.lines, key=lambda line: line.sku_id or 0):
        left = line.quantity - line.shipped_quantity
        if line.sku_id and line.stock_taken_at and left:
            stock.put_back(line.sku_id, left)
            line.stock_taken_at = None
    db.session.flush()


def accept(order_id: int, actor: str) -> None:
    """Let an order that needed action go its way. Raises WrongState when stock is still missing."""
    order = lock_order(order_id)
    if order.status is not OrderState.NEEDS_ACTION:
        raise WrongState(f"Order {order.number} is {_words(order)}; it needs no action.")
    if not can_be_accepted(order):
        raise WrongState("Nothing can be shipped for this payment; it is given back.")
    released = db.session.scalars(
        select(StockReservation)
        .where(
            StockReservation.checkout_id == order.checkout_id,
            StockReservation.state == ReservationState.RELEASED,
        )
        .order_by(StockReservation.sku_id)
        .with_for_update()
    )
    for each in released:
        if not stock.reserve(each.sku_id, each.quantity):
            raise WrongState("Some of the items are still out of stock. Restock or refund.")
        each.state = ReservationState.HELD
    append_status(order, OrderState.ACCEPTED, actor, note="Accepted as it is")
    enqueue("jobs.orders.fulfil", order.id, subject=f"order:{order.id}", key=f"fulfil:{order.id}")


def can_be_accepted(order: Order) -> bool:
    """Whether there is something to fulfil, and money left to fulfil it for."""
    twice = order.needs_action is NeedsAction.PAID_TWICE
    paid = order.payment.amount == 0 or left_of(order) > 0
    waits = order.status is OrderState.NEEDS_ACTION
    return waits and order.checkout_id is not None and not twice and paid


def _words(order: Order) -> str:
    return order.status.value.replace("_", " ")
