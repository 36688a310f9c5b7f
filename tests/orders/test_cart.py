"""Filling a cart: what changed is told, what can't be is refused with a sentence."""

import uuid
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.factories.catalog import make_sku
from tests.factories.people import make_user
from tests.factories.sales import make_cart, make_shipping
from webapp.accounts.models import Prospect, ProspectSource
from webapp.catalog.models import SkuInventory, SkuPrice
from webapp.core.db import db
from webapp.core.shop import get_shop
from webapp.orders.errors import (
    CartError,
    EmailNeeded,
    EmptyCart,
    InvalidDiscount,
    NoSuchSku,
    NotDeliverable,
    SoldOut,
)
from webapp.orders.models import Cart, DiscountCode, DiscountKind, TaxRate
from webapp.orders.queries import CartView, count_cart, view_cart
from webapp.orders.services.cart import (
    acknowledge_prices,
    add_to_cart,
    apply_discount,
    choose_shipping,
    remove_discount,
    set_quantity,
)


@pytest.fixture
def sku_id(app: object) -> int:
    make_shipping(countries=["US", "CA"])
    return make_sku(stock=5).id


def view(cart_id: uuid.UUID) -> CartView:
    db.session.expire_all()
    return view_cart(cart_id, get_shop())


def make_code(code: str = "TEN", **values: Any) -> None:
    terms = {"kind": DiscountKind.PERCENT, "value": 1000} | values
    db.session.add(DiscountCode(code=code, **terms))
    db.session.commit()


def test_adding_twice_adds_up(sku_id: int) -> None:
    cart_id = make_cart((sku_id, 1), (sku_id, 2))
    assert count_cart(cart_id) == 3
    assert view(cart_id).quote.total_amount == 3 * 2500 + 590


def test_more_than_there_are_is_refused(sku_id: int) -> None:
    with pytest.raises(SoldOut, match="Only 5 of Oak Bowl left"):
        make_cart((sku_id, 6))


@pytest.mark.parametrize("quantity", [0, -1, 100, 10**12])
def test_a_silly_quantity_is_refused(sku_id: int, quantity: int) -> None:
    with pytest.raises(CartError, match="quantity from 1 to 99"):
        make_cart((sku_id, quantity))


def test_an_unknown_item_is_refused(sku_id: int) -> None:
    with pytest.raises(NoSuchSku):
        make_cart((sku_id + 1000, 1))


def test_a_cart_that_is_not_there_is_empty(sku_id: int) -> None:
    with pytest.raises(EmptyCart):
        add_to_cart(uuid.uuid4(), sku_id, 1)
    assert view(uuid.uuid4()).empty


def test_quantity_zero_removes(sku_id: int) -> None:
    cart_id = make_cart((sku_id, 2))
    set_quantity(cart_id, sku_id, 0)
    assert view(cart_id).empty


def test_a_changed_price_is_told_once_seen(sku_id: int) -> None:
    cart_id = make_cart((sku_id, 1))
    db.session.add(SkuPrice(sku_id=sku_id, unit_amount=2700, currency="usd"))
    db.session.commit()
    assert view(cart_id).notices == ["Oak Bowl: the price went up since you put it in."]
    assert view(cart_id).quote.items_amount == 2700
    acknowledge_prices(cart_id)
    assert view(cart_id).notices == []


def test_stock_that_ran_short_is_told(sku_id: int) -> None:
    cart_id = make_cart((sku_id, 3))
    db.session.execute(update(SkuInventory).values(on_hand=1))
    assert view(cart_id).notices == ["Oak Bowl: only 1 left; lower the quantity to go on."]
    db.session.execute(update(SkuInventory).values(on_hand=0))
    assert view(cart_id).notices == ["Oak Bowl: sold out; remove it to go on."]


def test_the_method_and_country_decide_shipping_and_tax(sku_id: int) -> None:
    make_shipping("express", 1490, countries=["CA"])
    db.session.add(TaxRate(country="CA", name="GST", basis_points=500, on_shipping=False))
    cart_id = make_cart((sku_id, 1), country="CA")
    choose_shipping(cart_id, "CA", "express", get_shop())
    quote = view(cart_id).quote
    assert (quote.shipping_amount, quote.tax_amount, quote.tax_name) == (1490, 125, "GST")


def test_a_country_nobody_ships_to_is_refused(sku_id: int) -> None:
    cart_id = make_cart((sku_id, 1))
    with pytest.raises(NotDeliverable):
        choose_shipping(cart_id, "AQ", None, get_shop())


def test_a_code_takes_off_and_can_be_removed(sku_id: int) -> None:
    make_code()
    cart_id = make_cart((sku_id, 2))
    apply_discount(cart_id, " ten ")
    assert view(cart_id).quote.discount_amount == 500
    remove_discount(cart_id, "TEN")
    assert view(cart_id).quote.discount_amount == 0


@pytest.mark.parametrize(
    ("terms", "sentence"),
    [
        ({"active": False}, "no longer valid"),
        ({"total_limit": 1, "used": 1}, "used up"),
        ({"minimum_amount": 99_999}, "larger order"),
    ],
)
def test_a_code_that_does_not_hold_says_why(
    sku_id: int, terms: dict[str, Any], sentence: str
) -> None:
    make_code(**terms)
    with pytest.raises(InvalidDiscount, match=sentence):
        apply_discount(make_cart((sku_id, 1)), "TEN")


def test_an_unknown_code_is_refused(sku_id: int) -> None:
    with pytest.raises(InvalidDiscount, match="don't know"):
        apply_discount(make_cart((sku_id, 1)), "NOPE")


def test_one_code_per_order_unless_both_stack(sku_id: int) -> None:
    make_code("ONE")
    make_code("TWO", stackable=True)
    cart_id = make_cart((sku_id, 1))
    apply_discount(cart_id, "ONE")
    with pytest.raises(InvalidDiscount, match="Only one code"):
        apply_discount(cart_id, "TWO")


def test_a_code_per_customer_asks_who_it_is(sku_id: int) -> None:
    make_code("WELCOME", customer_limit=1)
    cart_id = make_cart((sku_id, 1))
    with pytest.raises(EmailNeeded):
        apply_discount(cart_id, "WELCOME")
    apply_discount(cart_id, "WELCOME", "Alice@Example.com")
    assert view(cart_id).email == "alice@example.com"
    met = db.session.scalars(select(Prospect)).one()
    assert (met.email, met.source, met.member_id) == (
        "alice@example.com",
        ProspectSource.CART,
        None,
    )


def test_who_a_member_is_need_not_be_met_again(sku_id: int) -> None:
    alice = make_user("alice@example.com")
    make_code("WELCOME", customer_limit=1)
    theirs, guests = make_cart((sku_id, 1)), make_cart((sku_id, 1))
    db.session.get_one(Cart, theirs).user_id = alice.id
    apply_discount(theirs, "WELCOME", "bob@example.com")
    apply_discount(guests, "WELCOME", alice.email)
    assert db.session.scalars(select(Prospect)).all() == []
