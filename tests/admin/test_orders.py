"""Finding an order among many."""

import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy import insert
from sqlalchemy.orm import Session

from tests.admin.conftest import DOOR, counting, make_order, said
from webapp.orders.models import Order, OrderState, Shipment


def numbers(page: str) -> list[int]:
    return [int(number) for number in re.findall(r'<th scope="row"><a[^>]*>#(\d+)<', page)]


def test_the_list_shows_the_newest_first(owner: FlaskClient) -> None:
    for number in range(1001, 1004):
        make_order(number)
    assert numbers(owner.get("/admin/orders/").text) == [1003, 1002, 1001]


def test_an_order_is_found_by_number_address_or_parcel(
    owner: FlaskClient, session: Session
) -> None:
    make_order(1001, email="alice@example.org")
    bob = make_order(1002, email="bob@example.org")
    parcel = Shipment(order_id=bob.id, carrier="UPS", tracking_number="1Z-42", actor="x")
    session.add(parcel)
    session.commit()
    for text, found in {
        "1001": [1001],
        "#1001": [1001],
        "ALICE@example.org": [1001],
        "bob@": [1002],
        "example": [1002, 1001],
        "1Z-42": [1002],
        "nobody": [],
        "100%": [],
        "\0": [1002, 1001],
        "9" * 30: [],
    }.items():
        page = owner.get("/admin/orders/", query_string={"search": text}).text
        assert (text, numbers(page)) == (text, found)


def test_the_list_narrows_by_status(owner: FlaskClient) -> None:
    make_order(1001, status=OrderState.DELIVERED)
    make_order(1002, status=OrderState.IN_FULFILMENT)
    make_order(1003, status=OrderState.NEEDS_ACTION)
    assert numbers(owner.get("/admin/orders/?status=delivered").text) == [1001]
    assert numbers(owner.get("/admin/orders/?status=open").text) == [1002]
    assert numbers(owner.get("/admin/orders/?status=needs_action").text) == [1003]
    assert numbers(owner.get("/admin/orders/?status=nonsense").text) == [1003, 1002, 1001]
    assert "status=delivered" in owner.get("/admin/orders/?status=delivered&x=1").text


def test_the_list_sorts_by_its_columns(owner: FlaskClient) -> None:
    make_order(1001, lines=(("Hat", 3),))
    make_order(1002, lines=(("Hat", 1),))
    head = owner.get("/admin/orders/").text
    assert 'href="/admin/orders/?sort=5' in head
    assert numbers(owner.get("/admin/orders/?sort=5").text) == [1002, 1001]
    assert numbers(owner.get("/admin/orders/?sort=5&desc=1").text) == [1001, 1002]
    assert numbers(owner.get("/admin/orders/?sort=-1&page=-3").text) == [1002, 1001]
    assert owner.get("/admin/orders/?page=99999999999999999999").status_code == 200


def test_a_thousand_orders_turn_page_by_page_in_few_statements(
    owner: FlaskClient, session: Session
) -> None:
    session.execute(
        insert(Order),
        [
            {
                "number": number,
                "email": f"buyer{number % 7}@example.org",
                "currency": "usd",
                "items_amount": 1000,
                "total_amount": 1000,
            }
            for number in range(2001, 3001)
        ],
    )
    session.commit()
    first = owner.get("/admin/orders/").text
    last = owner.get("/admin/orders/?page=19").text
    assert numbers(first) == list(range(3000, 2950, -1))
    assert numbers(last) == list(range(2050, 2000, -1))
    assert ">1,000<" in first
    assert 'href="/admin/orders/?page=19' in first
    found = owner.get("/admin/orders/?search=buyer3@example.org&page=2").text
    assert len(numbers(found)) == 43
    with counting() as counted:
        owner.get("/admin/orders/?page=7")
    assert len(counted) <= DOOR + 6, "\n".join(counted.statements)


def test_counting_stops_at_a_limit(
    owner: FlaskClient, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("admin.base.listing.COUNT_LIMIT", 2)
    for number in range(1001, 1005):
        make_order(number)
    page = owner.get("/admin/orders/").text
    assert ">2+<" in page
    assert "Search or filter to come further" in page


@pytest.mark.parametrize("key", ["", "0", "999999", "x", "-1", "9" * 40, "%00", "1,2"])
def test_an_order_that_is_not_there_is_a_404(owner: FlaskClient, key: str) -> None:
    assert owner.get(f"/admin/orders/details/?id={key}").status_code == 404
    assert said(owner.post("/admin/orders/ship/", data={"id": "999999"}).text) == ""


def test_what_a_customer_typed_is_shown_as_text(owner: FlaskClient, session: Session) -> None:
    order = make_order(email="<script>alert(1)</script>@example.org")
    for path in ("/admin/", "/admin/orders/", f"/admin/orders/details/?id={order.id}"):
        page = owner.get(path).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page
