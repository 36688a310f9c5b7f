"""People who work in the back office, and a shop with something to work on."""

import gc
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event
from sqlalchemy.orm import Session

from tests.factories.people import browser_of, make_user
from webapp.accounts.models import Role
from webapp.catalog.models import Product
from webapp.catalog.services import products
from webapp.core import clock
from webapp.core.db import db
from webapp.orders.models import (
    Order,
    OrderPayment,
    OrderShippingAddress,
    OrderShippingMethod,
    OrderSku,
    OrderState,
    OrderStatus,
)

Enter = Callable[[Role | None], FlaskClient]

# Statements before any page: the session, read and kept alive, and what its owner may owe us, a
# second factor or an agreement.
DOOR = 4


@pytest.fixture
def enter(app: Flask, client: FlaskClient, session: Session) -> Enter:
    """Return a browser in which somebody with the role is logged in."""

    def make(role: Role | None) -> FlaskClient:
        name = role.value if role else "customer"
        return browser_of(app, make_user(f"{name}@example.org", role=role, password=None))

    return make


@pytest.fixture
def owner(enter: Enter) -> FlaskClient:
    return enter(Role.OWNER)


def make_product(title: str = "Wool hat", on_hand: int = 10, amount: int = 2500) -> Product:
    """Return a published product with one variant, committed."""
    variant = products.NewVariant(amount, on_hand=on_hand)
    product = products.create_product(products.NewProduct(title, (variant,)), "usd")
    products.publish(product)
    db.session.commit()
    return product


def make_order(
    number: int = 1001,
    *,
    email: str = "bob@example.org",
    status: OrderState = OrderState.IN_FULFILMENT,
    lines: tuple[tuple[str, int], ...] = (("Wool hat", 2), ("Scarf", 1)),
    product: Product | None = None,
) -> Order:
    """Return a paid order of 10.00 a piece and 5.00 for shipping, committed."""
    items = sum(quantity for _, quantity in lines) * 1000
    sku_id = product.variants[0].sku_id if product else None
    order = Order(
        number=number,
        email=email,
        currency="usd",
        items_amount=items,
        shipping_amount=500,
        total_amount=items + 500,
        status=status,
        request_id=f"request-{number}",
    )
    order.payment = OrderPayment(
        stripe_session_id=f"cs_{number}",
        stripe_payment_intent_id=f"pi_{number}",
        amount=items + 500,
        currency="usd",
    )
    order.shipping_address = OrderShippingAddress(
        name="Bob Baker", line1="1 Mill Lane", city="York", postal_code="YO1", country="GB"
    )
    order.shipping_method = OrderShippingMethod(
        code="standard", name="Standard", carrier="UPS", amount=500
    )
    order.lines = [
        OrderSku(
            position=position,
            title=title,
            sku_id=sku_id,
            quantity=quantity,
            unit_amount=1000,
            total_amount=quantity * 1000,
            stock_taken_at=clock.now() if sku_id else None,
        )
        for position, (title, quantity) in enumerate(lines, start=1)
    ]
    order.history = [OrderStatus(status=status)]
    db.session.add(order)
    db.session.commit()
    return order


@dataclass
class Counted:
    statements: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.statements)


@contextmanager
def counting() -> Iterator[Counted]:
    """Collect the statements that run within the block."""
    # Rows of earlier pages that nobody holds any more would be asked for anew, or not, as it comes.
    gc.collect()
    counted = Counted()

    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not statement.startswith(("SAVEPOINT", "RELEASE")):
            counted.statements.append(statement)

    engine = db.session.get_bind()
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield counted
    finally:
        event.remove(engine, "before_cursor_execute", note)


def said(page: str) -> str:
    """Return the notices of a page as text."""
    found = re.search(r'<div class="notices".*?</div>\s*</div>\s*</div>', page, re.DOTALL)
    return re.sub(r"<[^>]+>|\s+", " ", found.group() if found else "").strip()


def act(browser: FlaskClient, url: str, **values: Any) -> str:
    """Post an action as its form does and return the notices of the page that follows."""
    answer = browser.post(url, data=values, follow_redirects=True)
    assert answer.status_code == 200, answer.status
    return said(answer.text)


def later(minutes: float) -> timedelta:
    return timedelta(minutes=minutes)
