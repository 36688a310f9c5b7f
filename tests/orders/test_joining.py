"""What a guest bought with an address belongs to the member who has shown that it is theirs."""

import threading

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from jobs.orders import join_guest_orders
from jobs.payments import drain_events
from tests.factories.catalog import make_sku
from tests.factories.orders import make_orders, member_id_of
from tests.factories.people import browser_of, make_user
from tests.factories.sales import StripeDesk, check_out, make_cart, make_shipping
from tests.races import Race
from webapp.accounts.models import Prospect, ProspectSource, Role, User
from webapp.accounts.services.prospects import note_prospect
from webapp.core import clock
from webapp.core.db import db
from webapp.core.models import AuditEntry
from webapp.orders.models import Cart, Order
from webapp.orders.queries import status_token
from webapp.orders.services import joining

pytest_plugins = ["tests.races"]

EMAIL = "alice@example.com"


def verify(user: User) -> None:
    user.email_verified_at = clock.now()
    db.session.commit()


def buy(desk: StripeDesk, visitor: FlaskClient) -> Order:
    """Buy as a guest, and let the webhook place the order."""
    make_shipping()
    checkout = check_out(make_cart((make_sku().id, 1)))
    checkout_id = checkout.id
    desk.pay(checkout, email=EMAIL)
    desk.deliver(visitor, "checkout.session.completed")
    drain_events()
    return db.session.scalars(select(Order).where(Order.checkout_id == checkout_id)).one()


def test_guest_orders_join_once_the_address_is_verified(
    app: Flask, client: FlaskClient, session: Session
) -> None:
    numbers = make_orders(3)
    make_orders(1, "bob@example.com", first_number=7001)
    alice = make_user(verified=False)
    join_guest_orders(str(alice.id))
    assert session.scalars(select(Order).where(Order.member_id.is_not(None))).all() == []

    verify(alice)
    join_guest_orders(str(alice.id))
    join_guest_orders(str(alice.id))
    session.expire_all()
    joined = session.scalars(select(Order).where(Order.member_id == member_id_of(alice))).all()
    assert sorted(order.number for order in joined) == numbers
    entries = session.scalars(select(AuditEntry).where(AuditEntry.action == "orders.joined")).all()
    assert [entry.details for entry in entries] == [{"orders": 3}]
    page = browser_of(app, alice).get("/account/orders").text
    assert all(f"/account/orders/{number}" in page for number in numbers)


def test_the_prospect_is_converted_and_stays_as_history(
    client: FlaskClient, session: Session, stripe_desk: StripeDesk
) -> None:
    order = buy(stripe_desk, client)
    prospect = session.get_one(Prospect, order.prospect_id)
    assert (prospect.source, prospect.member_id) == (ProspectSource.PURCHASE, None)
    alice = make_user()
    join_guest_orders(str(alice.id))
    session.expire_all()
    assert (order.member_id, order.prospect_id) == (member_id_of(alice), prospect.id)
    assert prospect.member_id == member_id_of(alice)
    assert prospect.converted_at is not None
    assert client.get(f"/orders/status/{status_token(order.id)}").status_code == 200


def test_an_order_placed_as_a_guest_afterwards_joins_at_once(
    client: FlaskClient, session: Session, stripe_desk: StripeDesk
) -> None:
    alice = make_user()
    order = buy(stripe_desk, client)
    assert (order.member_id, order.prospect_id) == (member_id_of(alice), None)


def test_an_address_that_is_only_claimed_gets_no_orders(
    client: FlaskClient, session: Session, stripe_desk: StripeDesk
) -> None:
    make_user(verified=False)
    order = buy(stripe_desk, client)
    assert order.member_id is None
    assert order.prospect_id is not None


def test_what_staff_buy_while_logged_in_is_theirs_too(
    app: Flask, client: FlaskClient, session: Session, stripe_desk: StripeDesk
) -> None:
    olive = make_user("olive@example.com", role=Role.STAFF)
    make_shipping()
    cart_id = make_cart((make_sku().id, 1))
    session.get_one(Cart, cart_id).user_id = olive.id
    session.commit()
    checkout = check_out(cart_id)
    stripe_desk.pay(checkout)
    stripe_desk.deliver(client, "checkout.session.completed")
    drain_events()
    order = session.scalars(select(Order)).one()
    assert (order.member_id, order.prospect_id) == (member_id_of(olive), None)
    assert f"/account/orders/{order.number}" in browser_of(app, olive).get("/account/orders").text


def test_what_a_member_buys_is_theirs_whatever_address_they_pay_with(
    client: FlaskClient, session: Session, stripe_desk: StripeDesk
) -> None:
    alice = make_user()
    make_user("bob@example.com")
    make_shipping()
    cart_id = make_cart((make_sku().id, 1))
    session.get_one(Cart, cart_id).user_id = alice.id
    session.commit()
    checkout = check_out(cart_id)
    # Stripe's page was opened with the member's own address.
    found = stripe_desk.client.v1.checkout.sessions.retrieve(checkout.stripe_session_id or "")
    assert found.customer_email == EMAIL
    stripe_desk.pay(checkout, email="bob@example.com")
    stripe_desk.deliver(client, "checkout.session.completed")
    drain_events()
    assert session.scalars(select(Order)).one().member_id == member_id_of(alice)


def test_an_order_placed_while_the_address_is_being_verified_joins_all_the_same(
    open_shop: Flask, race: Race
) -> None:
    alice_id = make_user(verified=False).id
    looked, go_on = threading.Event(), threading.Event()

    def place() -> None:
        member_id, prospect_id = joining.find_guest_buyer(EMAIL, "Alice")
        looked.set()
        assert go_on.wait(60)
        order = Order(
            number=1001,
            email=EMAIL,
            member_id=member_id,
            prospect_id=prospect_id,
            currency="usd",
            items_amount=100,
            total_amount=100,
        )
        db.session.add(order)
        db.session.commit()

    placing = race.begin(place)
    assert looked.wait(60)
    verify(db.session.get_one(User, alice_id))
    joined = race.begin(lambda: join_guest_orders(str(alice_id)))
    joined.join(0.5)
    assert joined.is_alive(), "the job must wait for the order that is being placed"
    go_on.set()
    placing.join(60)
    joined.join(60)
    assert race.wrong == []
    order = db.session.scalars(select(Order)).one()
    assert order.member_id == member_id_of(db.session.get_one(User, alice_id))


def test_two_first_meetings_of_one_address_make_one_prospect(open_shop: Flask, race: Race) -> None:
    found: list[int] = []

    def meet() -> None:
        found.append(note_prospect(EMAIL, ProspectSource.CONTACT, "Alice").id)
        db.session.commit()

    race.run(meet, meet, meet)
    assert len(found) == 3
    assert len(set(found)) == 1
