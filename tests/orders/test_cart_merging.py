"""What somebody chose before logging in joins what they chose before, and nothing is lost."""

import uuid
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from jobs.payments import drain_events
from tests.factories.catalog import make_sku
from tests.factories.people import PASSWORD, make_user
from tests.factories.sales import StripeDesk, check_out, make_cart, make_shipping
from tests.races import Race
from webapp.accounts.models import Address, Member, SessionEnd, User
from webapp.accounts.services.sessions import end_all
from webapp.core.audit import SYSTEM
from webapp.core.db import db
from webapp.core.models import Shop
from webapp.orders.models import (
    Cart,
    CartDiscount,
    CartSku,
    Checkout,
    CheckoutState,
    DiscountCode,
    DiscountKind,
    Order,
)
from webapp.orders.queries import find_cart, view_cart
from webapp.orders.services.cart import add_to_cart, open_cart
from webapp.orders.services.cart_merging import open_member_cart, settle_cart

pytest_plugins = ["tests.races"]


@pytest.fixture
def alice(app: Flask, client: FlaskClient) -> User:
    make_shipping()
    return make_user()


def cart_of(user: User | None, *lines: tuple[int, int], country: str = "US") -> uuid.UUID:
    cart_id = make_cart(*lines, country=country)
    db.session.get_one(Cart, cart_id).user_id = user.id if user else None
    db.session.commit()
    return cart_id


def contents(cart_id: uuid.UUID | None) -> dict[int, int]:
    db.session.expire_all()
    assert cart_id is not None
    lines = select(CartSku.sku_id, CartSku.quantity).where(CartSku.cart_id == cart_id)
    return {row.sku_id: row.quantity for row in db.session.execute(lines)}


def make_code(name: str, *, stackable: bool = False, customer_limit: int | None = None) -> int:
    code = DiscountCode(
        code=name,
        kind=DiscountKind.PERCENT,
        value=1000,
        stackable=stackable,
        customer_limit=customer_limit,
    )
    db.session.add(code)
    db.session.commit()
    return code.id


def put_code(cart_id: uuid.UUID, code_id: int, email: str | None = None) -> None:
    db.session.add(CartDiscount(cart_id=cart_id, discount_code_id=code_id))
    db.session.get_one(Cart, cart_id).email = email
    db.session.commit()


def codes_of(cart_id: uuid.UUID) -> list[int]:
    db.session.expire_all()
    found = select(CartDiscount.discount_code_id).where(CartDiscount.cart_id == cart_id)
    return sorted(db.session.scalars(found))


def log_in(visitor: FlaskClient, email: str = "alice@example.com") -> None:
    answer = visitor.post("/login", data={"email": email, "password": PASSWORD})
    assert answer.status_code == 303


def put_in(visitor: FlaskClient, sku_id: int, quantity: int = 1) -> None:
    answer = visitor.post("/cart/add", data={"sku_id": sku_id, "quantity": quantity})
    assert answer.location == "/cart"


def test_a_visitors_first_cart_becomes_the_members(alice: User, session: Session) -> None:
    cart_id = cart_of(None, (make_sku().id, 2))
    assert settle_cart(alice.id, cart_id).cart_id == cart_id
    assert session.get_one(Cart, cart_id).user_id == alice.id


def test_quantities_add_up_and_the_visitors_cart_ends(alice: User) -> None:
    bowl, spoon, cup = make_sku(), make_sku("Ash Spoon"), make_sku("Cup")
    kept = cart_of(alice, (bowl.id, 1), (spoon.id, 1))
    visitors = cart_of(None, (bowl.id, 2), (cup.id, 3))
    settled = settle_cart(alice.id, visitors)
    db.session.commit()
    assert (settled.cart_id, settled.notices) == (kept, [])
    assert contents(kept) == {bowl.id: 3, spoon.id: 1, cup.id: 3}
    assert find_cart(visitors) is None

    again = settle_cart(alice.id, visitors)
    assert (again.cart_id, contents(kept)[bowl.id]) == (kept, 3)


def test_what_stock_cannot_give_is_left_out_and_told(alice: User) -> None:
    bowl = make_sku(stock=3)
    kept = cart_of(alice, (bowl.id, 2))
    settled = settle_cart(alice.id, cart_of(None, (bowl.id, 2)))
    assert contents(kept) == {bowl.id: 3}
    assert settled.notices == ["Oak Bowl: 3 instead of 4, as many as we can send."]


def test_no_line_goes_past_ninety_nine(alice: User) -> None:
    bowl = make_sku(stock=None)
    kept = cart_of(alice, (bowl.id, 60))
    settle_cart(alice.id, cart_of(None, (bowl.id, 60)))
    assert contents(kept) == {bowl.id: 99}


def test_a_cart_of_fifty_lines_takes_no_more(alice: User) -> None:
    skus = [make_sku(f"Thing {number}").id for number in range(52)]
    kept = cart_of(alice, *((sku_id, 1) for sku_id in skus[:49]))
    settled = settle_cart(alice.id, cart_of(None, *((sku_id, 1) for sku_id in skus[48:])))
    assert len(contents(kept)) == 50
    assert settled.notices == ["A cart holds 50 different items: 2 items were left out."]


def test_the_country_chosen_last_stays(alice: User, session: Session) -> None:
    bowl = make_sku()
    kept = cart_of(alice, (bowl.id, 1), country="US")
    settle_cart(alice.id, cart_of(None, (bowl.id, 1), country="CH"))
    assert session.get_one(Cart, kept).country == "CH"


def test_codes_come_along_where_they_may_be_combined(alice: User) -> None:
    bowl = make_sku()
    one, other, lonely = (
        make_code("ONE", stackable=True),
        make_code("OTHER", stackable=True),
        make_code("LONELY"),
    )
    kept, visitors = cart_of(alice, (bowl.id, 1)), cart_of(None, (bowl.id, 1))
    put_code(kept, one)
    put_code(visitors, other)
    put_code(visitors, lonely)
    settled = settle_cart(alice.id, visitors)
    assert codes_of(kept) == sorted([one, other])
    assert settled.notices == ["The code LONELY can't be combined with what was in your cart."]


def test_a_code_per_customer_takes_its_address_along(alice: User, session: Session) -> None:
    bowl = make_sku()
    limited = make_code("ONCE", customer_limit=1)
    kept, visitors = cart_of(alice, (bowl.id, 1)), cart_of(None, (bowl.id, 1))
    put_code(visitors, limited, "alice@example.com")
    settle_cart(alice.id, visitors)
    assert codes_of(kept) == [limited]
    assert session.get_one(Cart, kept).email == "alice@example.com"


def test_another_members_cart_in_a_shared_browser_is_left_alone(
    alice: User, session: Session
) -> None:
    bob = make_user("bob@example.com")
    bowl = make_sku()
    bobs, hers = cart_of(bob, (bowl.id, 2)), cart_of(alice, (bowl.id, 1))
    assert settle_cart(alice.id, bobs).cart_id == hers
    assert session.get_one(Cart, bobs).user_id == bob.id
    assert contents(bobs) == {bowl.id: 2}


@pytest.mark.parametrize("paying", ["visitor", "member"])
def test_a_cart_that_is_being_paid_is_not_touched(
    alice: User,
    session: Session,
    stripe_desk: StripeDesk,
    client: FlaskClient,
    paying: str,
) -> None:
    bowl = make_sku()
    kept, visitors = cart_of(alice, (bowl.id, 1)), cart_of(None, (bowl.id, 2))
    checkout = check_out(visitors if paying == "visitor" else kept)
    settled = settle_cart(alice.id, visitors)
    session.commit()
    assert settled.cart_id == visitors
    assert (contents(kept), contents(visitors)) == ({bowl.id: 1}, {bowl.id: 2})

    stripe_desk.pay(checkout)
    stripe_desk.deliver(client, "checkout.session.completed")
    drain_events()
    session.expire_all()
    order = session.scalars(select(Order)).one()
    member = session.scalars(select(Member).where(Member.user_id == alice.id)).one()
    assert order.member_id == member.id
    assert checkout.state is CheckoutState.COMPLETE
    # The payment is over: what is left is the member's one open cart.
    left = kept if paying == "visitor" else visitors
    assert settle_cart(alice.id, visitors).cart_id == left


def test_after_the_payment_page_has_expired_the_carts_become_one(
    alice: User,
    session: Session,
    stripe_desk: StripeDesk,
    client: FlaskClient,
) -> None:
    bowl = make_sku()
    kept, visitors = cart_of(alice, (bowl.id, 1)), cart_of(None, (bowl.id, 2))
    checkout = check_out(visitors)
    settle_cart(alice.id, visitors)
    session.commit()
    stripe_desk.expire(checkout)
    stripe_desk.deliver(client, "checkout.session.expired")
    drain_events()
    assert settle_cart(alice.id, visitors).cart_id == kept
    assert contents(kept) == {bowl.id: 3}


def test_logging_in_brings_the_cart_and_the_cookie_together(
    app: Flask, alice: User, client: FlaskClient
) -> None:
    bowl, cup = make_sku(stock=9), make_sku("Cup")
    phone, desk = app.test_client(), app.test_client()
    log_in(phone)
    put_in(phone, bowl.id, 2)
    put_in(desk, bowl.id, 1)
    put_in(desk, cup.id, 1)
    log_in(desk)
    for device in (phone, desk):
        page = device.get("/cart").text
        assert f'name="quantity-{bowl.id}" value="3"' in page
        assert f'name="quantity-{cup.id}" value="1"' in page


def test_a_second_device_finds_the_cart_without_logging_in_again(
    app: Flask, alice: User, client: FlaskClient
) -> None:
    bowl = make_sku()
    phone, desk = app.test_client(), app.test_client()
    log_in(phone)
    log_in(desk)
    put_in(phone, bowl.id, 2)
    page = desk.get("/cart").text
    assert f'name="quantity-{bowl.id}" value="2"' in page
    assert '<span class="count">2<' in page
    put_in(desk, bowl.id, 1)
    assert f'name="quantity-{bowl.id}" value="3"' in phone.get("/cart").text


def test_logging_out_leaves_no_cart_in_the_browser_but_keeps_it_for_the_next_login(
    app: Flask, alice: User, client: FlaskClient
) -> None:
    bowl = make_sku()
    log_in(client)
    put_in(client, bowl.id, 2)
    client.post("/logout")
    assert "Your cart is empty" in client.get("/cart").text
    bob = make_user("bob@example.com")
    log_in(client, bob.email)
    assert "Your cart is empty" in client.get("/cart").text
    client.post("/logout")
    log_in(client)
    assert f'name="quantity-{bowl.id}" value="2"' in client.get("/cart").text


def end_logins(user: User) -> None:
    end_all(user.id, SessionEnd.EVERYWHERE, SYSTEM)
    db.session.commit()


def test_a_login_that_ended_by_itself_leaves_the_members_cart_to_the_member(
    alice: User, client: FlaskClient, session: Session
) -> None:
    bowl = make_sku()
    log_in(client)
    put_in(client, bowl.id, 2)
    hers = session.scalars(select(Cart)).one()
    kept, country = hers.id, hers.country
    total = view_cart(kept, session.get_one(Shop, 1)).quote.total_amount
    end_logins(alice)
    client.post("/cart/update", data={"remove": bowl.id})
    client.post("/cart/shipping", data={"country": "CH"})
    client.post("/checkout", data={"seen_total": total, "seen_currency": "usd"})
    assert contents(kept) == {bowl.id: 2}
    assert session.get_one(Cart, kept).country == country
    assert session.scalars(select(Checkout.id)).all() == []
    put_in(client, bowl.id)
    assert contents(kept) == {bowl.id: 2}
    assert f'name="quantity-{bowl.id}" value="1"' in client.get("/cart").text
    log_in(client)
    assert f'name="quantity-{bowl.id}" value="3"' in client.get("/cart").text


def test_a_closed_cart_is_told_of_once_and_its_cookie_goes(
    alice: User, client: FlaskClient
) -> None:
    log_in(client)
    put_in(client, make_sku().id)
    end_logins(alice)
    page = client.get("/cart").text
    assert "Your cart is empty" in page
    assert "Sign in to go on with the cart that was filled here." in page
    assert 'class="count"' not in page
    assert "Sign in to go on" not in client.get("/cart").text


def test_a_members_cart_starts_with_the_country_of_their_default_address(
    alice: User, session: Session
) -> None:
    member = session.scalars(select(Member).where(Member.user_id == alice.id)).one()
    session.add(
        Address(
            member_id=member.id,
            name="Alice",
            line1="1 Seestrasse",
            city="Bern",
            country="CH",
            is_default=True,
        )
    )
    shop = session.get_one(Shop, 1)
    cart_id = open_cart(shop).id
    add_to_cart(cart_id, make_sku().id, 1)
    assert view_cart(cart_id, shop).country == "US"
    session.get_one(Cart, cart_id).user_id = alice.id
    session.commit()
    assert view_cart(cart_id, shop).country == "CH"
    session.get_one(Cart, cart_id).country = "FR"
    session.commit()
    assert view_cart(cart_id, shop).country == "FR"


@pytest.mark.parametrize(
    ("verified", "bound", "wanted"),
    [
        (True, None, "alice@example.com"),
        (False, None, None),
        (True, "work@example.com", "work@example.com"),
    ],
)
def test_stripes_page_knows_the_members_verified_address(
    client: FlaskClient,
    session: Session,
    stripe_desk: StripeDesk,
    verified: bool,
    bound: str | None,
    wanted: str | None,
) -> None:
    make_shipping()
    user = make_user(verified=verified)
    cart_id = cart_of(user, (make_sku().id, 1))
    session.get_one(Cart, cart_id).email = bound
    session.commit()
    opened = check_out(cart_id).stripe_session_id or ""
    assert stripe_desk.client.v1.checkout.sessions.retrieve(opened).customer_email == wanted


def test_two_devices_logging_in_at_once_end_with_one_cart(open_shop: Flask, race: Race) -> None:
    user = make_user()
    user_id = user.id
    bowl = make_sku(stock=50).id
    carts = [cart_of(None, (bowl, number)) for number in (1, 2, 3)]
    race.run(*(_settling(user_id, cart_id) for cart_id in carts))
    db.session.rollback()
    left = db.session.scalars(select(Cart).where(Cart.user_id == user_id)).all()
    left = [cart for cart in left if find_cart(cart.id) is not None]
    assert [contents(cart.id) for cart in left] == [{bowl: 6}]


def test_the_same_login_twice_at_once_adds_nothing_twice(open_shop: Flask, race: Race) -> None:
    user = make_user()
    user_id = user.id
    bowl = make_sku(stock=50).id
    kept, visitors = cart_of(user, (bowl, 1)), cart_of(None, (bowl, 2))
    race.run(_settling(user_id, visitors), _settling(user_id, visitors))
    db.session.rollback()
    assert contents(kept) == {bowl: 3}


def test_two_tabs_putting_something_in_at_once_share_one_new_cart(
    open_shop: Flask, race: Race
) -> None:
    user_id = make_user().id
    bowl = make_sku(stock=50).id

    def put() -> None:
        settled = open_member_cart(user_id, None, db.session.get_one(Shop, 1))
        assert settled.cart_id is not None
        add_to_cart(settled.cart_id, bowl, 1)
        db.session.commit()

    race.run(put, put)
    cart_id = db.session.scalars(select(Cart.id).where(Cart.user_id == user_id)).one()
    assert contents(cart_id) == {bowl: 2}


def _settling(user_id: uuid.UUID, cart_id: uuid.UUID) -> Callable[[], None]:
    def settle() -> None:
        settle_cart(user_id, cart_id)
        db.session.commit()

    return settle
