"""Rows of an order's story, made without the part of the shop that writes them."""

from sqlalchemy.orm import Session

from webapp.core import clock
from webapp.core.models import Job, JobAttempt, JobState
from webapp.messaging.models import Mail
from webapp.orders.models import Cart, Checkout, CheckoutState, Order, Shipment, ShipmentLine


def reread(session: Session, order: Order) -> Order:
    session.expire_all()
    return session.get_one(Order, order.id)


def add_job(session: Session, order: Order, path: str, tries: int = 1) -> Job:
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


def add_mail(session: Session, order: Order, key: str, **values: object) -> Mail:
    mail = Mail(
        dedupe_key=key,
        code=key,
        recipient=order.email,
        sender="hello@northwind.example",
        text="Hello",
        html="<p>Hello</p>",
        subject_ref=f"order:{order.id}",
        **({"kind": "order_confirmation", "subject": "Your order"} | values),
    )
    session.add(mail)
    return mail


def add_checkout(session: Session, order: Order) -> Checkout:
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


def add_shipment(session: Session, order: Order) -> None:
    line = ShipmentLine(order_sku_id=order.lines[0].id, quantity=1)
    session.add(Shipment(order_id=order.id, carrier="UPS", actor="system", lines=[line]))
